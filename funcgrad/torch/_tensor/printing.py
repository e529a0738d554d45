"""The text of a tensor as PyTorch prints it, from its values as a NumPy array.

The caller gives the values, the node's name, and the device if it is to be shown.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad.torch._types.dtypes import (
    bool_,
    complex64,
    complex128,
    dtype,
    float64,
    get_default_dtype,
    int64,
)


@dataclasses.dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES: dict[str | None, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}

_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors are printed, in every thread.

    Args:
      precision: digits after the point (4).
      threshold: with more elements than this, only the edges are shown (1000).
      edgeitems: elements shown at each edge of each dimension (3).
      linewidth: characters in a line (80).
      profile: "default", "short" or "full" sets all options above at once; options given beside it win.
      sci_mode: scientific notation always (True), never (False), or if the values need it (None).

    >>> import funcgrad.torch as torch
    >>> torch.set_printoptions(precision=2)
    >>> torch.tensor([1.2345])
    tensor([1.23])
    >>> torch.set_printoptions(profile="default")

    Behaviour: https://pytorch.org/docs/stable/generated/torch.set_printoptions.html
    """
    chosen = dict(_PROFILES.get(profile, {}))
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    chosen.update({name: value for name, value in given.items() if value is not None})
    for name, value in chosen.items():
        setattr(_options, name, value)
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, as `set_printoptions` takes them."""
    return dataclasses.asdict(_options)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Set options inside a `with` block; the earlier ones return after it."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def format_tensor(
    values: np.ndarray | None,
    dtype: dtype,
    *,
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    device_suffix: str | None = None,
    class_name: str = "tensor",
    shape: Sequence[int] | None = None,
    tangent: str | None = None,
) -> str:
    """The text of PyTorch's `repr` for the same tensor.

    Args:
      values: the elements; None for a tracer, which prints as "...".
      dtype: the tensor's dtype.
      requires_grad: whether to print it; a `grad_fn_name` replaces it.
      grad_fn_name: the node's name, such as `"MvBackward0"`.
      device_suffix: the device's name, such as `"cuda:0"`, if it is to be shown.
      class_name: the text before the parenthesis.
      shape: the shape, needed if `values` is None.
      tangent: the printed form of a dual tensor's tangent.

    >>> from funcgrad.torch import float32
    >>> print(format_tensor(np.eye(2, dtype=np.float32), float32))
    tensor([[1., 0.],
            [0., 1.]])
    """
    prefix = f"{class_name}("
    sizes = tuple(shape or ()) if values is None else values.shape
    suffixes = [] if device_suffix is None else [f"device='{device_suffix}'"]
    if values is None:
        contents = "..."
        show_size, implied = True, {get_default_dtype()}
    elif values.size == 0:
        contents = "[]"
        # An empty list already means one dimension of length 0.
        show_size, implied = values.ndim != 1, {get_default_dtype()}
    else:
        contents = format_values(values, dtype, len(prefix))
        show_size = not _options.edgeitems
        default_complex = complex128 if get_default_dtype() is float64 else complex64
        implied = {get_default_dtype(), default_complex, int64, bool_}
    if show_size:
        suffixes.append(f"size={sizes}")
    if dtype not in implied:
        suffixes.append(f"dtype={dtype}")
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    if tangent is not None:
        suffixes.append(f"tangent={tangent}")
    return append_suffixes(prefix + contents, suffixes, len(prefix)) + ")"


def append_suffixes(text: str, suffixes: Sequence[str], indent: int, new_line: bool = False) -> str:
    """Append facts after the elements, on new lines where a line is full; with `new_line` the first is on a new line."""
    # PyTorch counts the last line two characters too long.
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > _options.linewidth or new_line:
            text += ",\n" + " " * indent + suffix
            column, new_line = indent + len(suffix), False
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text


# A column of numbers: the function that writes one, and the width of all.
_Column = tuple[Callable[[Any], str], int]


def format_values(values: np.ndarray, dtype: dtype, indent: int) -> str:
    cut = [False] * values.ndim
    if values.size > _options.threshold:
        cut = [length > 2 * _options.edgeitems for length in values.shape]
        values = _edges(values, cut)
    # The conversion is exact; from here on Python's own numbers are formatted.
    if dtype.is_complex:
        values = values.astype(np.complex128)
        write, width = _complex_column(_float_column(values.real), _float_column(values.imag))
    elif dtype.is_floating_point:
        values = values.astype(np.float64)
        write, width = _float_column(values)
    else:
        write, width = _aligned(str, max(map(len, map(str, values.ravel().tolist())), default=1))
    if values.ndim == 0:
        return write(values.item())
    return _format_rows(values, cut, indent, write, width)


def _edges(values: np.ndarray, cut: Sequence[bool]) -> np.ndarray:
    """The elements that a summary shows. In one dimension with no edge items: all, which decide the format."""
    count = _options.edgeitems
    if values.ndim == 1 and count == 0:
        return values
    for axis, length in enumerate(values.shape):
        if cut[axis]:
            values = values.take([*range(count), *range(length - count, length)], axis=axis)
    return values


def _aligned(write: Callable[[Any], str], width: int) -> _Column:
    return lambda value: write(value).rjust(width), width


def _float_column(values: np.ndarray) -> _Column:
    """Fixed point, scientific, or whole numbers with a bare point; the finite values decide which."""
    counted = values[np.isfinite(values) & (values != 0)]
    if not counted.size:
        return _aligned(_write_whole, 1)
    sizes = np.abs(counted)
    largest, smallest = sizes.max(), sizes.min()
    scientific = _options.sci_mode
    if scientific is None:
        with np.errstate(over="ignore"):
            spread = largest / smallest
        scientific = bool(spread > 1000 or largest > 1e8 or smallest < 1e-4)
    write: Callable[[float], str] = f"{{:.{_options.precision}f}}".format
    if scientific:
        write = f"{{:.{_options.precision}e}}".format
    elif np.all(counted == np.ceil(counted)):
        write = _write_whole
    return _aligned(write, max(len(write(value)) for value in counted.tolist()))


def _write_whole(value: float) -> str:
    return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"


def _complex_column(real: _Column, imaginary: _Column) -> _Column:
    (write_real, real_width), (write_imaginary, imaginary_width) = real, imaginary

    def write(value: complex) -> str:
        second = write_imaginary(value.imag).lstrip()
        sign = "" if second[0] in "+-" else "+"
        return f"{write_real(value.real)}{sign}{second}j"

    return write, real_width + imaginary_width + 1


def _format_rows(
    values: np.ndarray, cut: Sequence[bool], indent: int, write: Callable[[Any], str], width: int
) -> str:
    count = _options.edgeitems
    if values.ndim > 1:
        parts = [_format_rows(row, cut[1:], indent + 1, write, width) for row in values]
        if cut[0]:
            parts.insert(count, "...")
        return "[" + ("," + "\n" * (values.ndim - 1) + " " * (indent + 1)).join(parts) + "]"
    parts = [write(value) for value in values.tolist()]
    if cut[0]:
        parts = [*parts[:count], " ...", *parts[count:]] if count else ["..."]
    per_line = max(1, (_options.linewidth - indent) // (width + 2))
    lines = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
