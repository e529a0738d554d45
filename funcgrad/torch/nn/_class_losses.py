"""Losses of one class out of many: `nll_loss` and `cross_entropy`.

Behaviour: https://pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

from typing import Any

import jax.numpy as jnp

import funcgrad.torch as torch
from funcgrad.torch._ops.index_put import elements_to_check
from funcgrad.torch._ops.row import PROMOTED, Array, Index, Row, arguments_of, no_kernel
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn._reduction import reduction_of


def _check_classes(input: Tensor, target: Tensor, weight: Any, ignore_index: int, *_: Any) -> None:
    """PyTorch's checks of `nll_loss`.

    Raises:
        ValueError, RuntimeError, IndexError: shapes, dtypes or classes do not fit.
    """
    n = input.ndim
    if n == 1:
        if target.ndim > 1:
            raise RuntimeError(_SINGLE)
        if target.ndim and target.shape[0] != 1:
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target.shape[0]}"
            )
    elif n == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    elif input.shape[0] != (batch := target.shape[0] if target.ndim else 0):
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({batch})."
        )
    elif not target.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    elif n == 2 and target.ndim > 1:
        raise RuntimeError(_SINGLE)
    elif n == 4 and target.ndim != 3:
        raise RuntimeError(
            f"only batches of spatial targets supported (3D tensors) but got targets of dimension: {target.ndim}"
        )
    elif n == 4 and target.shape[1:] != input.shape[2:]:
        raise RuntimeError(
            f"size mismatch (got input: {list(input.shape)} , target: {list(target.shape)}"
        )
    elif n in (3, 5, 6) and target.shape[1:] != input.shape[2:]:
        raise RuntimeError(
            f"Expected target size {[input.shape[0], *input.shape[2:]]}, got {list(target.shape)}"
        )
    if target.dtype.name not in ("int64", "uint8"):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {target.dtype.scalar_type}"
        )
    classes = input.shape[0 if n == 1 else 1]
    if weight is not None:
        if tuple(weight.shape) != (classes,):
            raise RuntimeError(
                f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of "
                f"shape: {list(weight.shape)}"
            )
        if weight.dtype is not input.dtype:
            names = [each.dtype.scalar_type for each in (input, weight)]
            raise RuntimeError(f"expected scalar type {names[0]} but found {names[1]}")
    elements = elements_to_check(target)
    if elements is not None and elements.size:
        bad = (elements < 0) | (elements >= classes)
        if bad.any():
            bad &= elements != ignore_index
            for found in elements[bad].reshape(-1)[:1]:
                raise IndexError(f"Target {found} is out of bounds.")


_SINGLE = "0D or 1D target tensor expected, multi-target not supported"


def _nll(input: Array, target: Index, weight: Index = None, ignore_index: int = -100, reduction: str = "mean") -> Any:  # fmt: skip
    axis = 0 if input.ndim == 1 else 1
    target = target.reshape(()) if input.ndim == 1 else target
    kept = target != ignore_index
    classes = jnp.arange(input.shape[axis]).reshape(-1, *[1] * (input.ndim - 1 - axis))
    chosen = jnp.expand_dims(target, axis) == classes
    # Not by an index: a sum over classes is fused with the softmax before it.
    weights = kept.astype(input.dtype)
    if weight is not None:
        each = jnp.where(chosen, weight.reshape(classes.shape), 0).sum(axis)
        weights = jnp.where(kept, each, 0)
    losses = -jnp.where(kept, jnp.where(chosen, input, 0).sum(axis) * weights, 0)
    if reduction == "none":
        return losses
    return losses.sum() / weights.sum() if reduction == "mean" else losses.sum()


def _nll_row(name: str, node: str) -> Row:
    return Row(
        name,
        node,
        _nll,
        arguments_of(_nll),
        kind="loss",
        prepare=_check_classes,
        saves="self target weight",
        accumulates=True,
        refuses=(no_kernel("biuc", "nll_loss_out_frame"),),
    )


_FLAT = _nll_row("nll_loss.flat", "NllLossBackward0")
_SPATIAL = _nll_row("nll_loss.spatial", "NllLoss2DBackward0")
_RESHAPED = _nll_row("nll_loss.reshaped", "ViewBackward0")


def _nll_of(input: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str) -> Tensor:  # fmt: skip
    row = _FLAT if input.ndim < 3 else _SPATIAL
    if input.ndim not in (1, 2, 4) and reduction == "none":
        row = _RESHAPED
    return row(input, target, weight, ignore_index, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of classes.

    Args:
        input: log-probabilities, of shape (classes,), (rows, classes) or (rows, classes, ...).
        target: the classes, of shape (), (rows,) or (rows, ...).
        weight: of each class.
        size_average, reduce, reduction: as for `mse_loss`; the mean is divided by the sum of the weights.
        ignore_index: a target that counts for nothing.

    Raises:
        ValueError, RuntimeError: the shapes or dtypes do not fit.
        IndexError: a class is out of bounds.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    return _nll_of(input, target, weight, ignore_index, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy of the softmax of logits.

    Args:
        input: logits, of shape (classes,), (rows, classes) or (rows, classes, ...).
        target: the classes, as for `nll_loss`; or probabilities, of the shape of the input.
        weight: of each class.
        size_average, reduce, reduction: as for `mse_loss`.
        ignore_index: a class as target that counts for nothing.
        label_smoothing: the share of the target's probability that is spread over all classes.

    Raises:
        TypeError: an argument is not a tensor.
        ValueError, RuntimeError: the shapes or dtypes do not fit.
        IndexError: a class is out of bounds.

    >>> import funcgrad.torch as torch
    >>> torch.nn.functional.cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """
    reduction = reduction_of(size_average, reduce, reduction)
    for k, (name, each) in enumerate((("input", input), ("target", target)), 1):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"cross_entropy_loss(): argument '{name}' (position {k}) must be Tensor, not {type(each).__name__}"
            )
    smooth = label_smoothing
    if input.shape == target.shape:
        if not target.dtype.is_floating_point:
            raise RuntimeError(
                f"Expected floating point type for target with class probabilities, got {target.dtype.scalar_type}"
            )
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        return _of_probabilities(input, target, weight, smooth, reduction)
    if not 0.0 <= smooth <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {smooth:g}")
    logs: Any = torch.log_softmax(input, 0 if input.ndim < 2 else 1)
    losses: Any = _nll_of(logs, target, weight, ignore_index, reduction)
    if not smooth:
        return losses
    spread = _spread(logs, target, weight, ignore_index, reduction)
    return losses * (1 - smooth) + spread * (smooth / input.shape[0 if input.ndim < 2 else 1])


