"""`autocast`: blocks in which products compute in half precision, and losses in float32. The tables are in `_ops/casting.py`.

It can be on for the CPU. On a GPU JAX chooses the precision of products by itself, so it is refused for one that is here; for a
device that is not here PyTorch turns it off, and so does this.
"""

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from funcgrad.torch._ops.casting import (
    get_autocast_dtype,
    in_dtype,
    is_autocast_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
)
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.accelerators import count
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.dtypes import bfloat16, float16

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_SUPPORTED = (bfloat16, float16)


def __dir__() -> list[str]:
    return __all__


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` takes a type of device.

    Raises:
        RuntimeError: there is no such type.
    """
    return device(device_type).type in ("cpu", "cuda", "xpu", "mps", "hpu", "mtia", "xla", "maia")


class autocast:
    """A `with` block, or a decorator, in which some ops compute in another dtype.

    Args:
        device_type: the device whose ops these are.
        dtype: the dtype of products: bfloat16, the default, or float16.
        enabled: whether it is on; a block that is off may stand inside of one that is on.
        cache_enabled: accepted.

    Raises:
        NotImplementedError: it is on for a GPU that is here.
        RuntimeError, ValueError: there is no such type of device.

    >>> import funcgrad.torch as torch
    >>> with torch.autocast("cpu"):
    ...     print((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
    torch.bfloat16

    Behaviour: https://pytorch.org/docs/stable/amp.html
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        """Check the device and the dtype."""
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if not is_autocast_available(device_type):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'"
            )
        if enabled and device_type == "cuda" and not count("cuda"):
            warnings.warn(
                "CUDA is not available or torch_xla is imported. Disabling autocast.", stacklevel=2
            )
            enabled = False
        elif enabled and self.fast_dtype not in _SUPPORTED:
            name = device_type.upper()
            warnings.warn(
                f"In {name} autocast, but the target dtype is not supported. Disabling autocast.\n{name} Autocast only "
                "supports dtypes of torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        if enabled and device_type != "cpu" and count(device_type):
            raise NotImplementedError(
                f"autocast('{device_type}') is not available: give the tensors the dtype that you want, with "
                "x.to(torch.bfloat16)"
            )
        self._enabled = enabled

    def __enter__(self) -> "autocast":
        """Begin the block."""
        self._before = is_autocast_enabled(self.device), get_autocast_dtype(self.device)
        self._set(self._enabled, self.fast_dtype)
        return self

    def __exit__(self, *error: object) -> None:
        """End the block."""
        self._set(*self._before)

    def _set(self, enabled: bool, dtype: Any) -> None:
        set_autocast_dtype(self.device, dtype)
        set_autocast_enabled(self.device, enabled)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """A function that runs in such a block."""

        @functools.wraps(func)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return inside


def _cast(value: Any, of: str, dtype: Any) -> Any:
    """A tensor on a device in a dtype, and tensors in containers."""
    if isinstance(value, Tensor):
        return in_dtype(value, dtype) if value.device.type == of else value
    if isinstance(value, (str, bytes, np.ndarray)):
        return value
    if isinstance(value, Mapping):
        return {_cast(key, of, dtype): _cast(each, of, dtype) for key, each in value.items()}
    if isinstance(value, Iterable):
        cast = (_cast(each, of, dtype) for each in value)
        return type(value)(cast) if isinstance(value, (list, tuple)) else cast
    return value


def _check_type(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: Any = None
) -> Callable[..., Any]:
    """The `forward` of an `autograd.Function`, made for autocast. A decorator, with options.

    Args:
        fwd: the method.
        device_type: the type of device.
        cast_inputs: if autocast is on, convert tensors to this dtype, and compute with autocast off; None leaves all as it is.

    Raises:
        ValueError: `device_type` is no text.
    """
    _check_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(*args: Any, **kwargs: Any) -> Any:
        context, enabled = args[0], is_autocast_enabled(device_type)
        context._dtype = get_autocast_dtype(device_type)
        context._fwd_used_autocast = enabled and cast_inputs is None
        if cast_inputs is None or not enabled:
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            given = _cast(args, device_type, cast_inputs), _cast(kwargs, device_type, cast_inputs)
            return fwd(*given[0], **given[1])

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """The `backward` of an `autograd.Function`, run with autocast as `forward` was. A decorator, with options.

    Args:
        bwd: the method.
        device_type: the type of device.

    Raises:
        ValueError: `device_type` is no text.
    """
    _check_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(*args: Any, **kwargs: Any) -> Any:
        used, dtype = args[0]._fwd_used_autocast, args[0]._dtype
        with autocast(device_type, dtype, enabled=used):
            return bwd(*args, **kwargs)

    return backward
