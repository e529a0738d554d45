"""The few names of PyTorch's `torch._C` that public libraries use."""

from typing import Any

from funcgrad.torch._tensor.overriding import disabled as _disabled_torch_function_impl
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch._types.missing import refused_class as _refused_class

__all__ = ["Value", "_disabled_torch_function_impl", "_get_tracing_state", "_log_api_usage_once"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


Value = _refused_class(__name__, "Value", "funcgrad has no graphs of TorchScript")


def _get_tracing_state() -> None:
    """The trace that is taken for TorchScript: none."""


def _log_api_usage_once(event: str) -> None:
    """Do nothing: no use is logged."""
