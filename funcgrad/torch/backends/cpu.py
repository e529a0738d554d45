"""`torch.backends.cpu`: the processor."""


def get_cpu_capability() -> str:
    """The instructions that kernels use; XLA chooses its own."""
    return "DEFAULT"
