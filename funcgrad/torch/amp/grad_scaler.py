"""`GradScaler`: a loss is scaled before backward, and its gradients back after it, so that they do not vanish in half precision."""

import warnings
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from typing import Any

from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.accelerators import count
from funcgrad.torch._types.dtypes import float16, float32
from funcgrad.torch.autograd.grad_mode import no_grad

__all__ = ["GradScaler", "OptState"]


def __dir__() -> list[str]:
    return __all__


class OptState(Enum):
    """How far an optimizer is since the last `update`."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh() -> dict[str, Any]:
    return {"stage": OptState.READY, "found": None}


class GradScaler:
    """Scales a loss, so that gradients in half precision do not vanish. For "cuda" it is off without a GPU, as in PyTorch.

    Args:
        device: the device whose gradients these are.
        init_scale: the first scale.
        growth_factor: the scale grows by it after `growth_interval` steps in a row with finite gradients.
        backoff_factor: the scale shrinks by it after gradients that are not finite; the step is left out then.
        growth_interval: see `growth_factor`.
        enabled: whether to scale.

    Raises:
        AssertionError: a factor is out of range.

    Behaviour: https://pytorch.org/docs/stable/amp.html#gradient-scaling
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
        """Check the options."""
        if enabled and device == "cuda" and not count("cuda"):
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        if not enabled:
            return
        if growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        self._init_scale, self._init_growth_tracker = init_scale, 0
        self._scale: Tensor | None = None  # made by the first call of `scale`
        self._growth_tracker = 0
        self._states: dict[int, dict[str, Any]] = defaultdict(_fresh)

    def scale(self, outputs: Any) -> Any:
        """The loss, or several in a container, times the scale.

        Raises:
            ValueError: there is something else than tensors.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._scale = FUNCTIONS["tensor"](self._init_scale, dtype=float32)
                self._growth_tracker = self._init_growth_tracker
            return outputs * self._scale
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, outputs)
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _checked(self, name: str) -> Tensor:
        if self._scale is None:
            raise AssertionError(
                f"Attempted {name} but _scale is None.  This may indicate your script did not use scaler.scale(loss or "
                "outputs) earlier in the iteration."
            )
        return self._scale

    def unscale_(self, optimizer: Any) -> None:
        """Divide an optimizer's gradients by the scale, and note whether all are finite.

        Raises:
            RuntimeError: it was done already since the last `update`.
            ValueError: a gradient is in float16.
        """
        if not self._enabled:
            return
        scale = self._checked("unscale_")
        state = self._states[id(optimizer)]
        if state["stage"] is OptState.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        inverse = FUNCTIONS["tensor"](1 / scale.item(), dtype=float32)
        found = False
        with no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    gradient = parameter.grad
                    if gradient is None:
                        continue
                    if gradient.dtype is float16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    found = found or not bool(gradient.isfinite().all())
                    gradient.mul_(inverse)
        state["found"], state["stage"] = found, OptState.UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step, if all gradients are finite; they are divided by the scale before.

        Raises:
            RuntimeError: there is a closure, or it was done already since the last `update`.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._checked("step")
        state = self._states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        made = None if state["found"] else optimizer.step(*args, **kwargs)
        state["stage"] = OptState.STEPPED
        return made

    def update(self, new_scale: Any = None) -> None:
        """Let the scale grow or shrink, as the gradients since the last call were; or set it.

        Raises:
            AssertionError: no gradients were looked at since the last call.
        """
        if not self._enabled:
            return
        scale = self._checked("update")
        with no_grad():
            if new_scale is not None:
                scale.fill_(new_scale)
            else:
                found = [
                    each["found"] for each in self._states.values() if each["found"] is not None
                ]
                if not found:
                    raise AssertionError("No inf checks were recorded prior to update.")
                self._adapt(scale, any(found))
        self._states = defaultdict(_fresh)

    def _adapt(self, scale: Any, found: bool) -> None:
        if found:
            scale.mul_(self._backoff_factor)
            self._growth_tracker = 0
            return
        self._growth_tracker += 1
        if self._growth_tracker == self._growth_interval:
            grown = scale * self._growth_factor
            if grown.isfinite():
                scale.copy_(grown)
            self._growth_tracker = 0

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def get_growth_factor(self) -> float:
        """The factor by which the scale grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set the factor by which the scale grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """The factor by which the scale shrinks."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set the factor by which the scale shrinks."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many steps the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many steps the scale grows."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """The scale, the options, and how many steps in a row had finite gradients; empty if it is off."""
        if not self._enabled:
            return {}
        started = self._scale is not None
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker if started else self._init_growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            RuntimeError: it is that of a scaler that was off.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        if self._scale is not None:
            self._scale.fill_(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = self._init_growth_tracker = state_dict["_growth_tracker"]
