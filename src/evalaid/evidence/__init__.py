"""Published figures: what was printed, when, of whom, and which figures may be compared."""
