"""JAX settings that people make to be strict with code of their own. The package's own work runs under none of them.

It broadcasts and promotes on purpose, and its NaN have a meaning. Nothing here changes a global setting.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import jax

# One row a setting: its name, the values that let our work run, its context manager.
SETTINGS: tuple[tuple[str, tuple[Any, ...], Any], ...] = (
    ("jax_numpy_rank_promotion", ("allow",), jax.numpy_rank_promotion),
    ("jax_numpy_dtype_promotion", ("standard",), jax.numpy_dtype_promotion),
    ("jax_debug_nans", (False,), jax.debug_nans),
    ("jax_debug_infs", (False,), jax.debug_infs),
    ("jax_debug_key_reuse", (False,), jax.debug_key_reuse),
    ("jax_check_tracer_leaks", (False,), jax.check_tracer_leaks),
    ("jax_transfer_guard_host_to_device", ("allow", None), jax.transfer_guard_host_to_device),
    ("jax_transfer_guard_device_to_host", ("allow", None), jax.transfer_guard_device_to_host),
    ("jax_transfer_guard_device_to_device", ("allow", None), jax.transfer_guard_device_to_device),
)


def changes() -> list[AbstractContextManager[Any]]:
    """Return the contexts that undo what is strict now; none where nothing is."""
    config = jax.config
    return [
        setting(lenient[0])
        for name, lenient, setting in SETTINGS
        if getattr(config, name) not in lenient
    ]


def may_stop_a_run() -> bool:
    """Return whether a setting is on that refuses programs of ours; a quick look, since each run of the engine asks."""
    config: Any = jax.config
    return (
        config.jax_debug_nans
        or config.jax_numpy_rank_promotion != "allow"
        or config.jax_numpy_dtype_promotion != "standard"
    )


def lenient() -> AbstractContextManager[Any]:
    """Return a context for the package's own work, under no strictness of the user's."""
    return together(changes())


def together(contexts: list[AbstractContextManager[Any]]) -> AbstractContextManager[Any]:
    """Return several contexts as one."""
    return _together(contexts) if contexts else _NOTHING


@contextmanager
def _together(contexts: list[AbstractContextManager[Any]]) -> Iterator[None]:
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


# A step of a small problem takes microseconds, and a context manager of Python's makes several of them.
_NOTHING = nullcontext()
