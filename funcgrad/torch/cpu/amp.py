"""`torch.cpu.amp`: the older names of `torch.amp`."""

import warnings
from typing import Any

from funcgrad.torch import amp
from funcgrad.torch._types.dtypes import bfloat16

__all__ = ["GradScaler", "autocast"]


def __dir__() -> list[str]:
    return __all__


class autocast(amp.autocast):
    """`torch.amp.autocast` for the CPU."""

    def __init__(
        self, enabled: bool = True, dtype: Any = bfloat16, cache_enabled: bool = True
    ) -> None:
        """Warn that the name is old."""
        warnings.warn(
            "`torch.cpu.amp.autocast(args...)` is deprecated. Please use `torch.amp.autocast('cpu', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__("cpu", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """`torch.amp.GradScaler` for the CPU."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Warn that the name is old."""
        warnings.warn(
            "`torch.cpu.amp.GradScaler(args...)` is deprecated. Please use `torch.amp.GradScaler('cpu', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__("cpu", *args, **kwargs)
