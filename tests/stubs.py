"""Stubs: what type checkers and editors see of names that are declared by rows. `python -m tests.stubs` writes them anew.

The functions of `torch` and the methods of `Tensor` are made when the shim is loaded, so a checker that reads the source
finds none of them. The stubs list them, with the signatures that `help` shows.
"""

import builtins
import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch import nn
from funcgrad.torch._tensor.registry import FUNCTIONS, METHODS

ROOT = Path(torch.__file__).parent
HEAD = '"""Made by `python -m tests.stubs`."""\n\n'
# Classes that annotations name, and where they are defined.
_CLASSES: dict[Any, str] = {
    torch.Tensor: "funcgrad.torch._tensor.tensor",
    torch.Size: "funcgrad.torch._types.size",
    torch.device: "funcgrad.torch._types.devices",
    torch.dtype: "funcgrad.torch._types.dtypes",
    torch.memory_format: "funcgrad.torch._memory.formats",
    torch.layout: "funcgrad.torch._memory.formats",
    torch.Generator: "funcgrad.torch._random.generator",
    torch.utils.hooks.RemovableHandle: "funcgrad.torch.utils.hooks",
}
_IMPORTS = (
    "import builtins\nimport collections.abc\nfrom typing import Any, NoReturn, overload\n\nimport numpy\n\n"
    + "".join(
        f"from {module} import {cls.__name__} as _{cls.__name__}\n"
        for cls, module in sorted(_CLASSES.items(), key=lambda each: each[1] + each[0].__name__)
    )
)
# These give a tensor, as methods that write in place do; their annotations leave room for `NotImplemented`.
_BINARY = ("add", "and", "floordiv", "lshift", "matmul", "mod", "mul", "or", "pow", "rshift", "sub", "truediv", "xor")  # fmt: skip
_OPERATORS = {f"__{form}{name}__" for form in ("", "r", "i") for name in _BINARY}
_OPERATORS |= {f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge", "invert", "pos", "neg")}  # fmt: skip
# Python's `object` declares these of another type.
_OTHER_THAN_OBJECTS = ("__eq__", "__ne__")


def shown(annotation: Any, function: Any = None) -> str:
    """An annotation as a stub writes it; what a stub cannot name is `Any`."""
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, inspect.unwrap(function).__globals__)
        except (NameError, TypeError, AttributeError):
            return "Any"
    if annotation is None or annotation is types.NoneType:
        return "None"
    if annotation in (Any, inspect.Parameter.empty):
        return "Any"
    if annotation is typing.NoReturn:
        return "NoReturn"
    if annotation is np.ndarray:
        return "numpy.ndarray"
    if annotation in _CLASSES:
        return f"_{annotation.__name__}"
    origin, of = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        parts = list(dict.fromkeys(shown(each, function) for each in of))
        return "Any" if "Any" in parts else " | ".join(parts)
    if origin in (tuple, list, dict, *_ABSTRACT):
        module = "builtins" if origin in (tuple, list, dict) else "collections.abc"
        return f"{module}.{origin.__name__}[{', '.join(_part(each, function) for each in of)}]"
    if isinstance(annotation, type) and getattr(builtins, annotation.__name__, None) is annotation:
        return f"builtins.{annotation.__name__}"
    return "Any"


_ABSTRACT = (collections.abc.Sequence, collections.abc.Iterator, collections.abc.Callable)


def _part(annotation: Any, function: Any) -> str:
    if annotation is ...:
        return "..."
    if isinstance(annotation, list):
        return f"[{', '.join(shown(each, function) for each in annotation)}]"
    return shown(annotation, function)


def signatures(function: Callable[..., Any]) -> list[inspect.Signature]:
    """The signatures of a function; two if a caller may give numbers one by one or by name."""
    own = inspect.signature(function)
    variadic = next((each for each in _declared(function) if _star(each)), None)
    if variadic is None:
        return [own]
    by_name = [
        each.replace(kind=each.KEYWORD_ONLY) if each.kind is each.VAR_POSITIONAL else each
        for each in own.parameters.values()
    ]
    return [variadic, own.replace(parameters=by_name)]


