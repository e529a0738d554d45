"""The verdict on one leaf: is the difference of two arrays rounding, or a fault?

The tolerance is measured. A rounding band is how far a leaf moves when every input moves by one unit in the last
place; two results agree within `BANDS` of them. A float64 shadow, the same computation in double precision from the
same numbers, decides what a narrower dtype cannot: there a fault stays, and rounding all but vanishes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from funcgrad.compare.inputs import is_floating, units

BANDS = 8.0
"""So many rounding bands apart two results still agree."""

GRAINS = 2.0
"""So many roundings of the inputs, computed in the shadow, explain a difference there: those of constants in the code."""

STAYS = "in float64 the difference stays"
OTHERWISE = (
    "in float64 the sides are much farther apart than in this dtype, so one of them computes something else there: random "
    "numbers that it draws itself, for example. Give both sides the same as an argument"
)
CONSTANT = "in float64 they differ by as much as a constant does that one side rounds to this dtype"
FEWER_DIGITS = (
    "in float64 both sides are the same function; in this dtype the candidate has fewer digits than the reference: products "
    "in TF32 or bfloat16, a constant such as 1 - 0.999, or a formula that cancels"
)

IDENTICAL, ROUNDING, REAL, UNDECIDED = "identical", "rounding", "real", "undecided"


class Shadow(NamedTuple):
    """A leaf in double precision.

    Attributes:
        reference, candidate: both results.
        moved: the reference's results with inputs moved by one unit of double precision; the
            candidate's too, where they were needed.
        grained: the reference's results with inputs moved by one unit of the narrower dtype.
    """

    reference: np.ndarray
    candidate: np.ndarray
    moved: Sequence[np.ndarray]
    grained: Sequence[np.ndarray]


@dataclass(frozen=True)
class Leaf:
    """How far one array of the candidate is from the reference's.

    Attributes:
        name: such as `value`, or `gradient by w`.
        shape, dtype: the reference's.
        absolute: the largest difference of an element.
        relative: the same as a part of the leaf's largest element.
        ulps: the difference in units in the last place: steps between neighbouring numbers of the
            dtype, at the element where it is largest.
        index: that element's.
        reference, candidate: both numbers there.
        band: the leaf's rounding band, never less than a unit in the last place of its largest element.
        shadow: the largest difference in double precision; None without a shadow.
        visible: the smallest fault that would have shown, as a part of the leaf's largest element.
        verdict: "identical", "rounding", "real" or "undecided".
        why: what the verdict rests on, where there is more to say than the numbers do.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    absolute: float
    relative: float
    ulps: float
    index: tuple[int, ...]
    reference: Any
    candidate: Any
    band: float
    shadow: float | None
    visible: float
    verdict: str
    why: str = ""

    @property
    def bands(self) -> float:
        """The difference in rounding bands."""
        return ratio(self.absolute, self.band)

    @property
    def ok(self) -> bool:
        """Whether rounding explains the difference."""
        return self.verdict in (IDENTICAL, ROUNDING)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary."""
        return asdict(self) | {"bands": self.bands, "ok": self.ok}


def judge(
    name: str,
    reference: Any,
    candidate: Any,
    moved: Sequence[Any],
    shadow: Shadow | None = None,
    sensitive: Callable[[], tuple[Sequence[Any], Sequence[Any]]] | None = None,
    strict: bool = False,
) -> Leaf:
    """Judge one leaf.

    Args:
        name: what it is called.
        reference, candidate: both arrays, of one shape and one dtype; or numbers of Python's.
        moved: the reference's, repeated with its inputs moved by one unit in the last place.
        shadow: the same in double precision.
        sensitive: called where the reference's bands do not explain a difference; gives the
            candidate's moved results, and those of its shadow. A side that is more sensitive to
            rounding than the other is no fault.
        strict: whether a candidate that is the same function in double precision must have as many digits as the
            reference. Without, it may lose half of the dtype's digits.

    >>> import numpy as np
    >>> a = np.float32([1.0, 2.0])
    >>> judge("value", a, np.nextafter(a, 3), [np.nextafter(a, 0)]).verdict
    'rounding'
    >>> judge("value", a, a + np.float32(0.001), [np.nextafter(a, 0)]).verdict
    'real'
    """
    a, b = _arrays(reference, candidate)
    own = _deviations(a, moved)
    inner = [] if shadow is None else _deviations(shadow.reference, shadow.moved)
    judged = _judged(name, a, b, own, shadow, inner, strict)
    if judged.verdict == REAL and sensitive is not None and is_floating(a):
        further, further_inner = sensitive()
        own = [*own, *_deviations(b, further)]
        if shadow is not None:
            inner = [*inner, *_deviations(shadow.candidate, further_inner)]
        again = _judged(name, a, b, own, shadow, inner, strict)
        if again.ok:
            return again
    return judged


def _arrays(reference: Any, candidate: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays; a Python number takes the other's dtype."""
    a, b = np.asarray(reference), np.asarray(candidate)
    if not isinstance(reference, np.ndarray) and isinstance(candidate, np.ndarray):
        return a.astype(b.dtype), b
    if isinstance(reference, np.ndarray) and not isinstance(candidate, np.ndarray):
        return a, b.astype(a.dtype)
    return a, b


