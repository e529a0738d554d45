"""The arguments that `fit` refuses before it compiles anything, with messages that say what to give instead."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from funcgrad.teaching import cured


def refuse_options(given: Mapping[str, Any], only_for: str) -> None:
    """Refuse options that are not None, with a ValueError that says what they are for."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise ValueError(f"{', '.join(names)}: only for {only_for}")


def check_loss(loss: Any, params: Any) -> None:
    """Refuse a loss that is none, such as parameters or a module in its place, with a TypeError."""
    if hasattr(loss, "named_parameters"):
        error = TypeError(
            f"loss must be a function (params, x, y) -> scalar, got a module, {type(loss).__name__}"
        )
        raise cured(error, "a module in a pure function")
    if not callable(loss):
        swapped = ": the loss comes first, then the params" if callable(params) else ""
        raise TypeError(
            f"loss must be a function (params, x, y) -> scalar, got {type(loss).__name__}{swapped}"
        )


def check_numbers(steps: Any, tolerance: float | None, progress_every: int | None) -> None:
    """Refuse counts and bounds that are out of range, with a ValueError."""
    whole = isinstance(steps, int | np.integer) and not isinstance(steps, bool)
    if not whole or not 0 <= steps < 2**31:
        raise ValueError(f"steps must be a whole number from 0 to 2**31 - 1, got {steps!r}")
    if tolerance is not None and not tolerance >= 0:
        raise ValueError(f"tolerance must be 0 or more, got {tolerance!r}")
    if progress_every is not None and progress_every < 1:
        raise ValueError(f"progress_every must be 1 or more, got {progress_every!r}")


def check_arrays(params: PyTree, *data: PyTree) -> None:
    """Refuse tensors that a gradient is wanted of, tensors as parameters, and a module, with a TypeError.

    Tensors without a gradient are data like any array.
    """
    for name, tree in (("params", params), *zip(("x", "y"), data, strict=False)):
        for leaf in jax.tree.leaves(tree):
            if hasattr(leaf, "named_parameters"):
                error = TypeError(f"{name} must be arrays, and has a module, {type(leaf).__name__}")
                raise cured(error, "a module in a pure function")
            if hasattr(leaf, "requires_grad") and (leaf.requires_grad or name == "params"):
                wanted = " that requires grad" if leaf.requires_grad else ""
                error = TypeError(f"{name} must be arrays, and has a tensor{wanted}")
                raise cured(error, "tensors in a pure function")


def check_optimizer(optimizer: Any, learning_rate: Any) -> None:
    """Refuse an optimizer and a learning rate that do not go together."""
    if hasattr(optimizer, "zero_grad"):
        kind = optimizer if isinstance(optimizer, type) else type(optimizer)
        error = TypeError(f"optimizer must be an optax optimizer, got PyTorch's {kind.__name__}")
        raise cured(error, "an optimizer of PyTorch")
    ready = hasattr(optimizer, "init") and hasattr(optimizer, "update")
    if not ready and not callable(optimizer):
        raise TypeError(f"optimizer must be an optax optimizer, got {optimizer!r}")
    if ready and learning_rate is not None:
        raise TypeError(
            "this optimizer already has its learning rate: "
            "with learning_rate, give a function such as optax.sgd instead of optax.sgd(...)"
        )
    if not ready and learning_rate is None:
        raise TypeError(f"{optimizer!r} needs a learning rate: give learning_rate")
    if isinstance(learning_rate, jax.core.Tracer) or learning_rate is None:
        return
    if isinstance(learning_rate, str):
        if learning_rate != "auto":
            raise ValueError(f"learning_rate must be a number or 'auto', got {learning_rate!r}")
    elif callable(learning_rate):
        raise TypeError("give a schedule to the optimizer itself: optimizer=optax.sgd(schedule)")
    elif np.shape(learning_rate) != () or not math.isfinite(learning_rate):
        raise ValueError(f"learning_rate must be one finite number, got {learning_rate!r}")


def check_batches(batch_size: int | None, key: Any, x: PyTree, y: PyTree) -> None:
    """Refuse mini-batches that the data or the key does not allow, with a ValueError."""
    if batch_size is None:
        if key is not None:
            raise ValueError("key decides the order of mini-batches: give batch_size with it")
        return
    if key is None:
        raise ValueError("batch_size needs a key, such as jax.random.key(0)")
    shapes = [leaf.shape for leaf in jax.tree.leaves((x, y))]
    counts = [shape[0] for shape in shapes if shape]
    if len(counts) != len(shapes) or len(set(counts)) != 1:
        raise ValueError(f"with batch_size, all data has the same number of rows, got {shapes}")
    if not 1 <= batch_size <= counts[0]:
        raise ValueError(
            f"batch_size must be from 1 to the {counts[0]} rows there are, got {batch_size}"
        )


def check_watching(
    validation: Any, patience: Any, callback: Any, optimizer_state: Any, checkpoint: Any
) -> None:
    """Refuse validation and callbacks that do not go together, or with a checkpoint."""
    if validation is not None and (
        not isinstance(validation, tuple | list) or len(validation) != 2
    ):
        raise TypeError(f"validation is a pair (x, y), got {type(validation).__name__}")
    if patience is not None and (validation is None or patience < 1):
        raise ValueError(
            f"patience counts validations, 1 or more, and needs some; got {patience!r}"
        )
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is a function of a Reached, got {type(callback).__name__}")
    given = {
        "validation": validation,
        "callback": callback,
        "optimizer_state": optimizer_state,
    }
    names = [name for name, value in given.items() if value is not None]
    if names and checkpoint is not None:
        raise ValueError(
            f"{', '.join(names)}: a checkpoint holds none of it, so that a resumed run would end elsewhere"
        )


def check_watched(watched: Any, optimizer_state: PyTree, checkpoint: Any, *, several: bool) -> None:
    """Refuse to look at a run over batches in ways that do not go together, or in several processes."""
    tolerance, validation, patience, callback, every = watched
    check_numbers(0, tolerance, every)
    check_watching(validation, patience, callback, optimizer_state, checkpoint)
    if every is not None and validation is None and callback is None:
        raise ValueError("progress_every: with batches, only for validation or a callback")
    if several:
        given = {"tolerance": tolerance, "validation": validation, "callback": callback}
        refuse_options(given, "one process: several would not stop together")


def started_from(fresh: PyTree, given: PyTree) -> PyTree:
    """Return an optimizer's state to start from, in the dtypes of a fresh one.

    Raises:
        ValueError: it is not of this optimizer and these params.
    """
    wanted: Any = jax.tree.structure(fresh)
    got: Any = jax.tree.structure(given)
    shapes = [list(map(np.shape, jax.tree.leaves(tree))) for tree in (fresh, given)]
    if wanted != got or shapes[0] != shapes[1]:
        raise ValueError(
            "optimizer_state is not of this optimizer and these params: it must be the optimizer_state of a "
            "fit with both"
        )
    # Copies, because the loop gives its state's memory away.
    return jax.tree.map(lambda new, old: jax.numpy.array(old, new.dtype), fresh, given)
