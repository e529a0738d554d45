"""All of linear algebra uses these: checks of matrices, the error of LAPACK, results stored in `out`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine.values import unknown
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._tensor.tensor import Tensor

exact_matmul = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


class _LinAlgError(RuntimeError):
    """The elements of a matrix do not allow what was asked: it is singular, or not positive definite."""


def called(name: str) -> str:
    """An op's name as errors give it."""
    return name.replace("linalg_", "linalg.")


def check_matrix(name: str, input: Tensor, letter: str = "A") -> None:
    """Check for floating-point or complex matrices.

    Raises:
        RuntimeError: there are fewer dimensions than 2, or the elements are integers.
    """
    if input.ndim < 2:
        raise RuntimeError(
            f"{called(name)}: The input tensor {letter} must have at least 2 dimensions."
        )
    check_inexact(name, input)


def check_inexact(name: str, input: Tensor, what: str = "tensor as input") -> None:
    """Check for floating-point or complex elements.

    Raises:
        RuntimeError: they are integers.
    """
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise RuntimeError(
            f"{called(name)}: Expected a floating point or complex {what}. Got {input.dtype.scalar_type}"
        )


def check_square(name: str, input: Tensor, letter: str = "A") -> None:
    """Check for floating-point or complex square matrices.

    Raises:
        RuntimeError: they are not.
    """
    if input.ndim < 2:
        raise RuntimeError(
            f"{called(name)}: The input tensor {letter} must have at least 2 dimensions."
        )
    rows, columns = input.shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"{called(name)}: {letter} must be batches of square matrices, but they are {rows} by {columns} matrices"
        )
    check_inexact(name, input)


def checked_by(check: Callable[..., None], name: str) -> Callable[..., None]:
    """A check of an op's first argument, as a row takes it."""
    return lambda input, *_: check(name, input)


square_matrices = partial(checked_by, check_square)


def elements(input: Tensor) -> np.ndarray | None:
    """The elements; None inside a transformation, where nobody knows them."""
    array = input._array()
    return None if unknown(array) else np.asarray(array)


def first_bad(info: Tensor | np.ndarray) -> tuple[str, int] | None:
    """The first of several matrices with an info other than zero, in PyTorch's words, and its info.

    Inside a transformation nobody knows the infos, so there is none.
    """
    bad = elements(info) if isinstance(info, Tensor) else info
    if bad is None:
        return None
    if not bad.ndim:
        return ("", int(bad)) if bad else None
    found = np.flatnonzero(bad)
    return (f"(Batch element {found[0]}): ", int(bad.reshape(-1)[found[0]])) if len(found) else None


def check_decomposable(input: Tensor) -> None:
    """Check a matrix that has been checked for its shape: LAPACK finds no singular values of NaN.

    Raises:
        torch.linalg.LinAlgError: an element is NaN.
    """
    array = elements(input)
    bad = None if array is None else first_bad(np.isnan(array).any((-2, -1)))
    if bad:
        raise _LinAlgError(
            f"linalg.svd: {bad[0]}The algorithm failed to converge because the input matrix contained non-finite values."
        )


def stored_in(name: str, kind: Any, made: tuple[Tensor, ...], input: Tensor, out: Any) -> Any:
    """Results as a named tuple, stored in `out` if it is given."""
    if out is None:
        return kind(*made)
    return kind(
        *[
            store(name, each, (input,), partial(_given, of), EXACT)
            for each, of in zip(out, made, strict=True)
        ]
    )


def _given(result: Any) -> Any:
    return result


def kept(name: str, function: Any) -> Any:
    """The function, called by this name."""
    function.__name__ = function.__qualname__ = name
    return function