class _Judgement(NamedTuple):
    """A verdict, its reason, and the smallest fault that would have shown, as a part of the leaf's largest element."""

    verdict: str
    why: str
    visible: float


def _judged(
    name: str,
    a: np.ndarray,
    b: np.ndarray,
    own: Sequence[np.ndarray],
    shadow: Shadow | None,
    inner: Sequence[np.ndarray],
    strict: bool,
) -> Leaf:
    """The verdict, given how far repeated results are from the first ones, in the dtype and in the shadow."""
    apart = differences(a, b)
    index = _farthest(apart)
    absolute = float(apart[index]) if apart.size else 0.0
    scale = largest_finite(np.abs(_wide(a)))
    unit = float(units(a.dtype, scale)) if is_floating(a) else 0.0
    band = max([unit, *map(largest_finite, own)])
    judgement = _without_shadow(absolute, band, scale)
    shadowed = None
    if shadow is not None and is_floating(a):
        shadowed = largest_finite(differences(shadow.reference, shadow.candidate))
        judgement = _with_shadow(shadow, inner, a.dtype, judgement)
        kept = half_of_the_digits(a.dtype) * scale
        if judgement[:2] == (REAL, FEWER_DIGITS) and absolute <= kept and not strict:
            judgement = judgement._replace(verdict=ROUNDING)
        if judgement[:2] == (REAL, STAYS) and absolute <= BANDS * band < shadowed - absolute:
            judgement = judgement._replace(why=OTHERWISE)  # a fault would be as large in this dtype
    verdict, why, visible = judgement
    if a.size and is_floating(a):
        verdict, why = _not_a_number(a, b, verdict, why)
        if verdict == UNDECIDED:
            visible = math.inf
    if verdict == ROUNDING and np.array_equal(a, b):
        verdict = IDENTICAL
    return Leaf(
        name=name,
        shape=a.shape,
        dtype=a.dtype.name,
        absolute=absolute,
        relative=ratio(absolute, scale),
        ulps=_ulps(a, b, index),
        index=tuple(int(k) for k in index),
        reference=_number(a, index),
        candidate=_number(b, index),
        band=band,
        shadow=shadowed,
        visible=visible,
        verdict=verdict,
        why=why,
    )


def _without_shadow(absolute: float, band: float, scale: float) -> _Judgement:
    """The verdict of the dtype alone."""
    allowed = BANDS * band
    visible = ratio(allowed, scale)
    if not absolute <= allowed:
        return _Judgement(REAL, "", visible)
    if allowed > scale > 0:
        return _Judgement(UNDECIDED, "rounding is larger than the numbers themselves", visible)
    return _Judgement(ROUNDING, "", visible)


