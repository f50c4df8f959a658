"""Discharge records and matrices, to counts."""
