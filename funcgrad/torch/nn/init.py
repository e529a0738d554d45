"""Initial values of parameters: PyTorch's numbers under the same seed.

Behaviour: https://pytorch.org/docs/stable/nn.init.html
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]


def __dir__() -> list[str]:
    return __all__


_LINEAR = (
    *("linear", "conv1d", "conv2d", "conv3d"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
)
_NO_ELEMENTS = "Initializing zero-element tensors is a no-op"


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """The recommended gain of an activation.

    Args:
        nonlinearity: its name in `functional`.
        param: the slope of "leaky_relu".

    Raises:
        ValueError: it is unknown, or the slope is not a number.

    >>> calculate_gain("relu")
    1.4142135623730951
    """
    if nonlinearity in _LINEAR or nonlinearity == "sigmoid":
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


# ------------------------------------------------------------------------------------------- fills


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill a tensor with uniform random numbers between `a` and `b`.

    >>> import funcgrad.torch as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.nn.init.uniform_(torch.empty(2))
    tensor([0.4963, 0.7682])
    """
    with torch.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill a tensor with normal random numbers."""
    with torch.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Fill a tensor with normal random numbers, drawn again until they lie between `a` and `b`.

    Warns:
        UserWarning: the mean lies more than two standard deviations outside.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be incorrect.",
            stacklevel=2,
        )
    inside = _normal_below((b - mean) / std) - _normal_below((a - mean) / std)
    fill = _by_drawing_again if inside > 0.3 else _by_rejection
    with torch.no_grad():
        return fill(tensor, mean, std, a, b, generator)


def _normal_below(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _by_drawing_again(
    tensor: Any, mean: float, std: float, a: float, b: float, generator: Any
) -> Tensor:
    """Draw numbers for all elements, and keep those that replace one outside."""
    low, high = (tensor.new_tensor(bound).item() for bound in (a, b))
    result = tensor.normal_(mean, std, generator=generator)
    while True:
        outside = (result < low) | (result > high)
        if not outside.any():
            break
        drawn = torch.empty_like(result).normal_(mean, std, generator=generator)
        result = torch.where(outside, drawn, result)
    return tensor if tensor is result else tensor.copy_(result)


def _by_rejection(
    tensor: Any, mean: float, std: float, a: float, b: float, generator: Any
) -> Tensor:
    """Draw uniform numbers, and accept each one by its density."""
    mode = max(a, min(mean, b))
    peak = -0.5 * ((mode - mean) / std) ** 2

    def rejected(drawn: Any) -> Any:
        density = drawn.clone().sub_(mean).div_(std).pow_(2).mul_(-0.5).sub_(peak)
        return torch.empty_like(tensor).uniform_(generator=generator).log_().gt(density)

    result = tensor.uniform_(a, b, generator=generator)
    pending = rejected(result)
    while pending.any():
        drawn = torch.empty_like(tensor).uniform_(a, b, generator=generator)
        result = torch.where(pending, drawn, result)
        pending = torch.where(pending, rejected(drawn), pending)
    return tensor if tensor is result else tensor.copy_(result)


def constant_(tensor: Any, val: float) -> Tensor:
    """Fill a tensor with a number."""
    with torch.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Any) -> Tensor:
    """Fill a tensor with ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Any) -> Tensor:
    """Fill a tensor with zeros."""
    with torch.no_grad():
        return tensor.zero_()


def eye_(tensor: Any) -> Tensor:
    """Make a matrix the identity.

    Raises:
        ValueError: the tensor is not a matrix.
    """
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with torch.no_grad():
        return tensor.copy_(torch.eye(*tensor.shape))


