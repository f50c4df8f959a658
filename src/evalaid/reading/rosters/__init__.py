"""Rosters of partnerships as offices keep them."""
