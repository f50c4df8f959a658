"""Tables as offices send them, to long frames."""
