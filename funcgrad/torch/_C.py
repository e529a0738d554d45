"""The few names of PyTorch's `torch._C` that public libraries use."""

from enum import Enum as _Enum
from typing import Any

from funcgrad.engine import local as _local
from funcgrad.torch._ops.conversions import parsed_target as _parsed_target
from funcgrad.torch._tensor.overriding import disabled as _disabled_torch_function_impl
from funcgrad.torch._tensor.overriding import without_classes as DisableTorchFunctionSubclass
from funcgrad.torch._tensor.tensor import Tensor as _Tensor
from funcgrad.torch._types.devices import device as _device
from funcgrad.torch._types.stand_ins import refused_class as _refused_class
from funcgrad.torch._types.stand_ins import stand_in as _stand_in

__all__ = [
    "DisableTorchFunctionSubclass",
    "DispatchKey",
    "DispatchKeySet",
    "Graph",
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
Graph = _refused_class(__name__, "Graph", "funcgrad has no graphs of TorchScript")

# Packages join keys of PyTorch's dispatcher when they are imported, to use them around ops of their own compiled libraries.
DispatchKey = _Enum(
    "DispatchKey",
    "Undefined CPU CUDA XPU MPS Meta AutogradCPU AutogradCUDA Autograd ADInplaceOrView AutocastCPU AutocastCUDA AutocastXPU "
    "AutocastMPS Python PythonDispatcher CompositeImplicitAutograd CompositeExplicitAutograd",
    module=__name__,
)


class DispatchKeySet(frozenset[Any]):
    """Some keys. There is no dispatcher here that would ask for them."""

    def __new__(cls, *keys: Any) -> "DispatchKeySet":
        """A set of one key, or of the keys of another set."""
        return super().__new__(cls, *[k if isinstance(k, frozenset) else {k} for k in keys])

    def __or__(self, other: Any) -> "DispatchKeySet":
        """The keys of both."""
        return DispatchKeySet(frozenset.__or__(self, other))


def _are_functorch_transforms_active() -> bool:
    """Whether the call is inside a transformation of `torch.func`, forward mode's aside."""
    return bool(_local.recorder.levels)


class _nn:
    """The functions of `torch._C._nn` that libraries call."""

    @staticmethod
    def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
        """The device, the dtype, whether a copy may run on, and the format that arguments of `to` ask for.

        Raises:
            TypeError: the arguments are of no form.
        """
        given = _parsed_target(args, kwargs)
        where, wanted, layout = (given.get(key) for key in ("device", "dtype", "memory_format"))
        place = None if where is None else _device(where)
        return place, wanted, bool(given.get("non_blocking")), layout


def _get_tracing_state() -> None:
    """The trace that is taken for TorchScript: none."""


def _log_api_usage_once(event: str) -> None:
    """Do nothing: no use is logged."""
