"""A tensor's elements in memory: geometry, layouts, bits, storages, slices, inference mode."""
