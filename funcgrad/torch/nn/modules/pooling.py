"""Pooling: windows of fixed size, as many windows as wanted, norms of windows, and the way back.

Behaviour: https://pytorch.org/docs/stable/nn.html#pooling-layers
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional
from funcgrad.torch.nn.modules._sizes import times
from funcgrad.torch.nn.modules.module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


def __dir__() -> list[str]:
    return __all__


class _Pool(Module):
    """A pooling; its subclasses say of how many dimensions."""

    _dims: ClassVar[int]

    def _function(self, name: str) -> Callable[..., Any]:
        return getattr(functional, f"{name}{self._dims}d")


class _MaxPoolNd(_Pool):
    """The largest element of each window."""

    __constants__ = ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if (stride is not None) else kernel_size
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        """The largest elements, and their places if they were asked for."""
        return self._function("max_pool")(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        """The windows' sizes."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The largest element of each window of one dimension.

    Args:
        kernel_size: the windows' size.
        stride: the distance of two windows; the windows' size if None.
        padding: the number of elements on both sides that are smaller than all others.
        dilation: the distance of two elements of a window.
        return_indices: whether to return the places too, for `MaxUnpool1d`.
        ceil_mode: whether a last window may reach past the padding.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html
    """

    _dims = 1


class MaxPool2d(_MaxPoolNd):
    """The largest element of each window of two dimensions; the arguments are as for `MaxPool1d`, or tuples of two.

    >>> import funcgrad.torch as torch
    >>> torch.nn.MaxPool2d(2)(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[ 5.,  7.],
             [13., 15.]]])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
    """

    _dims = 2


class MaxPool3d(_MaxPoolNd):
    """The largest element of each window of three dimensions; the arguments are as for `MaxPool1d`, or tuples of three.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool3d.html
    """

    _dims = 3


class _MaxUnpoolNd(_Pool):
    """The elements at the places that a pooling found."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        each = times(self._dims)
        self.kernel_size = each(kernel_size)
        self.stride = each(stride if (stride is not None) else kernel_size)
        self.padding = each(padding)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """The elements at their places, and zeros elsewhere."""
        unpool = self._function("max_unpool")
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """The windows' sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """The elements at the places that `MaxPool1d` found, and zeros elsewhere.

    Args:
        kernel_size, stride, padding: the pooling's.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.MaxUnpool1d.html
    """

    _dims = 1


class MaxUnpool2d(_MaxUnpoolNd):
    """The elements at the places that `MaxPool2d` found, and zeros elsewhere.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html
    """

    _dims = 2


class MaxUnpool3d(_MaxUnpoolNd):
    """The elements at the places that `MaxPool3d` found, and zeros elsewhere.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.MaxUnpool3d.html
    """

    _dims = 3


class AvgPool1d(_Pool):
    """The mean of each window of one dimension.

    Args:
        kernel_size: the windows' size.
        stride: the distance of two windows; the windows' size if None.
        padding: the number of zeros on both sides.
        ceil_mode: whether a last window may reach past the padding.
        count_include_pad: whether the padding counts in the mean.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html
    """

    _dims = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        each = times(1)
        self.kernel_size = each(kernel_size)
        self.stride = each(stride if stride is not None else kernel_size)
        self.padding = each(padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        return functional.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The windows' sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPoolNd(_Pool):
    """The mean of each window of several dimensions."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if (stride is not None) else kernel_size
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        return self._function("avg_pool")(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """The windows' sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPoolNd):
    """The mean of each window of two dimensions.

    Args:
        kernel_size, stride, padding, ceil_mode, count_include_pad: as for `AvgPool1d`, or tuples of two.
        divisor_override: a number to divide by, in place of the number of elements.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html
    """

    _dims = 2


class AvgPool3d(_AvgPoolNd):
    """The mean of each window of three dimensions; the arguments are as for `AvgPool2d`, or tuples of three.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.AvgPool3d.html
    """

    _dims = 3


class _LPPoolNd(_Pool):
    """The norm of each window, without absolute values."""

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """The norms."""
        pool = self._function("lp_pool")
        return pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        """The order and the windows' sizes."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """The norm of order `norm_type` of each window of one dimension, without absolute values.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LPPool1d.html
    """

    _dims = 1


class LPPool2d(_LPPoolNd):
    """The norm of order `norm_type` of each window of two dimensions, without absolute values.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LPPool2d.html
    """

    _dims = 2


class LPPool3d(_LPPoolNd):
    """The norm of order `norm_type` of each window of three dimensions, without absolute values.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LPPool3d.html
    """

    _dims = 3


class _AdaptiveAvgPoolNd(_Pool):
    """The mean of each of as many windows as wanted."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        return self._function("adaptive_avg_pool")(input, self.output_size)

    def extra_repr(self) -> str:
        """The number of windows."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """The mean of each of `output_size` windows that share out one dimension.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool1d.html
    """

    _dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """The mean of each of `output_size` windows that share out two dimensions; None keeps a length.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html
    """

    _dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """The mean of each of `output_size` windows that share out three dimensions; None keeps a length.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool3d.html
    """

    _dims = 3


class _AdaptiveMaxPoolNd(_Pool):
    """The largest element of each of as many windows as wanted."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        """The largest elements, and their places if they were asked for."""
        pool = self._function("adaptive_max_pool")
        return pool(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """The number of windows."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """The largest element of each of `output_size` windows that share out one dimension.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool1d.html
    """

    _dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """The largest element of each of `output_size` windows that share out two dimensions; None keeps a length.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html
    """

    _dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """The largest element of each of `output_size` windows that share out three dimensions; None keeps a length.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool3d.html
    """

    _dims = 3


class _FractionalMaxPoolNd(_Pool):
    """The largest elements of windows at random places."""

    __constants__ = ("kernel_size", "return_indices", "output_size", "output_ratio")

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name, each = type(self).__name__, times(self._dims)
        self.kernel_size = each(kernel_size)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else each(output_size)
        self.output_ratio = None if output_ratio is None else each(output_ratio)
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        """The largest elements, and their places if they were asked for."""
        return self._function("fractional_max_pool")(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """The largest elements of windows at random places in two dimensions, `output_size` or `output_ratio` of them.

    Behaviour: https://docs.pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool2d.html
    """

    _dims = 2


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """The largest elements of windows at random places in three dimensions, `output_size` or `output_ratio` of them.

    Behaviour: https://docs.pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool3d.html
    """

    _dims = 3
