"""Errors, tests and intervals from influence."""
