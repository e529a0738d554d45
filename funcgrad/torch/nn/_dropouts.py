"""Dropout as users call it: with `training` and `inplace`, and of channels.

Behaviour: https://pytorch.org/docs/stable/nn.functional.html#dropout-functions
"""

from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.warning import warn

_INSTEAD = (
    "{0}: Received a {1}-D input to {0}, which is deprecated and will result in an error in a future release. To retain the "
    "behavior and silence this warning, please use dropout instead. Note that {0} exists to provide channel-wise dropout on "
    "inputs with {2} spatial dimensions, a channel dimension, and an optional batch dimension (i.e. {3}D or {4}D inputs)."
)
_ASSUMED = (
    "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired - input is "
    "interpreted as shape (N, C, L), where C is the channel dim. This behavior will change in a future release to interpret "
    "the input as one without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise dropout behavior, "
    "please switch to using dropout1d instead."
)
_ONE = (
    "dropout1d: Expected 2D or 3D input, but received a {}D input. Note that dropout1d exists to provide channel-wise dropout "
    "on inputs with 1 spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
)


def _dropped(name: str, input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return getattr(torch, f"{name}_" if inplace else name)(input, p, training)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Set elements to zero at random, and divide the others by `1 - p`.

    Args:
        input: of floating point.
        p: the probability that an element is dropped.
        training: whether to drop any; if not, the input itself is returned.
        inplace: whether to store the result in the input.

    Raises:
        ValueError: the probability is not in [0, 1].

    >>> import funcgrad.torch as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.nn.functional.dropout(torch.ones(4), 0.5)
    tensor([0., 0., 2., 0.])
    """
    return _dropped("dropout", input, p, training, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean and variance behind `selu`; arguments as for `dropout`."""
    return _dropped("alpha_dropout", input, p, training, inplace)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels; arguments as for `dropout`."""
    return _dropped("feature_alpha_dropout", input, p, training, inplace)


def _batched(input: Any, p: float, training: bool, inplace: bool, is_batch: bool) -> Tensor:
    if is_batch:
        return _dropped("feature_dropout", input, p, training, inplace)
    whole = input.unsqueeze_(0) if inplace else input.unsqueeze(0)
    made: Any = _dropped("feature_dropout", whole, p, training, inplace)
    return made.squeeze_(0) if inplace else made.squeeze(0)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels, of shape (rows, channels, length) or (channels, length); arguments as for `dropout`.

    Raises:
        RuntimeError: the input has other dimensions.
    """
    if 0.0 <= p <= 1.0 and input.ndim not in (2, 3):
        raise RuntimeError(_ONE.format(input.ndim))
    return _batched(input, p, training, inplace, input.ndim == 3)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels, of shape (rows, channels, height, width); arguments as for `dropout`.

    Warns:
        UserWarning: the input has other dimensions.
    """
    if input.ndim not in (3, 4):
        warn(_INSTEAD.format("dropout2d", input.ndim, 2, 3, 4))
    if input.ndim == 3:
        warn(_ASSUMED)
    return _dropped("feature_dropout", input, p, training, inplace)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels, of shape (rows, channels, depth, height, width); arguments as for `dropout`.

    Warns:
        UserWarning: the input has other dimensions.
    """
    if input.ndim not in (4, 5):
        warn(_INSTEAD.format("dropout3d", input.ndim, 3, 4, 5))
    return _batched(input, p, training, inplace, input.ndim == 5)
