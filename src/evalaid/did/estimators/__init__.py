"""Estimate by name: one file per method, and the registry of them all."""
