"""PyTorch's `torch.utils.hooks`: the handle of a registered hook, and hooks that pickling drops."""

import warnings
from typing import Any

from funcgrad.engine.nodes import hooked
from funcgrad.torch._autograd.hooks import RemovableHandle
from funcgrad.torch._tensor.tensor import Tensor

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]


def __dir__() -> list[str]:
    return __all__


def unserializable_hook(f: Any) -> Any:
    """Mark a hook so that pickling its tensor drops it without a warning."""
    f.__torch_unserializable__ = True
    return f


def warn_if_has_hooks(tensor: Tensor) -> None:
    """Warn of a tensor's hooks that pickling drops.

    Warns:
        UserWarning: a hook is not marked by `unserializable_hook`.
    """
    hooks = hooked.get(tensor._current_node()) if tensor.requires_grad else None
    of_tensor: Any = None if hooks is None else hooks.arriving.get(tensor._nr)
    for hook in () if of_tensor is None else of_tensor.table.values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, you can decorate the "
                "function with @torch.utils.hooks.unserializable_hook to suppress this warning",
                stacklevel=2,
            )
