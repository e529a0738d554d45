"""Derivatives by central differences, as NumPy arrays. `gradcheck` compares gradients with them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from funcgrad.engine.tracing import as_tuple
from funcgrad.torch._tensor.tensor import Tensor, place, tensor_of


def values(tensor: Tensor) -> np.ndarray:
    """The elements of a tensor."""
    return np.array(tensor.detach().numpy())


def from_elements(array: Any, like: Tensor | None = None) -> Tensor:
    """A tensor of these elements, on the device of `like`."""
    bound = None if like is None else like._storage.aval.device
    return tensor_of(
        place(np.asarray(array), None if bound is None or like is None else like.device)
    )


def allclose(a: Any, b: Any, rtol: float, atol: float) -> bool:
    """Whether two arrays are close, relative to the second.

    Raises:
        RuntimeError: a tolerance is negative.
    """
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance < 0:
            raise RuntimeError(
                f"{name} must be greater than or equal to zero, but got {tolerance:g}"
            )
    return bool(np.allclose(a, b, rtol, atol))


def differs(a: np.ndarray, b: np.ndarray, atol: float) -> bool:
    """Whether two arrays are farther apart than `atol` anywhere."""
    return bool(a.size and np.abs(a - b).max() > atol)


@contextmanager
def _holding(tensor: Tensor, array: np.ndarray) -> Iterator[None]:
    """A block in which a tensor holds other elements; autograd does not notice."""
    storage = tensor.data._storage
    before = storage.read()
    storage.write(from_elements(array, tensor)._storage.read())
    try:
        yield
    finally:
        storage.write(before)


def _change(
    func: Callable[..., Any],
    inputs: tuple[Any, ...],
    start: Tensor,
    step: np.ndarray,
    size: float,
    index: tuple[int, ...] | None,
) -> list[np.ndarray]:
    """The flat change of each output when `start` moves by `step` both ways, divided by twice `size`."""
    at = values(start)
    found = []
    for moved in (at - step, at + step):
        with _holding(start, moved.astype(at.dtype)):
            found.append([each.detach().clone() for each in as_tuple(func(*inputs))])
    changes = []
    for first, second in zip(*found, strict=True):
        where = "" if index is None else f"on index {index} "
        for what in ("shape", "dtype"):
            a, b = getattr(first, what), getattr(second, what)
            if a != b:
                raise AssertionError(
                    f"Expected `func` to return outputs with the same {what} when inputs are perturbed {where}by "
                    f"{size}, but got: {what}s {a} and {b}."
                )
        below, above = values(first), values(second)
        if below.dtype == bool:
            raise RuntimeError(
                "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
                "operator instead."
            )
        with np.errstate(all="ignore"):
            changes.append(((above - below) / (2 * size)).reshape(-1))
    return changes


def jacobian(
    func: Callable[..., Any],
    inputs: tuple[Any, ...],
    start: Tensor,
    outputs: tuple[Tensor, ...],
    eps: float,
) -> list[np.ndarray]:
    """For each output, its derivatives with respect to one input: a row for each element of the input."""
    shape = tuple(start.shape)
    is_complex = start.dtype.is_complex
    rows: list[list[np.ndarray]] = [[] for _ in outputs]
    for index in np.ndindex(*shape):
        step: Any = np.zeros(shape)
        step[index] = eps
        changes = _change(func, inputs, start, step, eps, index)
        if is_complex:
            sideways = _change(func, inputs, start, 1j * step, eps, index)
            changes = [a + 1j * b for a, b in zip(changes, sideways, strict=True)]
        for row, change in zip(rows, changes, strict=True):
            row.append(change)
    return [stacked(row, its.numel()) for row, its in zip(rows, outputs, strict=True)]


def stacked(rows: list[np.ndarray], length: int) -> np.ndarray:
    """A matrix of rows of this length; there may be no rows."""
    return np.array(rows).reshape(len(rows), length)


def projected(
    func: Callable[..., Any], inputs: tuple[Any, ...], start: Tensor, direction: Any, eps: float
) -> list[np.ndarray]:
    """The derivative of each output along a direction of one input; along two for the parts of a complex input."""
    shape = tuple(start.shape)
    if not isinstance(direction, tuple):
        return _change(func, inputs, start, eps * direction.reshape(shape), eps, None)
    real, imaginary = (eps * each.reshape(shape) for each in direction)
    changes = _change(func, inputs, start, real, eps, None)
    sideways = _change(func, inputs, start, 1j * imaginary, eps, None)
    return [a + 1j * b for a, b in zip(changes, sideways, strict=True)]
