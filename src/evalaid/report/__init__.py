"""Present numbers: sections of notebooks, the questions and threats they show, words, tables, figures and pages."""
