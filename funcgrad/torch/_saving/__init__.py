"""PyTorch's file format: writing, and reading with an unpickler that knows tensors, containers and numbers only."""
