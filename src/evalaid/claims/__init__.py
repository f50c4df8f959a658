"""Published claims held against the published figures: dates, likeness, what remains unexplained, one verdict each."""
