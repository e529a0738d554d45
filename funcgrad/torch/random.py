"""`torch.random`: the default stream of random numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from funcgrad.torch._random.generator import default_generator
from funcgrad.torch._tensor.registry import FUNCTIONS

__all__ = ["fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]

get_rng_state, set_rng_state = FUNCTIONS["get_rng_state"], FUNCTIONS["set_rng_state"]
initial_seed, manual_seed, seed = (
    FUNCTIONS[name] for name in ("initial_seed", "manual_seed", "seed")
)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **more: Any) -> Iterator[None]:
    """Go back to the stream's position at the end of a `with` block."""
    before = default_generator.position()
    try:
        yield
    finally:
        if enabled:
            default_generator.go_to(before)


def __dir__() -> list[str]:
    return __all__
