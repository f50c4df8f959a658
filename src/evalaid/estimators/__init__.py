"""One file an estimator; `table` is the registry."""
