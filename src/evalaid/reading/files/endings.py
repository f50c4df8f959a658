"""How the names of files end that may hold a table: known before any library that reads them is imported."""

TEXTS = frozenset({".csv", ".tsv", ".txt"})
WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
SQLITE = frozenset({".sqlite", ".sqlite3", ".db"})
DUCKDB = frozenset({".duckdb", ".ddb"})

DATA_FILES = SQLITE | DUCKDB | {
    ".dta", ".sav", ".zsav", ".por", ".sas7bdat", ".xpt", ".parquet", ".pq", ".feather", ".arrow", ".json", ".jsonl", ".ndjson",
}  # fmt: skip
"""Those whose columns have types."""

KINDS = TEXTS | WORKBOOKS | DATA_FILES
"""Those that may hold a tidy table."""
