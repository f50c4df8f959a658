"""Difference-in-differences: panel to design to effects to inference to sensitivity. Knows no file and no study."""
