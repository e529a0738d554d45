"""`torch.testing`: `assert_close`, with PyTorch's tolerances and messages, and `make_tensor`, with its numbers.

Behaviour: https://pytorch.org/docs/stable/testing.html
"""

import cmath
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = ["assert_allclose", "assert_close", "make_tensor"]


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


_OLD_TOLERANCES = {
    torch.float16: (1e-3, 1e-3),
    torch.float32: (1e-4, 1e-5),
    torch.float64: (1e-5, 1e-8),
}


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """`assert_close` under its old name: numbers and arrays become tensors, dtypes may differ, and tolerances are wider.

    Raises:
        AssertionError: the elements differ by more.
    """
    warnings.warn(
        "`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a future release. Please use "
        "`torch.testing.assert_close()` instead. You can find detailed upgrade instructions in "
        "https://github.com/pytorch/pytorch/issues/61844.",
        FutureWarning,
        stacklevel=2,
    )
    left = actual if isinstance(actual, Tensor) else torch.tensor(actual)
    right = expected if isinstance(expected, Tensor) else torch.tensor(expected, dtype=left.dtype)
    if rtol is None and atol is None:
        known = {**_TOLERANCES, **_OLD_TOLERANCES}
        limits = [known.get(each.dtype, (0.0, 0.0)) for each in (left, right)]
        rtol, atol = (max(each[k] for each in limits) for k in (0, 1))
    options = {"equal_nan": equal_nan, "check_dtype": False, "msg": msg or None}
    assert_close(left, right, rtol=rtol, atol=atol, **options)  # type: ignore[arg-type]


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of random numbers in `[low, high)`; from -9 to 9 without bounds, PyTorch's under the same seed.

    Args:
        shape: numbers, or a sequence of them.
        dtype, device: of the tensor.
        low, high: the bounds, cut to what the dtype holds.
        requires_grad: whether it requires grad.
        noncontiguous: whether it lies in memory with gaps.
        exclude_zero: whether zeros become the dtype's smallest positive number, or one.
        memory_format: the order of its memory.

    Raises:
        ValueError: arguments exclude each other, or the bounds do not fit.
        TypeError: the dtype has no random numbers.

    >>> import funcgrad.torch as torch
    >>> bool((torch.testing.make_tensor(3, dtype=torch.float32, device="cpu", low=2, high=3) >= 2).all())
    True
    """
    if len(shape) == 1 and isinstance(shape[0], Sequence):
        (shape,) = shape
    if noncontiguous and memory_format is not None:
        raise ValueError(
            f"The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got {noncontiguous=} and "
            f"{memory_format=}"
        )
    inexact = dtype.is_floating_point or dtype.is_complex
    if requires_grad and not inexact:
        raise ValueError(
            f"`requires_grad=True` is not supported for boolean and integral dtypes, but got {dtype=}"
        )
    gaps = noncontiguous and math.prod(shape) > 1
    wide = (*shape[:-1], 2 * shape[-1]) if gaps else tuple(shape)
    limits: tuple[float, float] = (0, 2)
    usual: tuple[float, float] = (0, 2)
    if inexact:
        limits, usual = (torch.finfo(dtype).min, torch.finfo(dtype).max), (-9, 9)
    elif dtype is not torch.bool:
        most = torch.iinfo(dtype).max + (dtype is not torch.int64)
        limits, usual = (torch.iinfo(dtype).min, most), (-9, 10)
    start, end = _bounds(low, high, limits, usual, dtype)
    made: Any
    if inexact:
        made = torch.empty(wide, device=device, dtype=dtype)
        reals = torch.view_as_real(made) if dtype.is_complex else made
        if end - start >= torch.finfo(reals.dtype).max:
            reals.uniform_(start / 2, end / 2).mul_(2)
        else:
            reals.uniform_(start, end)
    else:
        made = torch.randint(math.ceil(start), math.ceil(end), wide, device=device, dtype=dtype)
    if gaps:
        made = made[..., 1::2]
    elif memory_format is not None:
        made = made.clone(memory_format=memory_format)
    if exclude_zero:
        made[made == 0] = torch.finfo(dtype).tiny if inexact else 1
    return made.requires_grad_(requires_grad) if inexact else made


def _bounds(low: Any, high: Any, limits: Any, usual: Any, dtype: Any) -> tuple[float, float]:
    low, high = (
        each if each is not None else of for each, of in zip((low, high), usual, strict=True)
    )
    if any(isinstance(each, float) and math.isnan(each) for each in (low, high)):
        raise ValueError(f"`low` and `high` cannot be NaN, but got {low=} and {high=}")
    if low == high and (dtype.is_floating_point or dtype.is_complex):
        warnings.warn(
            "Passing `low==high` to `torch.testing.make_tensor` for floating or complex types is deprecated since 2.1 and will "
            "be removed in 2.3. Use `torch.full(...)` instead.",
            FutureWarning,
            stacklevel=4,
        )
    elif low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    elif high < limits[0] or low >= limits[1]:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} only supports "
            f"[{limits[0]}, {limits[1]})"
        )
    return tuple(min(max(each, limits[0]), limits[1]) for each in (low, high))
