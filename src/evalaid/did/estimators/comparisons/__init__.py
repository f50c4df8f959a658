"""Methods that compare group means cell by cell."""
