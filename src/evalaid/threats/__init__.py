"""What could be wrong with a study's main estimate, what was tried, and what survives: one file a kind of threat."""
