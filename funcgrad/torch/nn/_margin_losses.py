"""Losses with a margin, between scores or between distances.

Behaviour: https://pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._ops.activations import logsigmoid
from funcgrad.torch._ops.casting import casts
from funcgrad.torch._ops.index_put import elements_to_check
from funcgrad.torch._ops.row import FLOAT, SAME, Array, Index, no_kernel
from funcgrad.torch._tensor.operands import (
    check_broadcast,
    check_castable,
    check_result_fits,
    plain_number,
)
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn._losses import declared_loss
from funcgrad.torch.nn._reduction import checked, reduction_of

_stop = jax.lax.stop_gradient


def _above(x: Any, low: float = 0) -> Any:
    """The larger of x and a bound, with PyTorch's derivative: one where they are equal."""
    return jnp.where(x >= low, x, _stop(jnp.maximum(x, low)))


# ------------------------------------------------------------------------------------------- between scores


@declared_loss("soft_margin_loss", "SoftMarginLossBackward0", own=True, check=check_broadcast, saves="self target")  # fmt: skip
def _soft_margin(input: Array, target: Array) -> Any:
    return jax.nn.softplus(-target * input)


@casts
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`log(1 + exp(-target * input))`, for targets 1 and -1; arguments as for `mse_loss`.

    Raises:
        RuntimeError: the target requires grad, or its dtype does not fit the input's.
    """
    if target.requires_grad and torch.is_grad_enabled():
        raise RuntimeError(
            "The function 'soft_margin_loss' is not differentiable with respect to argument 'target'. This input cannot have "
            "requires_grad True."
        )
    wanted = torch.promote_types(input.dtype, target.dtype)
    check_castable(wanted, input.dtype)
    check_broadcast(input._storage.aval, target._storage.aval)
    check_result_fits(tuple(input.shape), np.broadcast_shapes(input.shape, target.shape))
    made = _soft_margin(reduction_of(size_average, reduce, reduction), input, target)
    return made.to(input.dtype)


@declared_loss("hinge_embedding_loss", "AddBackward0", check=check_broadcast)
def _hinge(input: Array, target: Index, margin: float) -> Any:
    apart = jnp.where(target != 1, _above(margin - input), 0)
    return apart + jnp.where(target != -1, input, 0)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The input where the target is 1, and `max(0, margin - input)` where it is -1; other arguments as for `mse_loss`."""
    # As in PyTorch, a target has no gradient.
    return _hinge(reduction_of(size_average, reduce, reduction), input, target.detach(), margin)