def _spread(logs: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    """The losses against all classes alike."""
    axis = 0 if logs.ndim < 2 else 1
    weighted = logs
    if weight is not None:
        weighted = logs * weight.reshape(-1, *[1] * (logs.ndim - 1 - axis))
    ignored = target == ignore_index
    losses = (-weighted.sum(axis)).masked_fill(ignored, 0.0)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if weight is None:
        return losses.sum() / (~ignored).sum()
    each = weight[target.masked_fill(ignored, 0)].masked_fill(ignored, 0.0)
    return losses.sum() / each.sum()


def _entropy(logs: Array, target: Array, weight: Index = None, smooth: float = 0.0, reduction: str = "mean") -> Any:  # fmt: skip
    axis = 0 if logs.ndim < 2 else 1
    classes = logs.shape[axis]
    if smooth:
        target = target * (1 - smooth) + smooth / classes
    if weight is not None:
        logs = logs * weight.reshape(-1, *[1] * (logs.ndim - 1 - axis))
    losses = -(logs * target).sum(axis)
    if reduction == "none":
        return losses
    return losses.sum() / max(losses.size, 1) if reduction == "mean" else losses.sum()


_ENTROPY = {
    reduction: Row(
        f"cross_entropy.{reduction}",
        node,
        _entropy,
        arguments_of(_entropy),
        kind="loss",
        dtype=PROMOTED,
        accumulates=True,
    )
    for reduction, node in (
        ("none", "NegBackward0"),
        ("mean", "DivBackward1"),
        ("sum", "NegBackward0"),
    )
}


def _of_probabilities(input: Any, target: Any, weight: Any, smooth: float, reduction: str) -> Any:
    axis = 0 if input.ndim < 2 else 1
    if not 0.0 <= smooth <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {smooth:g}")
    if weight is not None and tuple(weight.shape) != (input.shape[axis],):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {input.shape[axis]} classes or no classes but "
            f"got weight tensor of shape: {list(weight.shape)}"
        )
    return _ENTROPY[reduction](torch.log_softmax(input, axis), target, weight, smooth, reduction)
