"""PyTorch's CPU generator and its distributions."""
