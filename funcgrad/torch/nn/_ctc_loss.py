"""The loss of labels without alignment to the steps of a sequence.

Graves et al., "Connectionist Temporal Classification", 2006: https://www.cs.toronto.edu/~graves/icml_2006.pdf.
Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.functional.ctc_loss.html
"""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._ops.index_put import elements_to_check
from funcgrad.torch._ops.row import Array, Index, Row, arguments_of, no_kernel
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn._reduction import checked


def _log_sum(*terms: Any) -> Any:
    """The logarithm of a sum of exponentials; its derivative is zero where all terms are minus infinity."""
    most = jax.lax.stop_gradient(jnp.max(jnp.stack(terms), 0))
    some = most > -jnp.inf
    most = jnp.where(some, most, 0)
    total = sum(jnp.exp(each - most) for each in terms)
    return jnp.where(some, most + jnp.log(jnp.where(some, total, 1)), -jnp.inf)


def _losses(
    log_probs: Array,
    targets: Index,
    input_lengths: Index,
    target_lengths: Index,
    blank: int = 0,
    zero_infinity: bool = False,
) -> Any:
    steps, rows, classes = log_probs.shape
    # A blank, a label, a blank, ..., a blank. A path may leave out a blank between two labels that differ.
    labels = jnp.clip(targets, 0, classes - 1)
    blanks = jnp.full((rows, labels.shape[1] + 1), blank, labels.dtype)
    path = jnp.stack([blanks[:, 1:], labels], 2).reshape(rows, -1)
    path = jnp.concatenate([blanks[:, :1], path[:, 1:], blanks[:, :1]], 1)[
        :, : 2 * labels.shape[1] + 1
    ]
    places = jnp.arange(path.shape[1])
    jumps = (places % 2 == 1) & (path != jnp.roll(path, 2, 1)) & (places > 1)
    emitted = jnp.take_along_axis(log_probs, path[None], 2)

    def from_before(alpha: Any, by: int) -> Any:
        lacking = jnp.full((rows, by), -jnp.inf, alpha.dtype)
        return jnp.concatenate([lacking, alpha], 1)[:, : alpha.shape[1]]

    def step(alpha: Any, at: Any) -> Any:
        now, t = at
        jumped = jnp.where(jumps, from_before(alpha, 2), -jnp.inf)
        moved = _log_sum(alpha, from_before(alpha, 1), jumped) + now
        return jnp.where((t < input_lengths)[:, None], moved, alpha), None

    # Before the first step a path stands in front of the first blank: it may begin there or at the first label.
    first = jnp.where((places < 2) & (input_lengths > 0)[:, None], emitted[0], -jnp.inf)
    first = jnp.where((places == 0) & (input_lengths == 0)[:, None], 0, first)
    alpha, _ = jax.lax.scan(step, first, (emitted[1:], jnp.arange(1, steps)))
    last = jnp.take_along_axis(alpha, 2 * target_lengths[:, None], 1)[:, 0]
    label = jnp.take_along_axis(alpha, jnp.maximum(2 * target_lengths - 1, 0)[:, None], 1)[:, 0]
    losses = -_log_sum(last, jnp.where(target_lengths > 0, label, -jnp.inf))

    # PyTorch's derivative takes it that the probabilities of a step sum to one, so it has `exp(log_probs)` besides.
    there = (jnp.arange(steps)[:, None] < input_lengths)[..., None]
    total = jnp.where(there, jnp.exp(log_probs), 0).sum((0, 2))
    nothing = total - jax.lax.stop_gradient(total)
    impossible = jnp.isinf(losses)
    if zero_infinity:
        return jnp.where(impossible, 0, losses + nothing)
    # Its derivative is NaN, as PyTorch's is.
    unknown = 0 * jnp.sqrt(jnp.where(impossible, nothing, 1))
    return losses + jnp.where(impossible, unknown, nothing)


_ROWS = {
    zero: Row(
        f"ctc_loss.{'finite' if zero else 'each'}",
        node,
        _losses,
        arguments_of(_losses),
        kind="loss",
        refuses=(no_kernel("biuceV", "ctc_loss_cpu"),),
    )
    for zero, node in ((False, "CtcLossBackward0"), (True, "WhereBackward0"))
}


