"""`torch.backends.mkldnn`: a library of PyTorch's. XLA has its own kernels."""

enabled = True
deterministic = False


def is_available() -> bool:
    """Whether the library is there. XLA's own stands for it."""
    return True
