"""What every wing speaks in: errors, names, columns, the calendar, rounding."""
