"""Modules without initial values."""

import inspect
from typing import Any

from funcgrad.torch.nn.modules.module import Module as _Module

__all__ = ["skip_init"]


def __dir__() -> list[str]:
    return __all__


def skip_init(module_cls: type[_Module], *args: Any, **kwargs: Any) -> _Module:
    """A module whose parameters have no initial values, and which has drawn no random numbers for them.

    Args:
        module_cls: its class, which takes `device`.
        args: for the class.
        kwargs: for the class; `device` is where the parameters are.

    Raises:
        RuntimeError: the class is no module, or takes no `device`.

    >>> from funcgrad.torch import nn
    >>> skip_init(nn.Linear, 2, 3).weight.shape
    torch.Size([3, 2])

    Behaviour: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.skip_init.html
    """
    if not issubclass(module_cls, _Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.pop("device", "cpu")
    return module_cls(*args, device="meta", **kwargs).to_empty(device=device)
