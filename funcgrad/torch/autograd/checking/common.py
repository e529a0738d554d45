"""What all parts of `gradcheck` need: its options, its error, and which tensors are differentiated."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Op
from funcgrad.torch.autograd.checking.numerical import as_tuple, of_array, values
from funcgrad.torch.creation import FUNCTIONS as CREATION
from funcgrad.torch.random_stream import Generator
from funcgrad.torch.tensor import Tensor


class GradcheckError(RuntimeError):
    """What `gradcheck` raises where a derivative is wrong."""


class Check(NamedTuple):
    """What all parts of a check need."""

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
    """Whether something is a tensor that requires grad."""
    return isinstance(each, Tensor) and each.requires_grad


def differentiable(outputs: Any) -> tuple[Tensor, ...]:
    """The outputs that require grad."""
    return tuple([each for each in as_tuple(outputs) if each.requires_grad])


def differentiated(inputs: Sequence[Any]) -> list[Tensor]:
    """The inputs that are differentiated with respect to."""
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
    """PyTorch\'s words for two Jacobians that are not the same."""
    prefix = f"While considering the {part} part of complex {of} only, " if of else ""
    return (
        f"{prefix}Jacobian {mode}mismatch for output {output} with respect to input {input},\n"
        f"numerical:{of_array(expected)}\nanalytical:{of_array(found)}\n"
    )


def unit_vector(tensor: Tensor, generator: Generator) -> np.ndarray:
    """A random direction in the space of a tensor's elements."""
    made = values(CREATION["rand"](tensor.numel(), generator=generator)).astype(np.float64)
    return made / np.linalg.norm(made)
