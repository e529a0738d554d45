"""PyTorch's `torch.distributions.utils`: numbers and tensors of one shape, probabilities and logits, triangles as vectors."""

from functools import update_wrapper
from numbers import Number
from typing import Any

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "euler_constant",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]


def __dir__() -> list[str]:
    return __all__


euler_constant = float(np.euler_gamma)


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; a number takes the dtype and the device of the first tensor.

    Raises:
        ValueError: a value is neither.
    """
    if not all(isinstance(value, (Tensor, Number)) for value in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__."
        )
    first = next((value for value in values if isinstance(value, Tensor)), None)
    kind: dict[str, Any] = {"dtype": torch.get_default_dtype()}
    if first is not None:
        kind = {"dtype": first.dtype, "device": first.device}
    tensors = [
        value if isinstance(value, Tensor) else torch.tensor(value, **kind) for value in values
    ]
    return tuple(torch.broadcast_tensors(*tensors))


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:
    """Draws from the standard normal distribution."""
    return torch.empty(shape, dtype=dtype, device=device).normal_()


def _sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` dimensions."""
    return value if dim == 0 else value.reshape(*value.shape[:-dim], -1).sum(-1)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """The probabilities of classes along the last dimension; with `is_binary`, of a one."""
    return torch.sigmoid(logits) if is_binary else torch.softmax(logits, dim=-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept from 0 and 1 by the dtype's rounding."""
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logarithms of the probabilities of classes; with `is_binary`, of the odds of a one."""
    inside = clamp_probs(probs)
    return inside.log() - (-inside).log1p() if is_binary else inside.log()


class lazy_property:
    """A property that is computed once, with gradients on, and then is an attribute."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped
        update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, obj_type: Any = None) -> Any:
        if instance is None:
            return self
        with torch.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The elements of a matrix up to a diagonal, row by row.

    Raises:
        ValueError: the matrix has no such diagonal.
    """
    size = mat.shape[-1]
    if not -size <= diag < size:
        raise ValueError(f"diag ({diag}) provided is outside [{-size}, {size - 1}].")
    return mat[..., _triangle(size, diag)]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The matrix with these elements up to a diagonal, row by row, and zeros elsewhere.

    Raises:
        ValueError: no matrix has this number of elements there.
    """
    count = vec.shape[-1]
    odd = 1 + 2 * diag
    size = (-odd + (odd**2 + 8 * count + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2
    if round(size) - size > torch.finfo(vec.dtype).eps:
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as "
            "the lower triangular part of a square D x D matrix."
        )
    size = round(size)
    matrix = vec.new_zeros((*vec.shape[:-1], size, size))
    matrix[..., _triangle(size, diag)] = vec
    return matrix


def _triangle(size: int, diag: int) -> Tensor:
    return torch.ones(size, size, dtype=torch.bool).tril(diag)
