"""Tables, figures and pages. Nothing here computes an estimate."""
