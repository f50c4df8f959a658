"""The one result type, and the algebra of the estimates behind it."""
