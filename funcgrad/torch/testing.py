"""`torch.testing`: `assert_close`, with PyTorch's tolerances and messages.

Behaviour: https://pytorch.org/docs/stable/testing.html
"""

import cmath
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = ["assert_close"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


_TOLERANCES = {  # relative, absolute; other dtypes have to be equal
    torch.float16: (0.001, 1e-5),
    torch.bfloat16: (0.016, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex64: (1.3e-6, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}
_NUMBERS = {int: torch.int64, float: torch.float64, complex: torch.complex128}
_Place = tuple[Any, ...]


class _Mismatch(Exception):
    """An error of a type, with words, at a place in nested things."""

    def __init__(self, kind: type[Exception], words: str, place: _Place) -> None:
        super().__init__(words)
        where = "".join(f"[{each!r}]" for each in place)
        self.kind = kind
        self.words = f"{words}\n\nThe failure occurred for item {where}" if place else words


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Assert that two things are close: tensors, arrays, numbers, or sequences and mappings of them.

    Args:
        actual, expected: the things.
        allow_subclasses: whether a subclass may be compared with its base.
        rtol, atol: the tolerances, relative to `expected` and absolute; both or none. None takes the dtype's.
        equal_nan: whether NaN equals NaN.
        check_device, check_dtype, check_layout, check_stride: what has to be the same besides.
        msg: the error's message, or a function of it.

    Raises:
        AssertionError: they are not close.
        TypeError: they cannot be compared.
        ValueError: only one tolerance is given.

    >>> import funcgrad.torch as torch
    >>> torch.testing.assert_close(torch.ones(2) / 3 * 3, torch.ones(2))
    """
    options = {
        "allow_subclasses": allow_subclasses,
        "equal_nan": equal_nan,
        "check_device": check_device,
        "check_dtype": check_dtype,
        "check_stride": check_stride,
    }
    try:
        for left, right, place in list(_pairs(actual, expected, ())):
            _compare(left, right, place, (rtol, atol), options)
    except _Mismatch as found:
        words = msg if isinstance(msg, str) else msg(found.words) if msg else found.words
        raise found.kind(words) from None


def _pairs(actual: Any, expected: Any, place: _Place) -> Iterator[tuple[Any, Any, _Place]]:
    """Pairs to compare, from nested sequences and mappings."""
    both = (actual, expected)
    if all(isinstance(each, Sequence) and not isinstance(each, str) for each in both):
        if len(actual) != len(expected):
            words = f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            raise _Mismatch(AssertionError, words, place)
        for k in range(len(actual)):
            yield from _pairs(actual[k], expected[k], (*place, k))
    elif all(isinstance(each, Mapping) for each in both):
        if set(actual) != set(expected):
            missing, more = set(expected) - set(actual), set(actual) - set(expected)
            words = (
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {sorted(missing)}\n"
                f"Additional keys in the actual mapping: {sorted(more)}\n"
            )
            raise _Mismatch(AssertionError, words.strip(), place)
        for key in sorted(actual):
            yield from _pairs(actual[key], expected[key], (*place, key))
    else:
        yield actual, expected, place


def _compare(
    actual: Any,
    expected: Any,
    place: _Place,
    given: tuple[float | None, float | None],
    options: dict[str, bool],
) -> None:
    def fail(words: str, kind: type[Exception] = AssertionError) -> NoReturn:
        raise _Mismatch(kind, words, place)

    both = (actual, expected)
    if any(each is None for each in both):
        if actual is not expected:
            fail(f"None mismatch: {actual} is not {expected}")
    elif all(isinstance(each, (bool, np.bool_)) for each in both):
        if bool(actual) is not bool(expected):
            fail(f"Booleans mismatch: {bool(actual)} is not {bool(expected)}")
    elif all(isinstance(each, (*_NUMBERS, np.number)) for each in both):
        left, right = (each.item() if isinstance(each, np.number) else each for each in both)
        limits = _tolerances([_NUMBERS[_kind(each)] for each in (left, right)], given, fail)
        _compare_numbers(left, right, limits, options, fail)
    elif isinstance(actual, type(expected)) or isinstance(expected, type(actual)):
        if type(actual) is not type(expected) and not options["allow_subclasses"]:
            fail(_unsupported(actual, expected), TypeError)
        left, right = (_tensor(each, both, fail) for each in both)
        _compare_tensors(left, right, given, options, fail)
    else:
        fail(_unsupported(actual, expected), TypeError)


def _kind(number: Any) -> type:
    return next(kind for kind in _NUMBERS if isinstance(number, kind))


def _unsupported(actual: Any, expected: Any) -> str:
    return (
        f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}."
    )


def _tensor(thing: Any, both: tuple[Any, Any], fail: Callable[..., NoReturn]) -> Any:
    if isinstance(thing, Tensor):
        return thing
    try:
        return torch.as_tensor(thing)
    except Exception:
        fail(_unsupported(*both), TypeError)


def _tolerances(
    dtypes: list[Any], given: tuple[float | None, float | None], fail: Callable[..., NoReturn]
) -> tuple[float, float]:
    rtol, atol = given
    if rtol is not None and atol is not None:
        return rtol, atol
    if rtol is not None or atol is not None:
        missing = "rtol" if rtol is None else "atol"
        fail(
            f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.",
            ValueError,
        )
    relative, absolute = zip(*(_TOLERANCES.get(each, (0.0, 0.0)) for each in dtypes), strict=True)
    return max(relative), max(absolute)


def _compare_numbers(
    actual: Any,
    expected: Any,
    limits: tuple[float, float],
    options: dict[str, bool],
    fail: Callable[..., NoReturn],
) -> None:
    if options["check_dtype"] and type(actual) is not type(expected):
        fail(f"The (d)types do not match: {type(actual)} != {type(expected)}.")
    if actual == expected:
        return
    if options["equal_nan"] and cmath.isnan(actual) and cmath.isnan(expected):
        return
    away = abs(actual - expected)
    if not (cmath.isfinite(away) and away <= limits[1] + limits[0] * abs(expected)):
        fail(_numbers_apart(actual, expected, limits))


def _numbers_apart(actual: Any, expected: Any, limits: tuple[float, float]) -> str:
    away = abs(actual - expected)
    relative = float("inf") if expected == 0 else away / abs(expected)
    head = f"Scalars are not {_wanted(limits)}!\n\nExpected {expected} but got {actual}.\n"
    absolutely = f"Absolute difference: {away}{_up_to(limits[1], limits)}\n"
    return f"{head}{absolutely}Relative difference: {relative}{_up_to(limits[0], limits)}"


def _wanted(limits: tuple[float, float]) -> str:
    return "close" if any(limits) else "equal"


def _up_to(limit: float, limits: tuple[float, float]) -> str:
    return f" (up to {limit} allowed)" if any(limits) else ""


def _compare_tensors(
    actual: Any,
    expected: Any,
    given: tuple[float | None, float | None],
    options: dict[str, bool],
    fail: Callable[..., NoReturn],
) -> None:
    limits = _tolerances([actual.dtype, expected.dtype], given, fail)
    asked = {
        "shape": (True, lambda tensor: tensor.shape),
        "stride()": (options["check_stride"], lambda tensor: tensor.stride()),
        "device": (options["check_device"], lambda tensor: tensor.device),
        "dtype": (options["check_dtype"], lambda tensor: tensor.dtype),
    }
    for name, (wanted, ask) in asked.items():
        left, right = ask(actual), ask(expected)
        if wanted and left != right:
            fail(f"The values for attribute '{name}' do not match: {left} != {right}.")
    if actual.device != expected.device:
        actual, expected = actual.cpu(), expected.cpu()
    common = torch.promote_types(actual.dtype, expected.dtype)
    actual, expected = actual.detach().to(common), expected.detach().to(common)
    matches = torch.isclose(
        actual, expected, rtol=limits[0], atol=limits[1], equal_nan=options["equal_nan"]
    )
    if torch.all(matches):
        return
    if actual.dim() == 0:
        fail(_numbers_apart(actual.item(), expected.item(), limits))
    fail(_tensors_apart(actual, expected, matches, limits))


def _tensors_apart(actual: Any, expected: Any, matches: Any, limits: tuple[float, float]) -> str:
    count = matches.numel()
    apart = count - int(matches.sum())
    if not (common := actual.dtype).is_floating_point and not common.is_complex:
        actual, expected = actual.to(torch.int64), expected.to(torch.int64)
    away = torch.abs(actual - expected).flatten()
    away[matches.flatten()] = 0
    relative = away / torch.abs(expected).flatten()
    relative[matches.flatten()] = 0
    lines = [f"Mismatched elements: {apart} / {count} ({apart / count:.1%})"]
    for kind, found, limit in (("absolute", away, limits[1]), ("relative", relative, limits[0])):
        greatest, where = torch.max(found, 0)
        index = tuple(int(each) for each in np.unravel_index(int(where), tuple(matches.shape)))
        lines.append(
            f"Greatest {kind} difference: {greatest.item()} at index {index}{_up_to(limit, limits)}"
        )
    return f"Tensor-likes are not {_wanted(limits)}!\n\n" + "\n".join(lines)
