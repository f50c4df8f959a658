"""What was decided about a file, and the layout that says so."""
