"""PyTorch's `torch.ops`: `torch.ops.aten.add.Tensor(x, y)` calls the function `torch.add`. No other library has ops here."""

from typing import Any

from funcgrad.torch._tensor.registry import FUNCTIONS as _FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor as _Tensor

__all__ = ["aten"]


def __dir__() -> list[str]:
    return __all__


class _Op:
    """An op by name, and its forms: `aten.add`, `aten.add.Tensor`. A call calls the function of `torch`, or else the method.

    Raises:
        NotImplementedError: called, and neither exists.
    """

    def __init__(self, name: str, form: str = "") -> None:
        self.__name__ = name
        self._form = form

    def __getattr__(self, form: str) -> "_Op":
        if self._form or form.startswith("__"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{form}'", name=form)  # fmt: skip
        made = _Op(self.__name__, form)
        vars(self)[form] = made
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        called = _FUNCTIONS.get(self.__name__) or getattr(_Tensor, self.__name__, None)
        if called is None:
            raise NotImplementedError(
                f"funcgrad has no function for aten::{self.__name__}; torch.from_jax(function) makes an op of a JAX function"
            )
        return called(*args, **kwargs)

    def __repr__(self) -> str:
        if self._form:
            return f"<OpOverload(op='aten.{self.__name__}', overload='{self._form}')>"
        return f"<OpOverloadPacket(op='aten.{self.__name__}')>"


class _Namespace:
    """The ops of one library."""

    def __init__(self, library: str) -> None:
        self._library = library

    def __getattr__(self, name: str) -> _Op:
        if self._library != "aten" or name.startswith("__"):
            raise AttributeError(
                f"'_OpNamespace' '{self._library}' object has no attribute '{name}'", name=name
            )
        made = vars(self)[name] = _Op(name)
        return made


aten = _Namespace("aten")


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'", name=name)
    return _Namespace(name)
