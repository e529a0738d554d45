"""The name of a thing's type, as PyTorch's messages give it."""

from typing import Any

from funcgrad.torch._tensor.tensor import Tensor


def typename(thing: Any) -> str:
    """The name of a type, or of a thing's type, with its module; for a tensor "torch.FloatTensor" and the like."""
    if isinstance(thing, Tensor):
        return thing.dtype.legacy_name
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    module = "" if named.__module__ == "builtins" else f"{named.__module__}."
    return f"{module}{named.__qualname__}"
