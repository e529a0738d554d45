"""`torch.amp`: mixed precision. `autocast` chooses the dtypes of ops on the CPU; `GradScaler` keeps gradients from vanishing."""

from funcgrad.torch.amp import autocast_mode, grad_scaler
from funcgrad.torch.amp.autocast_mode import (
    autocast,
    custom_bwd,
    custom_fwd,
    is_autocast_available,
)
from funcgrad.torch.amp.grad_scaler import GradScaler

__all__ = [
    "GradScaler",
    "autocast",
    "autocast_mode",
    "custom_bwd",
    "custom_fwd",
    "grad_scaler",
    "is_autocast_available",
]


def __dir__() -> list[str]:
    return __all__
