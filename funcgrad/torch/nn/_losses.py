"""Losses: one row for each loss and reduction, and the functions that users call.

A loss without a node of its own in PyTorch is a composition there; here it is one op under the name of the last node.

Behaviour: https://pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import funcgrad.torch as torch
from funcgrad.engine import Aval
from funcgrad.torch._ops.casting import casts
from funcgrad.torch._ops.conversions import to
from funcgrad.torch._ops.index_put import elements_to_check
from funcgrad.torch._ops.row import (
    PROMOTED,
    SAME,
    Array,
    Index,
    Row,
    arguments_of,
    no_kernel,
)
from funcgrad.torch._ops.undifferentiable import without_derivative
from funcgrad.torch._tensor.operands import check_broadcast, check_castable
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import from_numpy_dtype, promote_types
from funcgrad.torch._types.warning import warn
from funcgrad.torch.nn._reduction import checked, reduction_of

_REDUCTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "none": ("", lambda losses: losses),
    "mean": ("MeanBackward0", jnp.mean),
    "sum": ("SumBackward0", jnp.sum),
}
_stop = jax.lax.stop_gradient


def declared_loss(
    name: str, node: str, *, own: bool = False, dtype: str = PROMOTED, **facts: Any
) -> Any:
    """Declare a loss by the JAX function of its elements; the result is called with the reduction, then the arguments.

    Args:
        name: PyTorch's name.
        node: the name of the graph node.
        own: whether the node is the loss's own, the same for each reduction; else it is that of unreduced losses.
        dtype: the row's rule of dtypes.
        facts: the row's other fields.
    """

    # A loss of operands that broadcast is elementwise.
    facts.setdefault("laid_out", facts.get("check") is check_broadcast)

    def declare(of: Callable[..., Any]) -> Callable[..., Tensor]:
        rows = {}
        for reduction, (label, reduce) in _REDUCTIONS.items():

            def reduced(*args: Any, reduce: Any = reduce, **kwargs: Any) -> Any:
                return reduce(of(*args, **kwargs))

            rows[reduction] = Row(
                f"{name}.{reduction}",
                node if own or not label else label,
                reduced,
                arguments_of(of),
                kind="loss",
                dtype=dtype,
                accumulates=True,
                **facts,
            )

        def call(reduction: str, *args: Any) -> Tensor:
            return rows[reduction](*args)

        return call

    return declare


def _name(aval: Aval) -> str:
    return from_numpy_dtype(aval.dtype).scalar_type


# ------------------------------------------------------------------------------------------- of numbers


def _warn_of_sizes(input: Tensor, target: Tensor) -> None:
    if target.shape != input.shape:
        warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely "
            "lead to incorrect results due to broadcasting. Please ensure they have the same size."
        )


_BROADCAST: dict[str, Any] = {"own": True, "check": check_broadcast, "saves": "self target"}


def _kernel(name: str) -> Any:
    return (no_kernel("biuc", name),)


@declared_loss("mse_loss", "MseLossBackward0", refuses=_kernel("mse_cpu"), **_BROADCAST)
def _mse(input: Array, target: Array) -> Any:
    return jnp.square(input - target)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared differences of input and target, or their mean or sum.

    Args:
        input, target: of one shape; other shapes broadcast, with a warning.
        size_average, reduce: deprecated.
        reduction: "none", "mean" or "sum".
        weight: of each element; the mean is then divided by their sum.

    Raises:
        ValueError: there is no such reduction, or the weights have another shape.
        RuntimeError: the shapes do not broadcast.

    >>> import funcgrad.torch as torch
    >>> torch.nn.functional.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """
    _warn_of_sizes(input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    if weight is None:
        return _mse(reduction, input, target)
    return _weighted(torch.pow(torch.sub(input, target), 2), weight, reduction)


def _weighted(losses: Any, weight: Any, reduction: str) -> Tensor:
    """Losses with a weight each; their mean is divided by the sum of the weights."""
    if weight.shape != losses.shape:
        raise ValueError("Weights and input must have the same size.")
    weighted = losses * weight
    if reduction == "mean":
        return weighted.sum() / weight.sum()
    return weighted.sum() if reduction == "sum" else weighted


@casts
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute differences of input and target, or their mean or sum; arguments as for `mse_loss`."""
    _warn_of_sizes(input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    losses = torch.abs(torch.sub(input, target))
    if weight is not None:
        return _weighted(losses, weight, reduction)
    return losses if reduction == "none" else getattr(losses, reduction)()


@declared_loss(
    "smooth_l1_loss", "SmoothL1LossBackward0", refuses=_kernel("smooth_l1_cpu"), **_BROADCAST
)
def _smooth_l1(input: Array, target: Array, beta: float) -> Any:
    # The quadratic piece, as in PyTorch, does not hold where the difference is beta.
    difference = jnp.abs(input - target)
    return jnp.where(difference < beta, 0.5 * jnp.square(input - target) / beta, difference - 0.5 * beta)  # fmt: skip


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """As `l1_loss`, but quadratic for differences below `beta`; other arguments as for `mse_loss`.

    Raises:
        RuntimeError: `beta` is negative.
    """
    _warn_of_sizes(input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    if beta == 0.0:
        return l1_loss(input, target, reduction=reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return _smooth_l1(reduction, input, target, beta)


@declared_loss("huber_loss", "HuberLossBackward0", refuses=_kernel("huber_cpu"), **_BROADCAST)
def _huber(input: Array, target: Array, delta: float) -> Any:
    difference = jnp.abs(input - target)
    return jnp.where(difference <= delta, 0.5 * jnp.square(input - target), delta * (difference - 0.5 * delta))  # fmt: skip


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the squared difference up to `delta`, and linear beyond; other arguments as for `mse_loss`.

    Raises:
        RuntimeError: `delta` is not positive.
    """
    _warn_of_sizes(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    if weight is None:
        return _huber_loss(checked(reduction), input, target, delta)
    return _weighted(_huber_loss("none", input, target, delta), weight, checked(reduction))


def _huber_loss(reduction: str, input: Tensor, target: Tensor, delta: float) -> Tensor:
    """As in PyTorch, the result has the input's dtype, and there is no derivative if the target has another."""
    if input.dtype is target.dtype:
        return _huber(reduction, input, target, delta)
    names = [each.dtype.scalar_type for each in (target, input)]
    names = names if input.requires_grad else names[::-1]
    check_castable(promote_types(input.dtype, target.dtype), input.dtype)
    return without_derivative(
        "huber_loss",
        lambda: to(_huber(reduction, input, target, delta), input.dtype),
        input,
        target,
        error=RuntimeError(f"Found dtype {names[0]} but expected {names[1]}"),
    )


# ------------------------------------------------------------------------------------------- of two classes


def _check_bce(input: Aval, target: Aval, weight: Any = None) -> None:
    if target.dtype != input.dtype:
        names = [_name(each) for each in (target, input)]
        raise RuntimeError(f"Found dtype {names[0]} but expected {names[1]}")


@declared_loss(
    "binary_cross_entropy",
    "BinaryCrossEntropyBackward0",
    own=True,
    dtype=SAME,
    check=_check_bce,
    saves="self target weight",
    laid_out=True,
    refuses=(no_kernel("biuc", "binary_cross_entropy"),),
)
def _bce(input: Array, target: Array, weight: Index = None) -> Any:
    losses = _bce_terms(input, target)
    return losses if weight is None else losses * weight


@jax.custom_jvp
def _bce_terms(x: Any, y: Any) -> Any:
    """The losses, with logarithms of at least -100."""
    # As in PyTorch: (1 - x) is subtracted before the logarithm is taken.
    low = np.asarray(-100, x.dtype)
    return (y - 1) * jnp.maximum(jnp.log1p(-x), low) - y * jnp.maximum(jnp.log(x), low)


@_bce_terms.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x, y), (along_x, along_y) = primals, tangents
    # PyTorch's derivative, whose denominator has a lower bound.
    slope = (x - y) / jnp.maximum((1 - x) * x, np.asarray(1e-12, x.dtype))
    return _bce_terms(x, y), slope * along_x + (jnp.log1p(-x) - jnp.log(x)) * along_y


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The cross entropy of probabilities of one class out of two.

    Args:
        input: probabilities.
        target: probabilities, of the same shape and dtype.
        weight: of each element; it broadcasts.
        size_average, reduce, reduction: as for `mse_loss`.

    Raises:
        ValueError: the shapes differ.
        RuntimeError: the dtypes differ, or an element lies outside [0, 1].
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. Please "
            "ensure they have the same size."
        )
    if weight is not None:
        weight = _expanded(weight, target.shape)
    for name, each in (("input", input), ("target", target)):
        if each.dtype.is_floating_point:
            _check_unit(name, each)
    return _bce(reduction, input, target, weight)


