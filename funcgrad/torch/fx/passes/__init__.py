"""PyTorch's `torch.fx.passes`, as far as it goes here."""

from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.fx.passes import shape_prop

__all__ = ["shape_prop"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
