"""`torch.backends.mps`: Apple's GPUs, which are not here."""


def is_available() -> bool:
    """Whether Apple's GPU can be used: no."""
    return False


def is_built() -> bool:
    """Whether Apple's GPU is supported: no."""
    return False


def is_macos13_or_newer(minor: int = 0) -> bool:
    """Whether the system is new enough: no."""
    return False
