"""Randomisation inference: other assignments, and one or few treated units."""
