"""The sentences that a reader of a report reads."""
