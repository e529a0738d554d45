"""`torch.mps`: Apple's GPUs, which are not here."""


def is_available() -> bool:
    """Whether Apple's GPU can be used: no."""
    return False


def device_count() -> int:
    """How many there are: none."""
    return 0


def manual_seed(seed: int) -> None:
    """Check the seed: every device uses the CPU's stream."""
    int(seed)


def empty_cache() -> None:
    """Refuse.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError("Cannot execute emptyCache() without MPS backend.")
