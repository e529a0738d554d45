"""Calls that somebody else answers: `__torch_function__` of a class of the user's, and the modes of `torch.overrides`.

PyTorch asks all arguments of every call. Here nobody is asked until the first such class or mode is met (`begin`): until then
functions look at one flag, and methods of `Tensor` at nothing.

Behaviour: https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-python-api
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType, MethodType
from typing import Any, ClassVar

from funcgrad.engine.threads import PerThread
from funcgrad.teaching import cured
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.view import ViewTensor

# Whether calls look at their arguments. It never ends: classes of the user's stay.
begun = False

NOBODY: Any = object()


class _Now(PerThread):
    """The modes that are on, the innermost last; and whether classes and modes are asked."""

    def __init__(self) -> None:
        self.modes: list[Any] = []
        self.classes = True


now = _Now()


@contextmanager
def without_classes() -> Iterator[None]:
    """Ask modes alone inside the block."""
    before, now.classes = now.classes, False
    try:
        yield
    finally:
        now.classes = before


def _disabled(cls: type, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    raise NotImplementedError(f"{cls.__name__} overrides no function")


# The `__torch_function__` of a class that overrides nothing, such as `Parameter`.
disabled: Any = classmethod(_disabled)


# ------------------------------------------------------------------------------------------- who overrides


@functools.lru_cache(1024)
def overrides(cls: type) -> bool:
    """Whether calls with an argument of a class are the class's to answer."""
    if cls is Tensor:
        return False
    found = inspect.getattr_static(cls, "__torch_function__", None)
    # PyTorch's own tensors would hand the call back to us.
    of_pytorch = any((c.__module__, c.__name__) == ("torch", "Tensor") for c in cls.__mro__)
    return (
        found is not None and getattr(found, "__func__", None) is not _disabled and not of_pytorch
    )


def overriding(values: Iterable[Any], plain: bool = False) -> list[Any]:
    """One value of each class that overrides calls, also from sequences among the values; subclasses come first.

    Args:
        values: the arguments of a call.
        plain: whether `Tensor` itself counts as such a class.
    """
    found: list[Any] = []
    for value in values:
        for each in value if isinstance(value, (list, tuple)) else (value,):
            cls = each.__class__
            if (overrides(cls) or (plain and cls is Tensor)) and all(
                cls is not known.__class__ for known in found
            ):
                later = [k for k, known in enumerate(found) if issubclass(cls, known.__class__)]
                found.insert(later[0] if later else len(found), each)
    return found


def begin() -> None:
    """Let every call look at its arguments from now on."""
    global begun
    if not begun:
        begun = True
        for name in list(vars(Tensor)):
            cover(name)


# ------------------------------------------------------------------------------------------- a call


