"""The transformations behind `torch.func` and `vmap`."""
