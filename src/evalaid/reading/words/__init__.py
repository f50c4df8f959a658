"""The words that tables are written in, one data file per language, and the columns of discharge records."""
