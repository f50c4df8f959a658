"""Divisions, and the place that a code or name means."""
