"""Run notebooks: one notebook in a process of its own, the notebooks of a study, many studies; and hold their numbers."""
