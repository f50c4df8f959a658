"""Read what an office has: messy tables, rosters and discharge records, with every decision taken about them."""
