"""The cross entropy of a linear map's results."""

import math
from typing import Any

from funcgrad.torch._ops.linear import linear
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn._class_losses import cross_entropy

__all__ = ["linear_cross_entropy"]


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """`cross_entropy(linear(input, linear_weight, linear_bias), target)`.

    Args:
        input: of shape (features,) or (rows, features).
        linear_weight: of shape (classes, features) or (classes, ..., features).
        target: as of `cross_entropy`, for results of shape (rows, classes, ...).
        linear_bias: of the weight's shape without features.
        weight, reduction, label_smoothing: as of `cross_entropy`.
        ignore_index: a class as target that counts for nothing; -100 without it.
        options: how PyTorch is to save memory; nothing changes.

    Raises:
        RuntimeError: shapes do not fit, or `ignore_index` is given beside probabilities.
    """
    if not 1 <= input.dim() <= 2:
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    rows, features = input.shape[:-1], input.shape[-1]
    if features != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), "
            f"got {features} and {linear_weight.shape[-1]}, respectively"
        )
    outputs = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != outputs:
        raise RuntimeError(f"expected linear_bias shape {outputs}, got {tuple(linear_bias.shape)}")
    if len(outputs) > 1 and not rows:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, "
            f"(N, {features}), got unbatched input with shape {tuple(input.shape)}"
        )
    shape = (*rows, *outputs)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    if len(outputs) > 1:
        linear_weight = linear_weight.reshape(math.prod(outputs), features)
        linear_bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits: Any = linear(input, linear_weight, linear_bias)
    return cross_entropy(
        logits.reshape(shape),
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
    )
