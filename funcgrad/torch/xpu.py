"""`torch.xpu`: Intel's GPUs, which are not here."""


def is_available() -> bool:
    """Whether Intel's GPU can be used: no."""
    return False


def device_count() -> int:
    """How many there are: none."""
    return 0


def manual_seed(seed: int) -> None:
    """Check the seed: every device uses the CPU's stream."""
    int(seed)


def manual_seed_all(seed: int) -> None:
    """Check the seed: every device uses the CPU's stream."""
    int(seed)


def empty_cache() -> None:
    """Do nothing."""