@declared_loss("margin_ranking_loss", "ClampMinBackward0", dtype=FLOAT, check=check_broadcast)
def _ranking(input1: Array, input2: Array, target: Array, margin: float) -> Any:
    return _above(-target * (input1 - input2) + margin)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, -target * (input1 - input2) + margin)`; other arguments as for `mse_loss`.

    Raises:
        RuntimeError: the tensors have different numbers of dimensions.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    if not all(each.dtype.is_floating_point for each in (input1, input2, target)):
        # Integers wrap around, and bools are refused.
        return _reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)
    return _ranking(reduction, input1, input2, target, margin)


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    return losses if reduction == "none" else getattr(losses, reduction)()


def _check_not_empty(input: Tensor) -> None:
    if input.ndim > 2 or (input.ndim and not input.shape[-1]):
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}"
        )


def _check_rows(input: Tensor, target: Tensor, weight: Any, *_: Any) -> None:
    _check_not_empty(input)
    rows = input.shape[0] if input.ndim == 2 else 1
    classes = input.shape[-1] if input.ndim else 1
    if tuple(target.shape) != (rows,) and not (input.ndim < 2 and target.numel() == 1):
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch size). "
            f"Expected target size [{rows}], but got {list(target.shape)}. Input has shape {list(input.shape)}."
        )
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    elements = elements_to_check(target)
    if elements is not None and not np.all((elements >= 0) & (elements < classes)):
        raise RuntimeError("target out of range")


@declared_loss(
    "multi_margin_loss",
    "MultiMarginLossBackward0",
    own=True,
    dtype=SAME,
    prepare=_check_rows,
    saves="self target weight",
    refuses=(no_kernel("biuc", "multi_margin_loss_kernel_impl"),),
)
def _multi_margin(
    input: Array, target: Index, weight: Index = None, p: int = 1, margin: float = 1.0
) -> Any:
    target = target.reshape(()) if input.ndim < 2 else target
    input = jnp.atleast_1d(input)
    classes = jnp.arange(input.shape[-1])
    chosen = jnp.expand_dims(target, -1) == classes
    own = jnp.where(chosen, input, 0).sum(-1, keepdims=True)
    short = margin - own + input
    losses = jnp.where(~chosen & (short > 0), short**p, 0)
    if weight is not None:
        losses = losses * jnp.where(chosen, weight, 0).sum(-1, keepdims=True)
    return losses.sum(-1) / input.shape[-1]


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How far other classes come near the right one, or above it.

    Args:
        input: scores, of shape (rows, classes) or (classes,).
        target: the classes.
        p: the power of each term, 1 or 2.
        margin: the distance that costs nothing.
        weight: of each class.
        size_average, reduce, reduction: as for `mse_loss`.

    Raises:
        ValueError: `p` is neither 1 nor 2, or the weights are no vector.
        RuntimeError: the shapes do not fit, or a class is out of range.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    return _multi_margin(reduction, input, target, weight, int(p), margin)


def _check_labels(input: Tensor, target: Tensor) -> None:
    _check_not_empty(input)
    if target.shape != input.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    elements = elements_to_check(target)
    if elements is not None and elements.size:
        if elements.min() < -1:
            raise RuntimeError("argument #2 'target' is out of range")
        if elements.max() >= (input.shape[-1] if input.ndim else 1):
            raise RuntimeError("argument #2 'target' is out of range")


@declared_loss(
    "multilabel_margin_loss",
    "MultilabelMarginLossBackward0",
    own=True,
    dtype=SAME,
    prepare=_check_labels,
    saves="self target",
    refuses=(no_kernel("biuc", "multilabel_margin_loss_forward_out_frame"),),
)
def _multilabel_margin(input: Array, target: Index) -> Any:
    input, target = jnp.atleast_1d(input), jnp.atleast_1d(target)
    # The labels of a row end at the first -1.
    listed = jnp.cumprod(target >= 0, axis=-1).astype(bool)
    labels = jnp.where(listed, target, 0)
    classes = jnp.arange(input.shape[-1])
    positive = ((labels[..., None] == classes) & listed[..., None]).any(-2)
    own = jnp.take_along_axis(input, labels, -1)
    short = 1 - (own[..., :, None] - input[..., None, :])
    counts = listed[..., :, None] & ~positive[..., None, :] & (short > 0)
    return jnp.where(counts, short, 0).sum((-2, -1)) / input.shape[-1]


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How far classes that do not apply come near those that do.

    Args:
        input: scores, of shape (rows, classes) or (classes,).
        target: of the same shape: the classes that apply, then -1.
        size_average, reduce, reduction: as for `mse_loss`.

    Raises:
        RuntimeError: the shapes differ, or a class is out of range.
    """
    return _multilabel_margin(reduction_of(size_average, reduce, reduction), input, target)


@declared_loss("multilabel_soft_margin_loss", "DivBackward0", check=None)
def _multilabel_soft_margin(input: Array, target: Array, weight: Array = None) -> Any:
    losses = -(target * jax.nn.log_sigmoid(input) + (1 - target) * jax.nn.log_sigmoid(-input))
    losses = losses if weight is None else losses * weight
    return losses.sum(input.ndim - 1) / input.shape[-1]


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean cross entropy of one yes or no for each class.

    Args:
        input: logits, whose last dimension is the classes.
        target: probabilities.
        weight: of each class.
        size_average, reduce, reduction: as for `mse_loss`.

    Raises:
        ValueError: there is no such reduction.
    """
    if size_average is not None or reduce is not None:
        reduction = reduction_of(size_average, reduce, reduction)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    avals = [each._storage.aval for each in (target, input)]
    check_broadcast(*avals)
    if target.dtype in (torch.uint8, torch.bool):
        # uint8 wraps around, and bools are refused.
        no = 1 - target
        losses = -(target * logsigmoid(input) + no * logsigmoid(-input))
        losses = losses if weight is None else losses * weight
        dim = input.ndim - 1
        return _reduced(losses.sum(dim) / input.shape[dim], reduction)
    return _multilabel_soft_margin(reduction, input, target, weight)


# ------------------------------------------------------------------------------------------- between distances


@declared_loss("cosine_embedding_loss", "AddBackward0", dtype=FLOAT)
def _cosine_embedding(input1: Array, input2: Array, target: Index, margin: float) -> Any:
    tiny = 1e-12
    product = (input1 * input2).sum(-1)
    lengths = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    cosine = product / jnp.sqrt(lengths)
    return jnp.where(target == 1, 1 - cosine, 0) + jnp.where(
        target == -1, _above(cosine - margin), 0
    )


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """One minus the cosine where the target is 1, and `max(0, cosine - margin)` where it is -1.

    Args:
        input1, input2: of shape (rows, features), or (features,).
        target: of shape (rows,), or ().
        margin: the cosine that costs nothing.
        size_average, reduce, reduction: as for `mse_loss`.

    Raises:
        RuntimeError: the shapes do not fit.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    wanted = target.ndim + 1
    if input1.ndim != wanted or input2.ndim != wanted:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {wanted}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    check_broadcast(input1._storage.aval, input2._storage.aval)
    if target.ndim:
        rows = torch.empty(np.broadcast_shapes(input1.shape, input2.shape)[0])
        check_broadcast(target._storage.aval, rows._storage.aval)
    # As in PyTorch, a target has no gradient.
    return _cosine_embedding(reduction, input1, input2, target.detach(), margin)


def _check_triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> None:
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor "
            f"{anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )


@casts
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)`, with the distance d of the p-norm.

    Args:
        anchor, positive, negative: of shape (rows, features), or (features,).
        margin: how much farther the negative has to be.
        p, eps: see `pairwise_distance`.
        swap: whether the distance from the positive to the negative counts if it is smaller.
        size_average, reduce, reduction: as for `mse_loss`.

    Raises:
        ValueError: the margin is not positive.
        RuntimeError: the numbers of dimensions differ.
    """
    reduction = reduction_of(size_average, reduce, reduction)

    def distance(one: Tensor, other: Tensor) -> Tensor:
        return torch.pairwise_distance(one, other, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """As `triplet_margin_loss`, with any distance; `pairwise_distance` if it is None."""
    distance = distance_function or torch.pairwise_distance
    return _triplet(anchor, positive, negative, distance, margin, swap, checked(reduction))


def _triplet(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Tensor, Tensor], Any],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    margin = plain_number(margin, "triplet_margin_loss", "margin", 4, "float")
    _check_triplet(anchor, positive, negative, margin)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = torch.minimum(far, distance(positive, negative))
    losses: Any = torch.clamp_min(near + margin - far, 0)
    return losses if reduction == "none" else getattr(losses, reduction)()
