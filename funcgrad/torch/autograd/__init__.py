"""PyTorch's `torch.autograd`: backward, the grad modes, and access to the graph."""

from importlib import import_module as _import_module
from typing import Any as _Any
from typing import NoReturn as _NoReturn

from funcgrad.torch._autograd.switches import is_multithreading_enabled
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.autograd import (
    anomaly_mode,
    forward_ad,
    function,
    functional,
    grad_mode,
    graph,
)
from funcgrad.torch.autograd._backward import backward, grad
from funcgrad.torch.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from funcgrad.torch.autograd.function import Function
from funcgrad.torch.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)
from funcgrad.torch.autograd.gradcheck import gradcheck, gradgradcheck
from funcgrad.torch.autograd.variable import Variable

__all__ = [
    "Function",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_multithreading_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
    "variable",
]


def variable(*_: _Any, **__: _Any) -> _NoReturn:
    """Refuse, as PyTorch does."""
    raise RuntimeError("torch.autograd.variable(...) is deprecated, use torch.tensor(...) instead")


def __getattr__(name: str) -> _Any:
    if name == "profiler":  # loaded when it is first used
        return _import_module(f"{__name__}.{name}")
    raise _no_attribute(__name__, name)
