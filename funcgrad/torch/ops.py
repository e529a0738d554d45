"""PyTorch's `torch.ops`: ops by library and name. `torch.ops.aten.add.Tensor(x, y)` calls the function `torch.add`; other libraries
are the user's, by `torch.library.custom_op`.
"""

from typing import Any, NoReturn

from funcgrad.torch._custom_ops import OPS as _OPS
from funcgrad.torch._custom_ops import REFUSED_LIBRARIES as _REFUSED_LIBRARIES
from funcgrad.torch._tensor.registry import FUNCTIONS as _FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor as _Tensor

__all__ = ["aten", "load_library"]


def __dir__() -> list[str]:
    return __all__


class _Op:
    """An op by name, and its forms: `aten.add`, `aten.add.Tensor`. A call calls the user's op, or `torch`'s function or method.

    Raises:
        NotImplementedError: called, and neither exists.
    """

    def __init__(self, library: str, name: str, form: str = "") -> None:
        self.__name__, self._library, self._form = name, library, form
        self._qualified_op_name = f"{library}::{name}"

    def __getattr__(self, form: str) -> "_Op":
        if self._form or form.startswith("__"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{form}'", name=form)  # fmt: skip
        made = vars(self)[form] = _Op(self._library, self.__name__, form)
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        called = _OPS.get(self._qualified_op_name)
        if called is None and self._library == "aten":
            called = _FUNCTIONS.get(self.__name__) or getattr(_Tensor, self.__name__, None)
        if called is None:
            raise NotImplementedError(
                f"funcgrad has no function for {self._qualified_op_name}; torch.from_jax(function) makes an op of a JAX function"
            )
        return called(*args, **kwargs)

    def __str__(self) -> str:
        return ".".join(filter(None, (self._library, self.__name__, self._form)))

    def __repr__(self) -> str:
        named = f"op='{self._library}.{self.__name__}'"
        if self._form:
            return f"<OpOverload({named}, overload='{self._form}')>"
        return f"<OpOverloadPacket({named})>"


class _Namespace:
    """The ops of one library."""

    def __init__(self, library: str) -> None:
        self._library = library

    def __getattr__(self, name: str) -> _Op:
        known = self._library == "aten" or f"{self._library}::{name}" in _OPS
        if not known or name.startswith("__"):
            raise AttributeError(
                f"'_OpNamespace' '{self._library}' object has no attribute '{name}'", name=name
            )
        made = vars(self)[name] = _Op(self._library, name)
        return made


aten = _Namespace("aten")


def load_library(path: Any) -> NoReturn:
    """Refuse a compiled library of ops, as PyTorch refuses one that does not fit: packages such as torchvision go on without.

    Raises:
        OSError: always.
    """
    _REFUSED_LIBRARIES.append(path)
    raise OSError(
        f"{path}: the library is compiled for PyTorch; funcgrad has ops of Python only (torch.library.custom_op)"
    )


def __getattr__(name: str) -> Any:
    if name.startswith(("__", "pytest")):  # Python and pytest ask modules for such names
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'", name=name)
    made = globals()[name] = _Namespace(name)
    return made
