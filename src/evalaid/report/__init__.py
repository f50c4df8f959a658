"""Present numbers: words, tables, figures and the HTML page. Nothing here computes an estimate."""
