"""Channels moved into the image, and back.

Behaviour: https://pytorch.org/docs/stable/nn.html#vision-layers
"""

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional
from funcgrad.torch.nn.modules.module import Module

__all__ = [
    "PixelShuffle",
    "PixelUnshuffle",
]


def __dir__() -> list[str]:
    return __all__


class PixelShuffle(Module):
    """Move channels into the image: (..., c * r * r, h, w) becomes (..., c, h * r, w * r).

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.PixelShuffle.html
    """

    __constants__ = ("upscale_factor",)

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """The rearranged images."""
        return functional.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Move pixels into channels: (..., c, h * r, w * r) becomes (..., c * r * r, h, w).

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html
    """

    __constants__ = ("downscale_factor",)

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """The rearranged images."""
        return functional.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"downscale_factor={self.downscale_factor}"
