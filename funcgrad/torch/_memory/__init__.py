"""Where elements lie: geometry, layouts, bits, storages, slices, inference mode."""
