"""Published claims checked against the published figures: dates, comparability, what remains unexplained, one verdict each."""