def _declared(function: Any) -> Iterator[inspect.Signature]:
    """The signature of a function, and of each function that it wraps."""
    yield inspect.signature(function)
    while (function := getattr(function, "__wrapped__", None)) is not None:
        yield inspect.signature(function, follow_wrapped=False)


def _star(signature: inspect.Signature) -> bool:
    """Whether a function takes numbers one by one; `*args` is a wrapper's."""
    found = signature.parameters.values()
    return any(each.kind is each.VAR_POSITIONAL and each.name != "args" for each in found)


def _parameters(signature: inspect.Signature, function: Any, of_method: bool) -> str:
    parts, starred = [], False
    for k, each in enumerate(signature.parameters.values()):
        if k == 0 and of_method:
            parts.append("self")
            continue
        if each.kind is each.VAR_POSITIONAL:
            starred = True
        if each.kind is each.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        star = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        default = "" if each.default is each.empty else " = ..."
        parts.append(f"{star}{each.name}: {shown(each.annotation, function)}{default}")
    return ", ".join(parts)


def declaration(name: str, function: Any, of_method: bool = False) -> str:
    """A function or a method as a stub declares it."""
    found = signatures(function)
    lines = []
    for signature in found:
        result = signature.return_annotation
        if result is signature.empty:
            result = inspect.unwrap(function).__annotations__.get("return", Any)
        if result is Any and (name in _OPERATORS or (name[-1] == "_" and name[-2:] != "__")):
            result = torch.Tensor
        if len(found) > 1:
            lines.append("@overload")
        parameters = _parameters(signature, function, of_method)
        ignored = "  # type: ignore[override]" if name in _OTHER_THAN_OBJECTS else ""
        lines.append(f"def {name}({parameters}) -> {shown(result, function)}: ...{ignored}")
    return "\n".join(lines) + "\n"


def methods() -> str:
    """The stub of the methods and properties of `Tensor` that are published."""
    body = []
    for name, thing in sorted(METHODS.items()):
        if name == "__getattr__" or (name.startswith("_") and not name.endswith("__")):
            continue
        if isinstance(thing, property):
            result = shown(thing.fget.__annotations__.get("return", Any), thing.fget)
            body.append(f"@property\ndef {name}(self) -> {result}: ...\n")
            if thing.fset:
                body.append(f"@{name}.setter\ndef {name}(self, value: Any) -> None: ...\n")
        elif inspect.isfunction(thing):
            body.append(declaration(name, thing, of_method=True))
    lines = "".join(body).splitlines(keepends=True)
    return f"{HEAD}{_IMPORTS}\nclass Methods:\n{''.join('    ' + line for line in lines)}"


def functions() -> str:
    """The stub of the functions of `torch`, its dtypes with Python's names, and its modules."""
    body = []
    for name, thing in sorted(vars(torch).items()):
        if name.startswith("_"):
            continue
        if isinstance(thing, torch.dtype):
            body.append(f"{name}: _dtype\n")
        elif thing is torch.layout:
            body.append(f"{name} = _layout\n")
        elif name not in FUNCTIONS:
            continue
        elif isinstance(thing, type) and thing.__module__ == torch.__name__:  # such as FloatTensor
            body.append(f"class {name}(_Tensor): ...\n")
        elif isinstance(thing, type) and thing.__module__.startswith(torch.__name__):
            body.append(f"from {thing.__module__} import {name} as {name}\n")
        elif inspect.isfunction(thing):
            body.append(declaration(name, thing))
        else:
            body.append(f"{name}: Any\n")
    modules = "".join(
        f"from funcgrad.torch import {name} as {name}\n" for name in sorted(torch._LATER)
    )
    return f"{HEAD}{_IMPORTS}{modules}\n{''.join(body)}"


def modules() -> str:
    """The stub of `torch.nn.modules`: its names, each from its family."""
    lines = []
    for name in sorted(nn.modules.__all__):
        family = getattr(nn.modules, name).__module__
        lines.append(f"from {family} import {name} as {name}\n")
    return HEAD + "".join(lines)


STUBS = {
    ROOT / "_tensor" / "methods.pyi": methods,
    ROOT / "_functions.pyi": functions,
    ROOT / "nn" / "modules" / "__init__.pyi": modules,
}

if __name__ == "__main__":
    for path, made in STUBS.items():
        path.write_text(made())
