"""Make a study of a user's own files."""
