"""What the methods share: the protocol of a method, the regression behind some, the scores behind others."""
