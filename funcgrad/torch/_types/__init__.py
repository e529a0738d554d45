"""The plain values around a tensor: dtypes and their limits, sizes, devices, numbers, trees, and the names of nodes."""