def dirac_(tensor: Any, groups: int = 1) -> Tensor:
    """Make the weight of a convolution keep its input channels.

    Args:
        tensor: of 3, 4 or 5 dimensions.
        groups: of the convolution.

    Raises:
        ValueError: the tensor has other dimensions, or the groups do not divide the first one.
    """
    if tensor.dim() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    outputs, inputs, *field = tensor.shape
    if outputs % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    each = outputs // groups
    made = np.zeros(tensor.shape)
    middle = tuple(size // 2 for size in field)
    for group in range(groups):
        for channel in range(min(each, inputs)):
            made[(group * each + channel, channel, *middle)] = 1
    with torch.no_grad():
        return tensor.copy_(torch.tensor(made))


# ------------------------------------------------------------------------------------------- by the fan


def _calculate_fan_in_and_fan_out(tensor: Any) -> tuple[int, int]:
    """How many inputs an output has, and how many outputs an input has.

    Raises:
        ValueError: the tensor has fewer than two dimensions.
    """
    if tensor.dim() < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _calculate_correct_fan(tensor: Any, mode: str) -> int:
    modes = ["fan_in", "fan_out"]
    mode = mode.lower()
    if mode not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {modes}")
    return _calculate_fan_in_and_fan_out(tensor)[modes.index(mode)]


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill a tensor with uniform random numbers of standard deviation gain * sqrt(2 / (fan_in + fan_out)).

    Source: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill a tensor with normal random numbers of standard deviation gain * sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def _xavier_std(tensor: Any, gain: float) -> float:
    return gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))


def kaiming_uniform_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Fill a tensor with uniform random numbers of standard deviation gain / sqrt(fan).

    Args:
        tensor: of two dimensions or more.
        a: the slope of "leaky_relu" behind the layer.
        mode: "fan_in" keeps the size of activations, "fan_out" that of gradients.
        nonlinearity: behind the layer.
        generator: draws the numbers.

    Warns:
        UserWarning: the tensor has no elements.

    Source: K. He et al., "Delving deep into rectifiers" (2015).
    """
    if 0 in tensor.shape:
        warnings.warn(_NO_ELEMENTS, stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Fill a tensor with normal random numbers; arguments and warnings as for `kaiming_uniform_`."""
    if 0 in tensor.shape:
        warnings.warn(_NO_ELEMENTS, stacklevel=2)
        return tensor
    return normal_(tensor, 0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


# ------------------------------------------------------------------------------------------- matrices


def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Tensor:
    """Fill a tensor with an orthogonal matrix, times `gain`; dimensions after the first are one.

    Raises:
        ValueError: the tensor has fewer than two dimensions.

    Source: A. Saxe et al., "Exact solutions to the nonlinear dynamics of learning" (2013).
    """
    if tensor.dim() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if not tensor.numel():
        return tensor
    rows = tensor.shape[0]
    drawn = tensor.new_empty((rows, tensor.numel() // rows)).normal_(0, 1, generator=generator)
    matrix = drawn.detach().numpy()
    wide = matrix.shape[0] < matrix.shape[1]
    # NumPy's decomposition is LAPACK's, as PyTorch's is.
    q, r = np.linalg.qr(matrix.T if wide else matrix)
    q = q * np.sign(np.diag(r))
    made = torch.tensor(q.T if wide else q, device=tensor.device)
    with torch.no_grad():
        return tensor.copy_(made.reshape(tensor.shape)).mul_(gain)


def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Fill a matrix with normal random numbers, and set a share of each column to zero.

    Args:
        tensor: the matrix.
        sparsity: the share of zeros.
        std: the standard deviation of the others.
        generator: draws the numbers.

    Raises:
        ValueError: the tensor is not a matrix.
    """
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with torch.no_grad():
        tensor.normal_(0, std, generator=generator)
        mask = np.zeros((rows, columns), bool)
        for column in range(columns):
            mask[torch.randperm(rows).numpy()[:zeros], column] = True
        return tensor.masked_fill_(torch.tensor(mask), 0)


# ------------------------------------------------------------------------------------------- old names


def _deprecated(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function under its old name, without the underscore."""
    new = function.__name__
    old = new[:-1]

    def deprecated_init(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    deprecated_init.__name__ = deprecated_init.__qualname__ = old
    deprecated_init.__doc__ = f"As `{new}`; deprecated."
    return deprecated_init


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
