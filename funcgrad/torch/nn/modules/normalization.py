"""Normalisation of layers and groups, by the root of the mean square, and by neighbouring channels.

Behaviour: https://pytorch.org/docs/stable/nn.html#normalization-layers
"""

from collections.abc import Sequence
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional, init
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.parameter import Parameter

__all__ = [
    "CrossMapLRN2d",
    "GroupNorm",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


def __dir__() -> list[str]:
    return __all__


class LocalResponseNorm(Module):
    """Divide each element by a power of the squares in its neighbouring channels; see `functional.local_response_norm`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LocalResponseNorm.html
    """

    __constants__ = ("size", "alpha", "beta", "k")

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """The divided elements."""
        return functional.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """Divide each element by a power of the squares in its neighbouring channels; an even `size` counts one channel less,
    and every sum has the first channel in it, as in PyTorch.

    Behaviour: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossMapLRN2d.html
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        """The divided elements.

        Raises:
            ValueError: the input has not four dimensions.
        """
        if input.ndim != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.ndim}D instead.")
        channels = torch.arange(input.shape[1], device=input.device)
        near = (channels[:, None] - channels).abs() < (self.size - 1) // 2 + 1
        # As in PyTorch, the first channel stays in every later sum.
        near = near | ((channels == 0) & (channels[:, None] > 0))
        sums = torch.einsum("cd,ndhw->nchw", near.to(input.dtype), torch.square(input))
        return (sums * (self.alpha / self.size) + self.k) ** -self.beta * input


def _parameters(module: Module, size: Any, wanted: dict[str, bool], device: Any, dtype: Any) -> None:  # fmt: skip
    """Register parameters of this size, or None where one is not wanted."""
    for name, there in wanted.items():
        made = Parameter(torch.empty(size, device=device, dtype=dtype)) if there else None
        module.register_parameter(name, made)


class LayerNorm(Module):
    """Normalise each instance over its last dimensions.

    Args:
        normalized_shape: the lengths of these dimensions.
        eps: added to the variance.
        elementwise_affine: whether to learn a weight and a bias for each element.
        bias: whether to learn a bias.
        device, dtype: of the parameters.

    >>> import funcgrad.torch as torch
    >>> torch.nn.LayerNorm(2)(torch.tensor([[0.0, 4.0]]))
    tensor([[-1.0000,  1.0000]], grad_fn=<NativeLayerNormBackward0>)

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html
    """

    __constants__ = ("normalized_shape", "eps", "elementwise_affine")

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        wanted = {"weight": elementwise_affine, "bias": elementwise_affine and bias}
        _parameters(self, self.normalized_shape, wanted, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: weight 1, bias 0."""
        if self.elementwise_affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised instances."""
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Its arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """Normalise each group of channels of each instance.

    Args:
        num_groups: the number of groups; it divides the number of channels.
        num_channels: the number of channels.
        eps: added to the variance.
        affine: whether to learn a weight and a bias for each channel.
        device, dtype: of the parameters.
        bias: whether to learn a bias.

    Raises:
        ValueError: the groups do not divide the channels.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html
    """

    __constants__ = ("num_groups", "num_channels", "eps", "affine")

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        wanted = {"weight": affine, "bias": affine and bias}
        _parameters(self, num_channels, wanted, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: weight 1, bias 0."""
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised instances."""
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Its arguments."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divide each instance by the root of its mean square over the last dimensions.

    Args:
        normalized_shape: the lengths of these dimensions.
        eps: added to the mean square; the dtype's epsilon if None.
        elementwise_affine: whether to learn a weight for each element.
        device, dtype: of the weight.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html
    """

    __constants__ = ("normalized_shape", "eps", "elementwise_affine")

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        _parameters(self, self.normalized_shape, {"weight": elementwise_affine}, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew with the weight 1."""
        if self.elementwise_affine:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The divided instances."""
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Its arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )
