"""Calibrated panels with a known effect: everything here is simulated and says so."""
