"""The names in a graph and in its code: of results, functions and types."""

import builtins
import inspect
import keyword
import math
import re
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.devices import device


def qualified_name(function: Any) -> str:
    """The name that code finds a function by, such as `torch.nn.functional.relu`.

    Raises:
        RuntimeError: it is a lambda whose source is not found.
    """
    name = function.__name__
    if getattr(builtins, name, None) is function:
        return name
    if function is getattr(Tensor, name, None):
        return f"torch.Tensor.{name}"
    if name == "<lambda>":
        try:
            name = inspect.getsource(function).split("=")[0].strip()
        except OSError as error:
            raise RuntimeError("Unable to represent lambda") from error
    return f"{(function.__module__ or 'builtins').removeprefix('funcgrad.')}.{name}"


def type_name(kind: Any) -> str:
    """The name of a type in an annotation."""
    if isinstance(kind, type) and not hasattr(kind, "__origin__"):
        if kind.__module__ == "builtins":
            return kind.__qualname__
        return f"{kind.__module__.removeprefix('funcgrad.')}.{kind.__qualname__}"
    return "..." if kind is ... else repr(kind).replace("funcgrad.torch", "torch")


class Names:
    """Unique names, none of which hides a built-in one."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._last: dict[str, int] = {}
        self._of: dict[int, str] = {}
        self._kept: list[Any] = []
        self.free = {"inf": math.inf, "nan": math.nan, "NoneType": type(None), "device": device}

    def create(self, candidate: str, of: Any = None) -> str:
        """A name like the candidate; an object has one name."""
        if of is not None and id(of) in self._of:
            return self._of[id(of)]
        candidate = re.sub(r"[^0-9a-zA-Z_]+", "_", candidate) or "_unnamed"
        if candidate[0].isdigit():
            candidate = f"_{candidate}"
        base, digits = re.match(r"^([a-zA-Z_][0-9a-zA-Z_]*?)(?:_(\d+))?$", candidate).group(1, 2)  # type: ignore[union-attr]
        if digits is None or candidate in self.used:
            number = self._last.get(base, 0)
            if self._is_taken(candidate, of):
                number += 1
                candidate = f"{base}_{number}"
        else:
            number = int(digits)
        while candidate in self.used:
            number += 1
            candidate = f"{base}_{number}"
        self.used.add(candidate)
        self._last[base] = number
        if of is not None:
            self._of[id(of)] = candidate
            self._kept.append(of)
        return candidate

    def _is_taken(self, name: str, of: Any) -> bool:
        """Whether a name means something else in Python."""
        if keyword.iskeyword(name) or name in ("torch", "fx_pytree", "pytree"):
            return True
        meant = self.free.get(name, getattr(builtins, name, of))
        return meant is not of


def snake_case(text: str) -> str:
    """A name of words in capitals as one with underscores."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", text).lower()
