"""`torch.onnx`, as far as it goes without ONNX: libraries ask whether an export runs."""

from typing import Any

from funcgrad.torch._types.stand_ins import refused_class as _refused_class
from funcgrad.torch._types.stand_ins import stand_in as _stand_in

__all__ = ["ONNXProgram", "export", "is_in_onnx_export"]
__path__: list[str] = []  # its modules are stand-ins

_WHY = "funcgrad writes no ONNX: torch.save(module.state_dict(), file) keeps a module for PyTorch, which can export it"


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    return _stand_in(__name__, name)


ONNXProgram = _refused_class(__name__, "ONNXProgram", _WHY)


def is_in_onnx_export() -> bool:
    """Whether a module is being exported: never."""
    return False


def export(*args: Any, **kwargs: Any) -> Any:
    """Refuse.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(_WHY)
