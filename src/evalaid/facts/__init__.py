"""Published figures: what was printed, when, of whom, and which figures are alike enough to compare."""
