"""What could be wrong with a study's main estimate, what was tried, and what stands: one file per threat."""
