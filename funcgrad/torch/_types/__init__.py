"""Dtypes and their limits, sizes, devices, numbers, trees, names of graph nodes."""
