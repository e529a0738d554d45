"""PyTorch's `torch.utils.tensorboard`: scalars, images, histograms and more in files that TensorBoard shows.

It needs the package tensorboard, as PyTorch's does. Images need pillow, too, and figures matplotlib.
"""

from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
