"""Whether numbers and bytes are those that are expected."""
