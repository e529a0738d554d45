"""Whether a program does on the shim what it does on PyTorch, and what of it may differ."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.against_pytorch.programs import INSTRUCTIONS, START, Program, run, run_machine
from tests.both_sides import ours, theirs
from tests.engine_modes import mode as engine_mode

TOLERANCE = 1e-9
# Where rounding is amplified, PyTorch itself gives other numbers for a start that differs by rounding.
PERTURBATIONS = 4
# Other numbers: seen as such, or by which elements a mask chose.
_NUMBERS = r"array\(|'indexed'|'assigned'"
_CHANGED = "(modified by an inplace operation|has been modified inplace|detached in-place)"
# Events in a program, and the differences that each may cause, as "mine is not PyTorch's". The page of known differences,
# beside the shim, has the reasons.
KNOWN = {
    "a gradient of a gradient": "nan",
    "a result may be written through .data": r"array\(",
    "an operand overlaps what is written": _NUMBERS,
    "an expanded tensor is written": "is not .*single memory location",
    "an expanded tensor is written by indices": "CopySlices.* is not .*IndexPutBackward0",
    "a result is written to a view": f"{_CHANGED}.* is not .*output 0 of AsStrided",
    "there are no elements": "is not .*a second time",
    "rounding decides what is positive": _NUMBERS,
    "a tensor was detached": f"{_CHANGED}.* is not .*{_CHANGED}",
    "a view made without grad requires grad": f"({_CHANGED}|a second time).* is not ",
}
# Programs that were not compared, by what known difference they came to.
skipped: Counter[str] = Counter()
SPREAD_ALLOWED = 1000.0
# A number this large that moves by a tenth of itself was divided by what rounding left; that may as well be zero.
DIVIDED_BY_ROUNDING = 1e10


def difference(program: Program, mode: str, times: int = 1) -> str | None:
    """How the shim differs from PyTorch; None where it does not.

    Args:
        program: what to run.
        mode: the engine's.
        times: how often to run it on the shim; from the second on, what was recorded is known, and walks backward are
            replayed.
    """
    reference = run_machine(theirs, program)
    expected = reference.seen
    with engine_mode(mode):
        for _ in range(times):
            found = _first_difference(run(ours, program), expected, None)
            if found is not None:
                found = _first_difference(run(ours, program), expected, _spreads(program, expected))
            if found is not None and not _is_known(reference.differing, found):
                return found
    return None


def _is_known(differing: dict[str, bool], found: str) -> bool:
    """Whether a difference is a known one."""
    for what, sign in KNOWN.items():
        if what in differing and re.search(sign, found, re.DOTALL):
            skipped[what] += 1
            return True
    return False


def told(program: Program) -> str:
    """A program to be read, and to be given to `difference` again."""
    lines = [
        f"    ({kind}, {number}),  # {INSTRUCTIONS[kind].__name__}" for kind, number in program
    ]
    return "\n".join(["[", *lines, "]"])


def _first_difference(mine: list[Any], expected: list[Any], spreads: Any) -> str | None:
    for position, (a, b) in enumerate(zip(mine, expected, strict=False)):
        spread = 0.0 if spreads is None else spreads[position]
        if not _same(a, b, spread):
            return f"item {position}: {a!r} is not {b!r}"
    return None if len(mine) == len(expected) else f"{len(mine)} things seen, not {len(expected)}"


def _same(mine: Any, expected: Any, spread: Any) -> bool:
    if isinstance(expected, np.ndarray):
        if spread is None:
            return True
        if mine is None:  # a gradient of zeros
            mine = np.zeros_like(expected)
        return (
            isinstance(mine, np.ndarray)
            and mine.shape == expected.shape
            and mine.dtype == expected.dtype
            and bool(_close(mine, expected, spread))
        )
    if isinstance(expected, list):
        spreads = spread if isinstance(spread, list) else [0.0] * len(expected)
        return (
            isinstance(mine, list)
            and len(mine) == len(expected)
            and all(map(_same, mine, expected, spreads))
        )
    if isinstance(expected, tuple):
        return (
            isinstance(mine, tuple)
            and len(mine) == len(expected)
            and all(map(_alike, mine, expected))
        )
    return type(mine) is type(expected) and mine == expected


def _alike(mine: Any, expected: Any) -> bool:
    return type(mine) is type(expected) and mine == expected


def _close(mine: np.ndarray, expected: np.ndarray, spread: Any) -> bool:
    if not expected.any() and np.isnan(mine).any():
        # A gradient that PyTorch does not have, and that is zero here, is NaN here where it is zero times NaN.
        return bool(np.all((mine == 0) | np.isnan(mine)))
    with np.errstate(all="ignore"):
        allowed = TOLERANCE * (1 + np.abs(expected)) + SPREAD_ALLOWED * spread
        return np.all(
            (mine == expected)
            | (np.isnan(mine) & np.isnan(expected))
            # A derivative that is zero by choice, where PyTorch multiplies by zero what arrives.
            | ((mine == 0) & np.isnan(expected))
            # Beyond the largest number, which of infinity and NaN comes of it follows from how a derivative is written.
            | (~np.isfinite(mine) & ~np.isfinite(expected))
            | (np.abs(mine - expected) <= allowed)
            | ((np.abs(expected) > DIVIDED_BY_ROUNDING) & (spread > np.abs(expected) / 10))
            | ~np.isfinite(spread)
        )


def _spreads(program: Program, expected: list[Any]) -> list[Any] | None:
    """How far each number that PyTorch gives moves when the start moves by rounding.

    None for a thing that can then be anything: one that comes after a run took another way.
    """
    random = np.random.default_rng(0)
    runs = []
    for _ in range(PERTURBATIONS):
        start = [np.asarray(x * (1 + 1e-14 * random.uniform(-1, 1, x.shape))) for x in START]
        runs.append(run(theirs, program, start))
    return [
        _spread(b, [other[k] for other in runs if len(other) > k]) for k, b in enumerate(expected)
    ]


def _spread(expected: Any, others: Sequence[Any]) -> Any:
    if isinstance(expected, np.ndarray):
        with np.errstate(all="ignore"):
            spread = np.zeros(expected.shape)
            for other in others:
                if not isinstance(other, np.ndarray) or other.shape != expected.shape:
                    return None
                moved = np.abs(other - expected)
                alike = (other == expected) | (np.isnan(other) & np.isnan(expected))
                spread = np.maximum(spread, np.where(alike, 0.0, moved))
            return np.where(np.isnan(spread), np.inf, spread)
    if isinstance(expected, list):
        return [
            _spread(
                each, [other[k] for other in others if isinstance(other, list) and len(other) > k]
            )
            for k, each in enumerate(expected)
        ]
    return 0.0