def _expanded(weight: Any, shape: Any) -> Any:
    for k, (given, wanted) in enumerate(zip(weight.shape[::-1], shape[::-1], strict=False), 1):
        if given not in (1, wanted) and wanted != 1:
            raise RuntimeError(
                f"Attempting to broadcast a dimension of length {given} at -{k}! Mismatching argument at index 1 had "
                f"{weight.shape}; but expected shape should be broadcastable to {list(shape)}"
            )
    return weight.expand(np.broadcast_shapes(tuple(weight.shape), tuple(shape)))


def _check_unit(name: str, tensor: Tensor) -> None:
    elements = elements_to_check(tensor)
    if elements is not None and not ((elements >= 0) & (elements <= 1)).all():
        raise RuntimeError(f"all elements of {name} should be between 0 and 1")


@declared_loss(
    "binary_cross_entropy_with_logits",
    "BinaryCrossEntropyWithLogitsBackward0",
    own=True,
    saves="self target weight",
    laid_out=True,
)
def _bce_of_logits(
    input: Array, target: Array, weight: Index = None, pos_weight: Index = None
) -> Any:
    if pos_weight is None:
        losses = (1 - target) * input - jax.nn.log_sigmoid(input)
    else:
        times = (pos_weight - 1) * target + 1
        losses = (1 - target) * input - times * jax.nn.log_sigmoid(input)
    return losses if weight is None else losses * weight


@casts
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """As `binary_cross_entropy` of `sigmoid(input)`, and exact for large inputs.

    Args:
        input: logits.
        target: probabilities, of the same shape.
        weight: of each element; it broadcasts.
        size_average, reduce, reduction: as for `mse_loss`.
        pos_weight: of the positive class; it broadcasts.

    Raises:
        ValueError: the shapes differ.
        RuntimeError: the target is of integers.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    if not target.dtype.is_floating_point:
        names = [each.dtype.scalar_type for each in (input, target)]
        raise RuntimeError(
            f"result type {names[0]} can't be cast to the desired output type {names[1]}"
        )
    # PyTorch computes in the memory of `1 - target`.
    return to(_bce_of_logits(reduction, input, target, weight, pos_weight), target.dtype)
