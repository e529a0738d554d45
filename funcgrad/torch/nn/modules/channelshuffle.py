"""Channels of several groups interleaved.

Behaviour: https://pytorch.org/docs/stable/nn.html#vision-layers
"""

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional
from funcgrad.torch.nn.modules.module import Module

__all__ = [
    "ChannelShuffle",
]


def __dir__() -> list[str]:
    return __all__


class ChannelShuffle(Module):
    """Interleave the channels of several groups.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html
    """

    __constants__ = ("groups",)

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """The images with their channels in another order."""
        return functional.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        """The number of groups."""
        return f"groups={self.groups}"
