"""PyTorch's `native_*` functions: the kernels of norms and dropout, with the statistics that they keep."""

from collections.abc import Sequence
from typing import Any

from funcgrad.engine import grad_mode
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor


def _statistics(input: Tensor, dims: list[int], eps: float, keepdim: bool = False) -> Any:
    """The mean, and one over the root of the variance and `eps`."""
    mean = input.mean(dims, keepdim=keepdim)
    return mean, input.var(dims, correction=0, keepdim=keepdim).add(eps).rsqrt()


def native_layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`layer_norm`, the means and one over the deviations."""
    made = FUNCTIONS["layer_norm"](input, normalized_shape, weight, bias, eps)
    with grad_mode(False):
        dims = range(-len(normalized_shape), 0)
        return made, *_statistics(input.detach(), list(dims), eps, keepdim=True)


def native_group_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`group_norm`, the means and one over the deviations: (N, group)."""
    made = FUNCTIONS["group_norm"](input, group, weight, bias, eps)
    return made, *_statistics(input.reshape(N, group, -1), [2], eps)


def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`batch_norm`, the channels' means and one over their deviations; both are empty in evaluation."""
    parts = weight, bias, running_mean, running_var, training, momentum, eps
    made = FUNCTIONS["batch_norm"](input, *parts, True)
    with grad_mode(False):
        if not training:
            return made, input.new_empty(0), input.new_empty(0)
        dims = [k for k in range(input.ndim) if k != 1]
        return made, *_statistics(input.detach(), dims, eps)


def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """`channel_shuffle`."""
    return FUNCTIONS["channel_shuffle"](input, groups)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norms over all dimensions but one; over all if `dim` is -1."""
    if dim == -1:
        return v.norm(pow)
    dims = [k for k in range(v.ndim) if k != dim % v.ndim]
    return v.norm(pow, dims, keepdim=True) if dims else v.abs()


def frobenius_norm(
    input: Tensor, dim: Any, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The root of the sum of squares over some dimensions; over all if none is given."""
    return FUNCTIONS["norm"](input, 2, dim if dim or dim == 0 else None, keepdim, out=out)


for _function in (
    native_layer_norm,
    native_group_norm,
    native_batch_norm,
    native_channel_shuffle,
    norm_except_dim,
    frobenius_norm,
):
    publish(_function, method=False)
