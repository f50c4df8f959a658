"""How estimates hold up when the data, the design or the assumptions are changed: one folder per question."""