def _with_shadow(
    shadow: Shadow, inner: Sequence[np.ndarray], dtype: np.dtype, narrow: _Judgement
) -> _Judgement:
    """The verdict of the shadow, given the dtype's own.

    An element of the shadow differs if it is farther than the bands of double precision, and than
    rounding the inputs to the narrower dtype moves it: a constant that one side keeps in float32
    makes a difference of that size, and no fault.
    """
    a = _wide(shadow.reference)
    apart = differences(a, shadow.candidate)
    scale = largest_finite(np.abs(a))
    inside = BANDS * max([float(units(a.dtype, scale)), *map(largest_finite, inner)])
    grains = np.max(_deviations(a, shadow.grained), axis=0, initial=0.0)
    grains = np.maximum(grains, np.abs(a) * (units(dtype, 1.0) / 2))
    allowed = np.maximum(GRAINS * np.where(np.isfinite(grains), grains, np.inf), inside)
    visible = ratio(largest_finite(allowed), scale)
    if np.any(~(apart <= allowed)):
        return _Judgement(REAL, STAYS, visible)
    if narrow.verdict == REAL:
        return _Judgement(REAL, FEWER_DIGITS, narrow.visible)
    return _Judgement(ROUNDING, CONSTANT if largest_finite(apart) > inside else "", visible)


def _not_a_number(a: np.ndarray, b: np.ndarray, verdict: str, why: str) -> tuple[str, str]:
    ours, theirs = np.isnan(_wide(a)), np.isnan(_wide(b))
    sides = {"reference": ours & ~theirs, "candidate": theirs & ~ours}
    only = [side for side, mask in sides.items() if mask.any()]
    if only:
        return REAL, f"NaN in the {' and in the '.join(only)} only"
    if ours.all():
        return UNDECIDED, "every element is NaN on both sides: nothing was compared"
    if ours.any():
        count = int(ours.sum())
        told = f"{'one element is' if count == 1 else f'{count} elements are'} NaN on both sides and not compared"
        return verdict, "; ".join(filter(None, (why, told)))
    return verdict, why


def _wide(array: Any) -> np.ndarray:
    array = np.asarray(array)
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)


def differences(a: Any, b: Any) -> np.ndarray:
    """Return distances of elements in float64; 0 for two equal infinities or NaN, infinity for one NaN.

    >>> import numpy as np
    >>> differences(np.float32([1, np.nan, 2]), np.float32([1.5, np.nan, np.nan]))
    array([0.5, 0. , inf])
    """
    a, b = np.asarray(a), np.asarray(b)
    if not is_floating(a) and a.dtype.kind in "iu" and b.dtype.kind in "iu":
        return np.where(a == b, 0.0, np.maximum(np.abs(_wide(a) - _wide(b)), 1.0))
    x, y = _wide(a), _wide(b)
    with np.errstate(all="ignore"):
        apart = np.abs(x - y)
    alike = (x == y) | (np.isnan(x) & np.isnan(y))
    return np.where(alike, 0.0, np.where(np.isnan(apart), np.inf, apart))


def _deviations(reference: Any, moved: Sequence[Any]) -> list[np.ndarray]:
    """How far each repeated result is from the first one."""
    return [differences(reference, each) for each in moved]


def largest_finite(apart: np.ndarray) -> float:
    """The largest finite distance. NaN that comes and goes has no band."""
    return float(np.max(apart, where=np.isfinite(apart), initial=0.0))


def _farthest(apart: np.ndarray) -> tuple[Any, ...]:
    return np.unravel_index(int(np.argmax(apart)), apart.shape) if apart.size else ()


def half_of_the_digits(dtype: np.dtype) -> float:
    """Return the square root of a dtype's precision: a number that is exact to so much has half of its digits.

    >>> import numpy as np
    >>> half_of_the_digits(np.dtype("float64")) == 2.0**-26
    True
    """
    return math.sqrt(float(units(dtype, 1.0)))


def ratio(value: float, scale: float) -> float:
    """Return a quotient: 0 of 0 is 0, and anything else of 0 is infinite."""
    if value == 0.0:
        return 0.0
    return value / scale if scale else math.inf


def _ulps(a: np.ndarray, b: np.ndarray, index: tuple[Any, ...]) -> float:
    if not a.size:
        return 0.0
    apart = float(differences(a, b)[index])
    if not is_floating(a) or not apart:
        return apart
    larger = max(abs(_wide(a)[index]), abs(_wide(b)[index]))
    return apart / float(units(a.dtype, larger))


def _number(array: np.ndarray, index: tuple[Any, ...]) -> Any:
    """One element as a Python number. NumPy cannot convert bfloat16 itself."""
    if not array.size:
        return None
    return (array if array.dtype.kind in "iub" else _wide(array))[index].item()
