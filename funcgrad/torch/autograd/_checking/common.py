"""Shared by all parts of `gradcheck`: its options, its error, and the choice of differentiated tensors."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Op
from funcgrad.engine.tracing import as_tuple
from funcgrad.torch._ops.creation import FUNCTIONS as CREATION
from funcgrad.torch._random.generator import Generator
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.autograd._checking.numerical import allclose, from_elements, values


class GradcheckError(RuntimeError):
    """`gradcheck` raises this for a wrong derivative."""


class Check(NamedTuple):
    """The options of a check, shared by its parts."""

    eps: float
    rtol: float
    atol: float
    nondet_tol: float
    check_grad_dtypes: bool
    fast: bool
    masked: bool


REAL = Op("real", jnp.real, label="RealBackward0")
IMAGINARY = Op("imag", jnp.imag, label="ImagBackward0")
zeros_like = CREATION["zeros_like"]


def requires_grad(each: Any) -> bool:
    """Whether `each` is a tensor that requires grad."""
    return isinstance(each, Tensor) and each.requires_grad


def differentiable(outputs: Any) -> tuple[Tensor, ...]:
    """The outputs that require grad."""
    return tuple([each for each in as_tuple(outputs) if each.requires_grad])


def starts_among(inputs: Sequence[Any]) -> list[Tensor]:
    """The inputs to differentiate with respect to."""
    return [each for each in inputs if requires_grad(each)]


def mismatch(
    found: np.ndarray,
    expected: np.ndarray,
    output: int,
    input: int,
    of: str,
    part: str,
    mode: str = "",
) -> str:
    """PyTorch's words for two Jacobians that differ."""
    prefix = f"While considering the {part} part of complex {of} only, " if of else ""
    return (
        f"{prefix}Jacobian {mode}mismatch for output {output} with respect to input {input},\n"
        f"numerical:{from_elements(expected)}\nanalytical:{from_elements(found)}\n"
    )


_SLOWLY = (
    "\nThe above quantities relating the numerical and analytical jacobians are computed \n"
    "in fast mode. See: https://github.com/pytorch/pytorch/issues/53876 for more background \n"
    "about fast mode. Below, we recompute numerical and analytical jacobians in slow mode:\n\n"
    "Numerical:\n {0}\nAnalytical:\n{1}\n\nThe max per-element difference (slow mode) is: {2}.\n"
)
_FAST_ONLY = (
    "Fast gradcheck failed but element-wise differences are small. This means that the\n"
    "test might've passed in slow_mode!"
)


def in_slow_mode(options: Check, found: np.ndarray, expected: np.ndarray) -> str:
    """PyTorch's words about the whole Jacobians, appended to the message that projections differ."""
    note = _SLOWLY.format(
        from_elements(expected), from_elements(found), np.abs(expected - found).max()
    )
    return note + _FAST_ONLY if allclose(found, expected, options.rtol, options.atol) else note


def unit_vector(tensor: Tensor, generator: Generator) -> np.ndarray:
    """A random direction in the space of a tensor's elements."""
    made = values(CREATION["rand"](tensor.numel(), generator=generator)).astype(np.float64)
    return made / np.linalg.norm(made)
