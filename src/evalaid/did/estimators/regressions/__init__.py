"""Methods that are regressions on unit and period effects."""
