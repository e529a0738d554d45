"""`torch.backends.opt_einsum`: the order of products in `einsum`. JAX chooses it."""

enabled = True
strategy: str | None = "auto"


def is_available() -> bool:
    """Whether the order is chosen: JAX does."""
    return True
