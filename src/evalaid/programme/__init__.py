"""The roster of partnerships, and the cohorts and starts that follow from it."""
