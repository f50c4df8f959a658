"""Were units chosen for what would have changed anyway?"""
