"""The kinds of arguments, by their annotations: a value of another kind is refused, as PyTorch's parser of arguments does.

A function's annotations are PyTorch's own kinds: `bool`, `int`, `float`, `str`, `Tensor`, lists of integers, `None`. An
argument with any other annotation is left to the function.
"""

import types
from collections.abc import Callable, Sequence
from typing import Any, Union, get_args, get_origin

import jax
import numpy as np

from funcgrad.teaching import cured
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.numbers import kind_of

ARRAYS = (np.ndarray, jax.Array)


class _NotGiven:
    def __repr__(self) -> str:
        return "not given"


# The default of an argument whose place decides between PyTorch's forms of a call, and which None does not fill.
NOT_GIVEN: Any = _NotGiven()


def is_bool(value: Any) -> bool:
    """Whether something is a bool; a number is none."""
    return isinstance(value, bool)


def is_int(value: Any) -> bool:
    """Whether something is an integer, or a tensor that is one; a bool is none."""
    if isinstance(value, (Tensor, jax.Array)):
        dtype = value.dtype.numpy_dtype if isinstance(value, Tensor) else value.dtype
        return _is_element(value) and dtype.kind in "iu"
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether something is a number, or a tensor that is one."""
    if isinstance(value, (Tensor, jax.Array)):
        return _is_element(value)
    return isinstance(value, (int, float, complex, np.number, np.bool_))


def is_real(value: Any) -> bool:
    """Whether something is a number without an imaginary part, or a tensor that is one."""
    return is_number(value) and not isinstance(value, (complex, np.complexfloating))


def _is_element(value: Any) -> bool:
    return not value.ndim and not getattr(value, "requires_grad", False)


def is_ints(value: Any) -> bool:
    """Whether something is a list or a tuple of integers."""
    return isinstance(value, (list, tuple)) and all(map(is_int, value))


def is_str(value: Any) -> bool:
    """Whether something is a text."""
    return isinstance(value, str)


def is_tensor(value: Any) -> bool:
    """Whether something is a tensor."""
    return isinstance(value, Tensor)


def is_none(value: Any) -> bool:
    """Whether something is None."""
    return value is None


Fits = Callable[[Any], bool]
# Integers: one for all, or one for each.
Ints = int | tuple[int, ...] | list[int]

# The annotation, its test, and PyTorch's name of the kind.
_KINDS: dict[Any, tuple[Fits, str]] = {
    bool: (is_bool, "bool"),
    int: (is_int, "int"),
    float: (is_real, "float"),
    complex: (is_number, "Number"),
    str: (is_str, "str"),
    Tensor: (is_tensor, "Tensor"),
    "Tensor": (is_tensor, "Tensor"),
    Sequence[int]: (is_ints, "tuple of ints"),
    tuple[int, ...]: (is_ints, "tuple of ints"),
    list[int]: (is_ints, "tuple of ints"),
    None: (is_none, "None"),
    types.NoneType: (is_none, "None"),
}


class Kind:
    """The kind of argument that an annotation names: the tests of its parts, and the first part's name in errors."""

    def __init__(self, annotation: Any) -> None:
        if isinstance(annotation, str) and annotation.endswith(" | None"):
            parts: Any = (annotation.removesuffix(" | None"), None)
        else:
            union = get_origin(annotation) in (Union, types.UnionType)
            parts = get_args(annotation) if union else (annotation,)
        found = [_KINDS[each] for each in parts]
        self.tests, self.name = [test for test, _ in found], found[0][1]
        # Types of which every value is of this kind.
        self.known: set[type] = set()

    def fits(self, value: Any) -> bool:
        """Whether a value is of this kind."""
        if not any(test(value) for test in self.tests):
            return False
        whole = is_tensor in self.tests or not isinstance(value, (Tensor, jax.Array))
        if whole and not isinstance(value, (list, tuple)) and len(self.known) < _MOST_KNOWN:
            self.known.add(type(value))
        return True


_MOST_KNOWN = 64


def kind(annotation: Any) -> Kind | None:
    """The kind of argument that an annotation stands for; None if the function itself looks at the argument."""
    try:
        return Kind(annotation)
    except (KeyError, TypeError):
        return None


def plain(kind: Kind | None, value: Any) -> Any:
    """An argument that is a number as Python's, where it was given as a tensor."""
    if kind is None or is_tensor in kind.tests:
        return value
    if isinstance(value, (list, tuple)):
        return type(value)([each.item() if isinstance(each, Tensor) else each for each in value])
    return value.item() if isinstance(value, Tensor) else value


def refusal(function: str, argument: str, position: int, kind: str, value: Any) -> TypeError:
    """The error for an argument of another kind; position 0 is one that was given by name."""
    place = f" (position {position})" if position > 0 else ""
    error = TypeError(
        f"{function}(): argument '{argument}'{place} must be {kind}, not {kind_of(value)}"
    )
    return cured(error, "an array in an op") if isinstance(value, ARRAYS) else error
