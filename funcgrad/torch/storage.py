"""PyTorch's `torch.storage`: the classes of `tensor.untyped_storage()` and `tensor.storage()`."""

from typing import Any

from funcgrad.torch._tensor.layout import TypedStorage, UntypedStorage
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = ["TypedStorage", "UntypedStorage"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
