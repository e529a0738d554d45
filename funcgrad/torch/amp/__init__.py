"""`torch.amp`: mixed precision, where it is off. JAX chooses the precision of products by itself.

`autocast` that is on for a device that is here is refused: its results would have other dtypes. For a device that is not
here PyTorch turns it off with a warning, and so does this.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

from funcgrad.torch._types.accelerators import count
from funcgrad.torch._types.devices import device

__all__ = ["GradScaler", "autocast", "is_autocast_available"]


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` can be on for a device: it can on none.

    Raises:
        RuntimeError: there is no such type of device.
    """
    device(device_type)
    return False


class autocast:
    """A `with` block, or a decorator, in which some ops would run in half precision.

    Args:
        device_type: the device whose ops these are.
        dtype: the dtype for them.
        enabled: whether to do anything.
        cache_enabled: accepted.

    Raises:
        NotImplementedError: it is on, for a device that is here.
        RuntimeError: there is no such type of device.
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        """Check the device."""
        self.device = device(device_type).type
        if enabled and self.device == "cuda" and not count("cuda"):
            warnings.warn(
                "User provided device_type of 'cuda', but CUDA is not available. Disabling",
                stacklevel=2,
            )
            enabled = False
        if enabled:
            raise NotImplementedError(
                f"autocast('{device_type}') is not available: give the tensors the dtype that you want, with "
                "x.to(torch.bfloat16)"
            )

    def __enter__(self) -> "autocast":
        """Begin the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the block."""

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that runs in such a block."""

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside


class GradScaler:
    """Scales a loss, so that gradients in half precision do not vanish. It is off without a GPU, as in PyTorch.

    Args:
        device: the device whose gradients these are.
        init_scale, growth_factor, backoff_factor, growth_interval: accepted.
        enabled: whether to scale.

    Raises:
        NotImplementedError: it is on, for a device that is here.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        """Check the device."""
        if enabled and device == "cuda" and not count("cuda"):
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2,
            )
            enabled = False
        if enabled:
            raise NotImplementedError("GradScaler is not available: compute in float32 or bfloat16")

    def scale(self, outputs: Any) -> Any:
        """The loss, as it is."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Do nothing."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Do nothing."""

    def is_enabled(self) -> bool:
        """Whether it scales: no."""
        return False

    def get_scale(self) -> float:
        """The scale: 1."""
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Its state: none."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Do nothing."""


def __dir__() -> list[str]:
    return __all__