def ctc_loss(
    log_probs: Tensor,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability that a sequence shows given labels, whatever steps they stand at.

    Args:
        log_probs: of shape (steps, rows, classes) or (steps, classes).
        targets: labels, of shape (rows, labels) with padding at the end, or all one after another.
        input_lengths: the number of steps of each row.
        target_lengths: the number of labels of each row.
        blank: the class that stands for no label.
        reduction: "none", "mean" or "sum"; the mean is of the losses divided by the number of labels.
        zero_infinity: whether a row that has too few steps for its labels counts as zero.

    Raises:
        ValueError, RuntimeError, NotImplementedError: a length, a shape, a dtype or a label does not fit.

    >>> import funcgrad.torch as torch
    >>> halves = torch.full((2, 1, 2), 0.5).log()  # three of the four paths show the label once
    >>> torch.nn.functional.ctc_loss(halves, torch.tensor([[1]]), [2], [1]).exp()
    tensor(1.3333)
    """
    reduction = checked(reduction)
    sides: list[Any] = [
        each
        if isinstance(each, Tensor)
        else torch.tensor([*map(operator.index, each)], dtype=torch.int64)
        for each in (input_lengths, target_lengths)
    ]
    for name, each in zip(("input_lengths", "target_lengths"), sides, strict=True):
        if each.dtype.is_floating_point or each.dtype.is_complex or each.dtype == torch.bool:
            raise RuntimeError(f"{name} must be integral")
    targets = targets.to(torch.int64)
    batched = log_probs.ndim == 3
    if not batched:
        log_probs, targets = log_probs.unsqueeze(1), targets.unsqueeze(0)
        sides = [each.reshape(-1) for each in sides]
    _check(log_probs, targets, sides, blank)
    if targets.ndim == 1:
        targets = _padded(targets, sides[1])
    losses: Any = _ROWS[zero_infinity](log_probs, targets, *sides, blank, zero_infinity)
    if not batched:
        losses = losses.squeeze(0)
    if reduction == "mean":
        return (losses / sides[1].clamp(min=1).to(losses.dtype)).mean()
    return losses.sum() if reduction == "sum" else losses


_CHECKED = "(while checking arguments for ctc_loss_allocate_outputs)"


def _check(log_probs: Any, targets: Any, lengths: list[Any], blank: int) -> None:
    if log_probs.ndim != 3:
        raise RuntimeError(
            f"Expected 3-dimensional tensor, but got {log_probs.ndim}-dimensional tensor for argument #1 'log_probs' {_CHECKED}"
        )
    steps, rows, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    for name, each in zip(("input_lengths", "target_lengths"), lengths, strict=True):
        if tuple(each.shape) != (rows,):
            raise RuntimeError(f"{name} must be of size batch_size")
        found = elements_to_check(each)
        if found is None:
            continue
        most = steps if name == "input_lengths" else np.inf
        for bound, bad in (("least 0", found < 0), (f"most {most}", found > most)):
            if bad.any():
                raise RuntimeError(
                    f"Expected {name} to have value at {bound}, but got value {found[bad][0]} {_CHECKED}"
                )
    found, labels = elements_to_check(lengths[1]), elements_to_check(targets)
    if found is None:
        return
    if targets.ndim == 1:
        if found.sum() != targets.shape[0]:
            raise RuntimeError(
                f"Expected tensor to have size {found.sum()} at dimension 0, but got size {targets.shape[0]} for argument #2 "
                f"'targets' {_CHECKED}"
            )
    else:
        most = found.max(initial=0)
        if most > targets.shape[1]:
            raise RuntimeError(
                f"Expected tensor to have size at least {most} at dimension 1, but got size {targets.shape[1]} for argument #2 "
                f"'targets' {_CHECKED}"
            )
        if labels is not None:
            labels = labels[np.arange(targets.shape[1]) < found[:, None]]
    if labels is not None and ((labels < 0) | (labels >= classes)).any():
        raise RuntimeError(f"targets must be in [0, {classes}), the classes of log_probs")


def _padded(targets: Any, lengths: Any) -> Any:
    """Labels that stand one after another, as a row for each sequence.

    Raises:
        RuntimeError: the lengths are not known, because they are traced.
    """
    found = elements_to_check(lengths)
    if found is None:
        raise RuntimeError(
            "ctc_loss needs targets of shape (rows, labels) where lengths are traced"
        )
    places = (np.cumsum(found) - found)[:, None] + np.arange(int(found.max(initial=0)))
    return targets[torch.tensor(np.minimum(places, targets.shape[0] - 1))]
