"""Open files: bytes, encodings, workbooks and text as grids of cells."""
