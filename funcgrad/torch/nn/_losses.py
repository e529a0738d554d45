"""Losses: one row for each loss and reduction, and the functions that users call.

A loss without a node of its own in PyTorch is a composition there; here it is one op under the name of the last node.

Behaviour: https://pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import funcgrad.torch as torch
from funcgrad.engine import Aval
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
from funcgrad.torch._tensor.operands import check_broadcast
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import from_numpy_dtype
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
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely "
            "lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
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
        return _huber(checked(reduction), input, target, delta)
    return _weighted(_huber("none", input, target, delta), weight, checked(reduction))


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
    if elements is not None and not np.all((elements >= 0) & (elements <= 1)):
        raise RuntimeError(f"all elements of {name} should be between 0 and 1")


@declared_loss(
    "binary_cross_entropy_with_logits",
    "BinaryCrossEntropyWithLogitsBackward0",
    own=True,
    saves="self target weight",
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
    return _bce_of_logits(reduction, input, target, weight, pos_weight)


# ------------------------------------------------------------------------------------------- of many classes


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
    elif input.shape[0] != (target.shape[0] if target.ndim else 1):
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({target.shape[0]})."
        )
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
    if input.shape == target.shape and input.ndim:
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


# ------------------------------------------------------------------------------------------- of distributions


@declared_loss("kl_div", "SubBackward0", check=check_broadcast)
def _kl_div(input: Array, target: Array) -> Any:
    return jax.scipy.special.xlogy(target, target) - target * input


@declared_loss("kl_div.log", "MulBackward0", check=check_broadcast)
def _kl_div_of_log(input: Array, target: Array) -> Any:
    return jnp.exp(target) * (target - input)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The Kullback-Leibler divergence of log-probabilities from a target.

    Args:
        input: log-probabilities.
        target: probabilities; log-probabilities if `log_target`.
        size_average, reduce: deprecated.
        reduction: "none", "mean", "sum", or "batchmean", which divides the sum by the first dimension.
        log_target: see `target`.

    Raises:
        ValueError: there is no such reduction.

    Warns:
        UserWarning: the reduction is "mean".
    """
    if size_average is not None or reduce is not None:
        reduction = reduction_of(size_average, reduce, reduction)
    elif reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by "
            "the batch size, and aligns with the KL div math definition.'mean' will be changed to behave the same as "
            "'batchmean' in the next major release.",
            stacklevel=2,
        )
    of = _kl_div_of_log if log_target else _kl_div
    if reduction == "batchmean":
        total: Any = of("sum", input, target)
        return total / input.shape[0] if input.ndim else total
    return of(checked(reduction), input, target)


_PI = np.pi


def _stirling(target: Any) -> Any:
    safe = jnp.where(target > 1, target, 1)
    terms = target * jnp.log(safe) - target + 0.5 * jnp.log(2 * _PI * safe)
    return jnp.where(target > 1, terms, 0)


def _poisson_losses(input: Any, target: Any, log_input: bool, eps: float) -> Any:
    if log_input:
        return jnp.exp(input) - target * input
    return input - target * jnp.log(input + eps)


@declared_loss("poisson_nll_loss", "SubBackward0", check=check_broadcast)
def _poisson(input: Array, target: Array, log_input: bool, eps: float) -> Any:
    return _poisson_losses(input, target, log_input, eps)


@declared_loss("poisson_nll_loss.full", "AddBackward0", check=check_broadcast)
def _full_poisson(input: Array, target: Array, log_input: bool, eps: float) -> Any:
    return _poisson_losses(input, target, log_input, eps) + _stop(_stirling(target))


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of counts under a Poisson distribution.

    Args:
        input: the expected counts; their logarithms if `log_input`.
        target: the counts.
        log_input: see `input`.
        full: whether Stirling's approximation of the constant term is added.
        eps: added to `input` before its logarithm is taken.
        size_average, reduce, reduction: as for `mse_loss`.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    return (_full_poisson if full else _poisson)(reduction, input, target, log_input, float(eps))


def _gaussian_losses(input: Any, target: Any, var: Any, eps: float) -> Any:
    # As in PyTorch, the lower bound of the variance does not stop its gradient.
    var = var + _stop(jnp.maximum(var, eps) - var)
    return 0.5 * (jnp.log(var) + jnp.square(input - target) / var)


@declared_loss("gaussian_nll_loss", "MulBackward0")
def _gaussian(input: Array, target: Array, var: Array, eps: float) -> Any:
    return _gaussian_losses(input, target, var, eps)


@declared_loss("gaussian_nll_loss.full", "AddBackward0")
def _full_gaussian(input: Array, target: Array, var: Array, eps: float) -> Any:
    return _gaussian_losses(input, target, var, eps) + 0.5 * np.log(2 * _PI)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of numbers under a normal distribution.

    Args:
        input: the expectations.
        target: the numbers.
        var: the variances: a tensor of the input's shape, or without its last dimension; or a number.
        full: whether the constant term is added.
        eps: the lower bound of the variances.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: a variance is negative, or their shape does not fit.
    """
    given: Any = input
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * torch.ones_like(input)
    else:
        elements = elements_to_check(var)
        if elements is not None and np.any(elements < 0):
            raise ValueError("var has negative entry/entries")
    if var.shape != given.shape:
        if given.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (given.shape[:-1] == var.shape[:-1] and var.shape[-1] == 1):
            broadcasts = given.ndim == var.ndim and all(
                one == other or one == 1 for other, one in zip(given.shape, var.shape, strict=True)
            )
            if not broadcasts:
                raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    return (_full_gaussian if full else _gaussian)(reduction, input, target, var, float(eps))
