"""Read single cells: numbers, dates, periods, marks."""
