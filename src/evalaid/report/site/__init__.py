"""The pages of a report: answer, evidence, robustness, methods, numbers, downloads; and the index of all studies."""
