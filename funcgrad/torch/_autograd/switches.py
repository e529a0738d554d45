"""The switches of autograd: grad mode, multithreading and anomaly mode."""

from funcgrad.engine import local
from funcgrad.engine.threads import PerThread
from funcgrad.torch._autograd.observing import Anomaly, set_anomaly
from funcgrad.torch._memory import inference
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor


def is_grad_enabled() -> bool:
    """The grad mode of this thread: whether ops record a graph. In inference mode they never do."""
    return inference.state.grad_mode if inference.enabled() else local.recorder.grad_enabled


def is_inference(self: Tensor) -> bool:
    """Whether the tensor was made in `inference_mode`, or is a view of one that was."""
    return inference.is_of_inference(self._storage)


class _Threads(PerThread):
    enabled = True


threads = _Threads()


def is_multithreading_enabled() -> bool:
    """The mode last passed to `set_multithreading_enabled` in this thread."""
    return threads.enabled


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return Anomaly.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode treats NaN as an error."""
    return Anomaly.check_nan


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Switch anomaly mode on or off, in all threads.

    Raises:
        TypeError: an argument is not a bool.
    """
    for position, (name, given) in enumerate((("enabled", mode), ("check_nan", check_nan)), 1):
        if not isinstance(given, bool):
            raise TypeError(
                f"set_anomaly_enabled(): argument '{name}' (position {position}) must be bool, not "
                f"{type(given).__name__}"
            )
    set_anomaly(mode, check_nan)


publish_all(
    {
        "is_anomaly_check_nan_enabled": is_anomaly_check_nan_enabled,
        "is_anomaly_enabled": is_anomaly_enabled,
        "is_grad_enabled": is_grad_enabled,
        "is_inference": is_inference,
        "is_inference_mode_enabled": inference.enabled,
        "set_anomaly_enabled": set_anomaly_enabled,
    },
    {"is_inference": is_inference},
)
