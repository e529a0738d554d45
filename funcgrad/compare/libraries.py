"""Which library each side of a comparison is written with: named by `on`, told by its code, or found by a trial."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

from funcgrad.compare.devices import find_device
from funcgrad.compare.errors import OptionError
from funcgrad.compare.inputs import Inputs
from funcgrad.compare.referring import JAX, LENDING, PYTORCH, SHIM, owner, references
from funcgrad.compare.sides import Derivatives, FindingError, Side

SPELLINGS = {"pytorch": PYTORCH, "shim": SHIM, "jax": JAX}
"""The names that `on` takes."""


def on(library: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Name the library that runs a function, if its code does not tell.

    Args:
        library: "pytorch", "shim" or "jax".
        function: one that could run with several, such as `lambda w, x: (x @ w).sum()`.

    Raises:
        OptionError: there is no such library.

    >>> from funcgrad.compare import on, parity
    >>> import numpy as np
    >>> def loss(w, x):
    ...     return ((x @ w) ** 2).mean()
    >>> parity(on("shim", loss), on("jax", loss), np.ones(2), np.ones((3, 2))).ok
    True
    """
    if library not in SPELLINGS:
        raise OptionError(f"unknown library {library!r}; there are: {', '.join(SPELLINGS)}")
    return functools.wraps(function)(_Named(SPELLINGS[library], function))


@dataclass
class _Named:
    kind: str
    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def make_sides(
    reference: Callable[..., Any],
    candidate: Callable[..., Any],
    inputs: Inputs,
    derivatives: Derivatives,
    device: str | None = None,
    may_change: bool = False,
) -> tuple[Side, Side]:
    """Find out which library each of two functions is written with.

    A function that refers to one of the libraries runs with it. Any other is tried: with JAX, with
    PyTorch, with the shim; a candidate with the shim before PyTorch.

    Raises:
        OptionError: a side is not callable, there is no such device, or PyTorch is not installed.
        FindingError: a side captures a tensor from outside.
    """
    place = find_device(device)
    tried = {"reference": (JAX, PYTORCH, SHIM), "candidate": (JAX, SHIM, PYTORCH)}
    sides = []
    for role, function in (("reference", reference), ("candidate", candidate)):
        if not callable(function):
            raise OptionError(f"the {role} must be a function, such as a loss; got {function!r}")
        found = [*references(getattr(function, "function", function))]
        _refuse_captured(role, found)
        kind = _kind_of(function, [thing for _, thing in found])
        kinds = tried[role] if kind is None else (kind,)
        choices = [
            Side(role, each, function, place, [], may_change)
            for each in kinds
            if kind is not None or each != PYTORCH or find_spec("torch")
        ]
        sides.append(_first_that_runs(choices, inputs, derivatives))
    return sides[0], sides[1]


def written_with(function: Callable[..., Any]) -> str:
    """Return the library that a function's code refers to; JAX if it refers to none."""
    inner = getattr(function, "function", function)
    return _kind_of(function, [thing for _, thing in references(inner)]) or JAX


def _kind_of(function: Any, referred: list[Any]) -> str | None:
    """The one library that a function is written with; None where its code does not tell."""
    if isinstance(function, _Named):
        return function.kind
    own = owner(function)
    if own is not None:
        return own
    found = {who for who in map(owner, referred) if who is not None}
    # JAX beside tensors: a function with an op from `from_jax`, or with data made by JAX.
    return next((who for who in (SHIM, PYTORCH, JAX) if who in found), None) if found else None


def _first_that_runs(choices: list[Side], inputs: Inputs, derivatives: Derivatives) -> Side:
    if len(choices) == 1:
        if choices[0].kind == PYTORCH and find_spec("torch") is None:
            raise OptionError(
                f"{choices[0].name} needs PyTorch, which is not installed (pip install 'funcgrad[compare]')"
            )
        return choices[0]
    for side in choices:
        with contextlib.suppress(FindingError):
            side.quantities(inputs, derivatives)
            side.notes.clear()
            return side
    return choices[-1]


def _refuse_captured(role: str, found: list[Any]) -> None:
    """Refuse a function that uses numbers from outside: the other side may have others, or change its own."""
    lent = any(name == LENDING for name, _ in found)
    for name, thing in found:
        if owner(thing) is None or isinstance(thing, type):
            continue
        if hasattr(thing, "param_groups"):
            raise FindingError(
                f"the {role} uses the optimizer {name!r} from outside, whose buffers are no inputs. Write the update in the "
                "function, and give the buffers as arguments"
            )
        if hasattr(thing, "named_parameters"):
            if lent:
                continue
            raise FindingError(
                f"the {role} uses the model {name!r} from outside, whose parameters are no inputs: their gradients "
                "would not be compared. Give the parameters as an argument, and call the model by "
                f"torch.func.functional_call({name}, parameters, ...)"
            )
        if hasattr(thing, "shape") and _has_floating_dtype(thing):
            raise FindingError(
                f"the {role} captures the tensor {name!r}, of shape {tuple(thing.shape)}, from outside: its gradient "
                "would not be compared, and the other side may have other numbers. Give it as an argument"
            )


def _has_floating_dtype(thing: Any) -> bool:
    dtype = getattr(thing, "dtype", None)
    if isinstance(thing, jax.Array):  # a random key is one too
        return bool(jax.dtypes.issubdtype(dtype, np.inexact))
    return bool(getattr(dtype, "is_floating_point", False) or getattr(dtype, "is_complex", False))