def answer(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of a call that a mode, or the class of an argument, answers; `NOBODY` if none does.

    Args:
        function: as users find it.
        args, kwargs: its arguments.

    Raises:
        TypeError: all classes that were asked gave `NotImplemented`.
    """
    found = overriding([*args, *kwargs.values()]) if now.classes else []
    if not found and not now.modes:
        return NOBODY
    begin()
    return ask(function, found, args, kwargs)


def ask(function: Any, asked: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """As `answer`, of these arguments' classes."""
    types = tuple([each.__class__ for each in asked])
    if now.modes:
        mode = now.modes.pop()
        try:
            found = mode.__torch_function__(function, types, args, kwargs or None)
        finally:
            now.modes.append(mode)
        if found is not NotImplemented:
            return found
    for each in asked:
        # A view is of a class of ours, which users see as theirs.
        of: Any = each.__class__ if isinstance(each, Tensor) else each
        found = of.__torch_function__(function, types, args, kwargs or None)
        if found is not NotImplemented:
            return found
    if not asked:
        return NOBODY
    listed = "".join(f"\n  - tensor subclass {each}" for each in types)
    raise TypeError(
        f"Multiple dispatch failed for '{name_of(function)}'; all __torch_function__ handlers returned NotImplemented:\n{listed}"
    )


def overridable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which a class or a mode may answer; its attribute `shown`, if any, makes the arguments that they see."""
    shown: Callable[[tuple[Any, ...]], tuple[Any, ...]] = getattr(function, "shown", tuple)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if begun and (found := answer(call, shown(args), kwargs)) is not NOBODY:
            return found
        return function(*args, **kwargs)

    return call


def name_of(function: Any) -> str:
    """PyTorch's name of a function, such as `torch.Tensor.add`; that of a property ends with `__get__`."""
    if isinstance(function, MethodType):
        of: Any = function.__self__
        name = next(name for name, held in vars(Tensor).items() if held is of)
        return f"torch.Tensor.{name}.{function.__name__}"
    return f"{function.__module__.removeprefix('funcgrad.')}.{function.__qualname__}"


# ------------------------------------------------------------------------------------------- methods

# The operators whose function is, in PyTorch, the method of another name.
_SAME = {
    **{f"__{name}__": name for name in ("add", "sub", "mul", "matmul", "pow", "ne", "lt", "le", "gt", "ge", "neg", "abs")},
    **{f"__i{name}__": f"{name}_" for name in ("add", "sub", "mul", "pow")},
    **{f"__r{name}__": name for name in ("add", "mul")},
    **{f"__r{name}__": f"bitwise_{name}" for name in ("and", "or", "xor")},
    "__truediv__": "div",
    "__itruediv__": "div_",
    "__ifloordiv__": "floor_divide_",
    "__mod__": "remainder",
    "__imod__": "remainder_",
    "__pos__": "positive",
}  # fmt: skip
# These make a tensor, or tell Python what it is.
_KEPT = {"as_subclass", "__new__", "__init__", "__init_subclass__", "__torch_function__", "__getattr__", "__copy__"}  # fmt: skip
_KEPT |= {"__jax_array__", "__array_wrap__", "__dlpack__", "__dlpack_device__", "__delitem__"}


def cover(name: str) -> None:
    """Let classes and modes answer for a method or property of `Tensor`, once any does."""
    private = name.startswith("_") and not (name.startswith("__") and name.endswith("__"))
    if not begun or private or name in _KEPT:
        return
    for cls in (Tensor, ViewTensor):
        thing = vars(cls).get(name)
        if hasattr(thing, "_overridable"):
            continue
        if isinstance(thing, property):
            setattr(cls, name, _Property(thing))
        elif isinstance(thing, FunctionType):
            made: Any = _operator(name, thing) if name in _SAME else overridable(thing)
            made.__module__, made.__qualname__ = Tensor.__module__, f"Tensor.{name}"
            made._overridable = True
            setattr(cls, name, made)


def _operator(name: str, direct: Callable[..., Any]) -> Callable[..., Any]:
    """An operator, which a class or a mode may answer as the method of the same meaning."""
    method = _SAME[name]

    @functools.wraps(direct)
    def call(*args: Any) -> Any:
        found = answer(getattr(Tensor, method), args, {})
        return direct(*args) if found is NOBODY else found

    return call


class _Property(property):
    """A property that a class or a mode may answer."""

    _overridable: ClassVar[bool] = True

    def __init__(self, of: property) -> None:
        super().__init__(of.fget, of.fset, of.fdel, of.__doc__)

    def __get__(self, tensor: Any, cls: type | None = None) -> Any:
        """The value, or what answers in its place."""
        if tensor is None:
            return self
        found = answer(self.__get__, (tensor,), {})
        return super().__get__(tensor, cls) if found is NOBODY else found

    def __set__(self, tensor: Any, value: Any) -> None:
        """Set the value, or do what is done in its place."""
        if answer(self.__set__, (tensor, value), {}) is NOBODY:
            super().__set__(tensor, value)


# ------------------------------------------------------------------------------------------- what `Tensor` does


def default(cls: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Call a function, and make its results tensors of this class.

    PyTorch's own functions call this too, where they are given a tensor of ours.
    """
    if not isinstance(func, (FunctionType, MethodType)) or func.__module__.startswith("torch."):
        name = getattr(func, "__name__", "this")
        error = TypeError(f"{name}() is PyTorch's own, and was given a tensor of funcgrad.torch")
        raise cured(error, "two libraries")
    if not all(issubclass(cls, each) for each in types):
        return NotImplemented
    with without_classes():
        found = func(*args, **(kwargs or {}))
    return found if func == Tensor.grad.__get__ else _converted(found, cls)


default.__name__ = default.__qualname__ = "__torch_function__"


def _converted(found: Any, cls: type) -> Any:
    if isinstance(found, Tensor):
        return found if isinstance(found, cls) else found.as_subclass(cls)
    if isinstance(found, (tuple, list)):
        parts = [_converted(each, cls) for each in found]
        return found._make(parts) if hasattr(found, "_make") else type(found)(parts)
    return found
