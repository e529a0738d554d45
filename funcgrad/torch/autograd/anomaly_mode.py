"""Anomaly mode: an error in backward names its forward line, and NaN is an error."""

import warnings
from typing import Any

from funcgrad.torch._autograd.observing import Anomaly, set_anomaly
from funcgrad.torch._autograd.switches import set_anomaly_enabled

__all__ = ["detect_anomaly", "set_detect_anomaly"]


def __dir__() -> list[str]:
    return __all__


class set_detect_anomaly:
    """Switch anomaly mode on or off at once. As a context manager, restore it at the end of the block.

    Args:
        mode: on or off.
        check_nan: whether a gradient with NaN in it raises.

    Behaviour: https://pytorch.org/docs/stable/autograd.html#anomaly-detection
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = Anomaly.enabled, Anomaly.check_nan
        set_anomaly_enabled(mode, check_nan)

    def __enter__(self) -> None:
        """Keep what the constructor set."""

    def __exit__(self, *_: Any) -> None:
        set_anomaly(*self.before)


class detect_anomaly:
    """A block in which an error in backward names its forward line, and NaN is an error.

    >>> import warnings
    >>> import funcgrad.torch as torch
    >>> x = torch.tensor(-1.0, requires_grad=True)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     with torch.autograd.detect_anomaly():
    ...         torch.sqrt(x).backward()
    Traceback (most recent call last):
        ...
    RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output.

    Behaviour: https://pytorch.org/docs/stable/autograd.html#anomaly-detection
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.before = Anomaly.enabled, Anomaly.check_nan
        set_anomaly(True, self.check_nan)

    def __exit__(self, *_: Any) -> None:
        set_anomaly(*self.before)
