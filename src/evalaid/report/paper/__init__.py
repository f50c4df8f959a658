"""A finished report as a working paper in PDF, and its tables as one Word file."""
