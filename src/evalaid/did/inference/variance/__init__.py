"""Variances: cluster-robust, bias-reduced, by bootstrap of influence, two-way, spatial."""
