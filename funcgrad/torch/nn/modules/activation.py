"""Activations.

Behaviour: https://pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity
"""

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional, init
from funcgrad.torch.nn.modules._attention import MultiheadAttention
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


def __dir__() -> list[str]:
    return __all__


class _Activation(Module):
    """A function of one tensor, whose options are the module's attributes.

    Attributes:
        __constants__: the options, in the order of the function's arguments.
    """

    __constants__: ClassVar[tuple[str, ...]] = ()
    _function: ClassVar[Callable[..., Tensor]]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        vars(self).update(options)

    def forward(self, input: Tensor) -> Tensor:
        """The function's result."""
        held = vars(self)
        return type(self)._function(input, *[held[name] for name in self.__constants__])

    def extra_repr(self) -> str:
        """Its options; `inplace` only if it is set."""
        held = vars(self)
        shown = [f"{name}={held[name]}" for name in self.__constants__ if name != "inplace"]
        return ", ".join([*shown, *(["inplace=True"] if held.get("inplace") else [])])


class Threshold(_Activation):
    """The elements above a threshold, and `value` for the others."""

    __constants__ = ("threshold", "value", "inplace")
    _function = functional.threshold

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(threshold=threshold, value=value, inplace=inplace)


class ReLU(_Activation):
    """`max(x, 0)`.

    >>> import funcgrad.torch as torch
    >>> torch.nn.ReLU()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    __constants__ = ("inplace",)
    _function = functional.relu

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class RReLU(_Activation):
    """The positive elements, and the others times a slope, which is random in training."""

    __constants__ = ("lower", "upper", "inplace")

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__(lower=lower, upper=upper, inplace=inplace)

    def forward(self, input: Tensor) -> Tensor:
        """The elements times their slopes."""
        return functional.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Hardtanh(_Activation):
    """The elements, with each one outside the bounds set to the nearer bound.

    Raises:
        AssertionError: the bounds are in the wrong order.
    """

    __constants__ = ("min_val", "max_val", "inplace")
    _function = functional.hardtanh

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        for old, new, given in (("min_value", "min_val", min_value), ("max_value", "max_val", max_value)):  # fmt: skip
            if given is not None:
                warnings.warn(
                    f"keyword argument `{old}` is deprecated and renamed to `{new}`",
                    FutureWarning,
                    stacklevel=2,
                )
        low = min_val if min_value is None else min_value
        high = max_val if max_value is None else max_value
        super().__init__(min_val=low, max_val=high, inplace=inplace)
        if high <= low:
            raise AssertionError(f"max_val ({high}) must be greater than min_val ({low})")


class ReLU6(Hardtanh):
    """`min(max(x, 0), 6)`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """Whether it is in place."""
        return "inplace=True" if self.inplace else ""


class Sigmoid(_Activation):
    """`1 / (1 + exp(-x))`."""

    _function = functional.sigmoid

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Module.__init__(self, *args, **kwargs)


class Tanh(Sigmoid):
    """The hyperbolic tangent."""

    _function = functional.tanh


class LogSigmoid(Sigmoid):
    """The logarithm of the sigmoid."""

    _function = functional.logsigmoid


class Softsign(Sigmoid):
    """`x / (1 + |x|)`."""

    _function = functional.softsign


class Tanhshrink(Sigmoid):
    """`x - tanh(x)`."""

    _function = functional.tanhshrink


class Hardsigmoid(_Activation):
    """`x / 6 + 1 / 2`, between 0 and 1."""

    __constants__ = ("inplace",)
    _function = functional.hardsigmoid

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)

    def extra_repr(self) -> str:
        """Nothing."""
        return ""


class Hardswish(Hardsigmoid):
    """`x * hardsigmoid(x)`."""

    _function = functional.hardswish


class SiLU(ReLU):
    """`x * sigmoid(x)`."""

    _function = functional.silu


class Mish(ReLU):
    """`x * tanh(softplus(x))`."""

    _function = functional.mish


class SELU(ReLU):
    """`elu`, scaled so that mean 0 and variance 1 are kept."""

    _function = functional.selu


class ELU(_Activation):
    """The positive elements, and `alpha * (exp(x) - 1)` for the others."""

    __constants__ = ("alpha", "inplace")
    _function = functional.elu

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha=alpha, inplace=inplace)


class CELU(ELU):
    """The positive elements, and `alpha * (exp(x / alpha) - 1)` for the others."""

    _function = functional.celu


class GLU(_Activation):
    """The first half along a dimension, times the sigmoid of the second half."""

    __constants__ = ("dim",)
    _function = functional.glu

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)


class GELU(_Activation):
    """`x` times the standard normal distribution function of `x`; with "tanh", an approximation of it."""

    __constants__ = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)

    def forward(self, input: Tensor) -> Tensor:
        """The function's result."""
        return functional.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """The approximation."""
        return f"approximate={self.approximate!r}"


class Hardshrink(_Activation):
    """The elements farther from zero than `lambd`, and zero for the others."""

    __constants__ = ("lambd",)
    _function = functional.hardshrink

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)

    def extra_repr(self) -> str:
        """The bound."""
        return f"{self.lambd}"


class Softshrink(Hardshrink):
    """The elements, nearer to zero by `lambd`; zero for those that are nearer."""

    _function = functional.softshrink


class LeakyReLU(_Activation):
    """The positive elements, and the others times a slope."""

    __constants__ = ("negative_slope", "inplace")
    _function = functional.leaky_relu

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(negative_slope=negative_slope, inplace=inplace)


class Softplus(_Activation):
    """`log(1 + exp(beta * x)) / beta`; `x` itself where `beta * x` is above the threshold."""

    __constants__ = ("beta", "threshold")
    _function = functional.softplus

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class PReLU(Module):
    """The positive elements, and the others times a trained slope.

    Args:
        num_parameters: one slope for all, or one for each channel.
        init: the slopes' initial value.
        device, dtype: of the slopes.
    """

    __constants__ = ("num_parameters",)

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(torch.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the initial value."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """The elements times their slopes."""
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """How many slopes there are."""
        return f"num_parameters={self.num_parameters}"


class Softmax(_Activation):
    """`exp(x) / sum(exp(x))` along a dimension."""

    __constants__ = ("dim",)
    _function = functional.softmax

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim=dim)

    def forward(self, input: Tensor) -> Tensor:
        """The function's result."""
        return type(self)._function(input, self.dim, _stacklevel=5)


class Softmin(Softmax):
    """`softmax` of `-x`."""

    _function = functional.softmin


class LogSoftmax(Softmax):
    """The logarithm of `softmax`."""

    _function = functional.log_softmax


class Softmax2d(Module):
    """`softmax` along the channels, of shape (rows, channels, height, width) or without rows."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's result.

        Raises:
            ValueError: the input has other dimensions.
        """
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return functional.softmax(input, -3, _stacklevel=5)
