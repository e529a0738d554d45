"""Tensors inside `torch.func` and forward mode: storages, batches, refusals, axes."""
