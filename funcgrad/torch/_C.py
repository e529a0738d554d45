"""The few names of PyTorch's `torch._C` that public libraries use."""

from typing import Any

from funcgrad.engine import local as _local
from funcgrad.torch._tensor.overriding import disabled as _disabled_torch_function_impl
from funcgrad.torch._tensor.tensor import Tensor as _Tensor
from funcgrad.torch._types.stand_ins import refused_class as _refused_class
from funcgrad.torch._types.stand_ins import stand_in as _stand_in

__all__ = [
    "Value",
    "_TensorMeta",
    "_are_functorch_transforms_active",
    "_disabled_torch_function_impl",
    "_get_tracing_state",
    "_log_api_usage_once",
]
__path__: list[str] = []  # its modules are stand-ins


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    return _stand_in(__name__, name)


_TensorMeta = type(_Tensor)
Value = _refused_class(__name__, "Value", "funcgrad has no graphs of TorchScript")


def _are_functorch_transforms_active() -> bool:
    """Whether the call is inside a transformation of `torch.func`, forward mode's aside."""
    return bool(_local.recorder.levels)


def _get_tracing_state() -> None:
    """The trace that is taken for TorchScript: none."""


def _log_api_usage_once(event: str) -> None:
    """Do nothing: no use is logged."""
