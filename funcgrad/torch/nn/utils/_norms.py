"""The functions under the two forms of weight norm and of spectral norm."""

from typing import Any

import jax.numpy as jnp

from funcgrad.torch._ops.row import Array, op
from funcgrad.torch.nn.modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

# Their outputs lie along the second dimension of the weight.
TRANSPOSED = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)


def _axes(ndim: int, dim: int) -> tuple[int, ...] | None:
    return None if dim == -1 else tuple([k for k in range(ndim) if k != dim])


@op("norm_except_dim.of", "ViewBackward0")
def _norm_except_dim(v: Array, dim: int = 0) -> Any:
    return jnp.sqrt(jnp.sum(jnp.abs(v) ** 2, _axes(v.ndim, dim), keepdims=dim != -1))


def _normed(v: Array, g: Array, dim: int = 0) -> Any:
    squares = jnp.sum(jnp.abs(v) ** 2, _axes(v.ndim, dim), keepdims=dim != -1)
    return v * (g / jnp.sqrt(squares))


_FUSED = op("weight_norm.fused", "WeightNormInterfaceBackward0")(_normed)
_COMPOSED = op("weight_norm.composed", "MulBackward0")(_normed)


def norm_except_dim(v: Any, dim: int) -> Any:
    """The norm over all dimensions but one, which keep the length 1; over all, a number, if `dim` is -1."""
    return _norm_except_dim(v, dim)


def of_length(v: Any, g: Any, dim: int) -> Any:
    """`v` with the norm `g`; the norm is over all dimensions but `dim`, over all if `dim` is -1."""
    return (_FUSED if dim in (0, v.ndim - 1) else _COMPOSED)(v, g, dim)


def as_matrix(weight: Any, dim: int) -> Any:
    """A weight as a matrix, with `dim` as its rows."""
    if dim != 0:
        weight = weight.permute(dim, *[k for k in range(weight.ndim) if k != dim])
    return weight.reshape(weight.size(0), -1)


def check_iterations(count: int) -> None:
    """Check the number of steps.

    Raises:
        ValueError: it is not positive.
    """
    if count <= 0:
        raise ValueError(
            f"Expected n_power_iterations to be positive, but got n_power_iterations={count}"
        )
