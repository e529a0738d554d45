"""Two sides of a comparison, run again and again: with moved inputs, with equal ones, and in double precision."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from funcgrad.compare.inputs import Inputs, is_floating
from funcgrad.compare.leaves import (
    REAL,
    Leaf,
    Shadow,
    differences,
    half_of_the_digits,
    judge,
    largest_finite,
)
from funcgrad.compare.sides import Derivatives, FindingError, Quantities, Side

MOVES = 4
"""How often the reference is repeated with its inputs moved by one unit in the last place."""


class Pair:
    """Two sides and their repeated runs: all that a verdict on their leaves needs.

    Args:
        reference, candidate: both sides.
        derivatives: which to compare.
        random: chooses how inputs move.
        moves: how often.
    """

    def __init__(
        self,
        reference: Side,
        candidate: Side,
        derivatives: Derivatives,
        random: np.random.Generator,
        moves: int = MOVES,
    ) -> None:
        self.reference, self.candidate = reference, candidate
        self.derivatives, self.random, self.moves = derivatives, random, moves
        self.shadowed = False
        self._notes: list[str] = []

    @property
    def notes(self) -> list[str]:
        """Notes about both sides' results."""
        return [*self.reference.notes, *self.candidate.notes, *self._notes]

    def leaves(self, inputs: Inputs, shadow: bool = True, repeat: bool = True) -> tuple[Leaf, ...]:
        """Judge every leaf of both sides' results.

        Args:
            inputs: what both are given.
            shadow: whether to look in float64 as well.
            repeat: whether to ask each side twice, to see that it is deterministic.

        Raises:
            FindingError: there is nothing to compare.
        """
        expected, found = self._both(inputs)
        return self.leaves_of(inputs, expected, found, shadow, repeat)

    def leaves_of(
        self,
        inputs: Inputs,
        expected: Quantities,
        found: Quantities,
        shadow: bool = True,
        repeat: bool = True,
    ) -> tuple[Leaf, ...]:
        """Judge every leaf of results that were computed already; the rest is as for `leaves`."""
        check_structure(expected, found)
        moved = [self.run_moved(inputs) for _ in range(self.moves)]
        if repeat:
            self._check_deterministic(self.reference, inputs, expected, moved, shadow)
            self._check_deterministic(self.candidate, inputs, found, moved, shadow)
        if shadow and (shadows := self._shadows(inputs)) is not None:
            try:
                return self._judged(inputs, expected, found, moved, shadows)
            except MemoryError:
                self._without_memory()
            del shadows
        return self._judged(inputs, expected, found, moved, None)

    def _judged(
        self,
        inputs: Inputs,
        expected: Quantities,
        found: Quantities,
        moved: list[Quantities],
        shadows: dict[str, Shadow] | None,
    ) -> tuple[Leaf, ...]:
        """The verdicts, given all runs but those of a sensitive candidate."""

        @cache
        def sensitive() -> tuple[list[Quantities], list[Quantities]]:
            own = [self.run(self.candidate, inputs.moved(self.random)) for _ in range(self.moves)]
            if shadows is None:
                return own, []
            wide = inputs.wide()
            inner = [self.run(self.candidate, wide.moved(self.random)) for _ in range(self.moves)]
            return own, inner

        def own_bands(name: str) -> tuple[list[Any], list[Any]]:
            own, inner = sensitive()
            return [each[name] for each in own], [each[name] for each in inner]

        return tuple(
            judge(
                name,
                expected[name],
                found[name],
                [each[name] for each in moved],
                None if shadows is None else shadows.get(name),
                partial(own_bands, name),
            )
            for name in expected
        )

    def run(self, side: Side, inputs: Inputs) -> Quantities:
        """Return one side's results."""
        return side.quantities(inputs, self.derivatives)

    def run_moved(self, inputs: Inputs) -> Quantities:
        """Return the reference's results for inputs that are moved by one unit in the last place.

        Raises:
            FindingError: it refuses them, such as a target above 1; the message says what to do.
        """
        try:
            return self.run(self.reference, inputs.moved(self.random))
        except FindingError as finding:
            if not inputs.moving:
                raise
            raise FindingError(
                f"with inputs moved by a unit in the last place, the {str(finding).rstrip('.')}. Say which inputs rounding must "
                f"not move, such as exact={inputs.likely_exact()!r}"
            ) from finding

    def _both(self, inputs: Inputs) -> list[Quantities]:
        """Both results. If one side raises, the error shows the other's result."""
        results: list[Any] = []
        for side in (self.reference, self.candidate):
            try:
                results.append(self.run(side, inputs))
            except FindingError as finding:
                results.append(finding)
        raised = [each for each in results if isinstance(each, FindingError)]
        if not raised:
            return results
        told = [f"the {each}" for each in raised]
        told += [
            f"the {side.role} gives {_summary(each)}"
            for side, each in zip((self.reference, self.candidate), results, strict=True)
            if not isinstance(each, FindingError)
        ]
        raise FindingError("; ".join(told)) from raised[0]

    def _check_deterministic(
        self,
        side: Side,
        inputs: Inputs,
        first: Quantities,
        moved: list[Quantities],
        shadow: bool,
    ) -> None:
        """Call a side again. Sums of a GPU may differ by rounding; random numbers make every band as wide as themselves."""
        again = self.run(side, inputs)
        noises = {}
        for name, value in first.items():
            repeated = judge(name, value, again[name], [each[name] for each in moved])
            if not repeated.absolute:
                continue
            most = half_of_the_digits(value.dtype) if is_floating(value) else 0.0
            if repeated.verdict == REAL or repeated.relative > most:
                raise _not_deterministic(side, repeated)
            noises[name] = repeated, most
        if not (noises and shadow and can_be_wider(inputs)):
            return
        try:
            wide = inputs.wide()
            once, twice = self.run(side, wide), self.run(side, wide)
        except (FindingError, MemoryError):
            return
        for name, (repeated, most) in noises.items():
            if is_double(once[name]):
                # In float64 rounding all but vanishes, and random numbers stay.
                apart = largest_finite(differences(once[name], twice[name]))
                if apart > most * repeated.absolute:
                    raise _not_deterministic(side, repeated)

    def _shadows(self, inputs: Inputs) -> dict[str, Shadow] | None:
        """Both sides in double precision; None, with a note, if they cannot run there."""
        if not can_be_wider(inputs):
            return None
        try:
            wide = inputs.wide()
            expected = self.run(self.reference, wide)
            found = self.run(self.candidate, wide)
            inner = [self.run(self.reference, wide.moved(self.random)) for _ in range(2)]
            grained = [self.run(self.reference, wide.moved(self.random, inputs)) for _ in range(2)]
        except MemoryError:
            self._without_memory()
            return None
        except FindingError as finding:
            self._note(
                f"there is no float64 shadow, the dtype alone decided: given float64, the {finding}"
            )
            return None
        narrow = [
            f"the {side.role}'s {name}"
            for side, quantities in ((self.reference, expected), (self.candidate, found))
            for name, each in quantities.items()
            if is_floating(each) and not is_double(each)
        ]
        if narrow:
            self._note(
                f"there is no float64 shadow, the dtype alone decided: {', '.join(narrow[:3])} has a narrower dtype "
                "whatever the inputs have"
            )
            return None
        self.shadowed = True
        return {
            name: Shadow(
                each, found[name], [m[name] for m in inner], [g[name] for g in grained]
            )
            for name, each in expected.items()
        }  # fmt: skip

    def _without_memory(self) -> None:
        self.shadowed = False
        self._note("there is no memory for the float64 shadow: the dtype alone decided")

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)


def _not_deterministic(side: Side, repeated: Leaf) -> FindingError:
    place = f" at {list(repeated.index)}" if repeated.index else ""
    return FindingError(
        f"the {side.role} is not deterministic: called twice with equal inputs, {repeated.name} is "
        f"{repeated.reference:.9g} and then {repeated.candidate:.9g}{place}. Seed its random numbers inside the function, "
        "or give them as an argument"
    )


def no_memory(error: MemoryError) -> str:
    """Return the words of a report where memory ran out, the shadow left aside."""
    told = " ".join(str(error).split()) or "MemoryError"
    return f"there is no memory to compare inputs of this size ({told:.200}). Give fewer rows"


def can_be_wider(inputs: Inputs) -> bool:
    """Whether inputs are floating, and not in double precision yet."""
    return bool(inputs.floating) and inputs.dtype.itemsize < (16 if inputs.dtype.kind == "c" else 8)


def is_double(array: Any) -> bool:
    """Whether an array is in double precision."""
    return is_floating(array) and array.dtype.itemsize >= (16 if np.iscomplexobj(array) else 8)


def check_structure(expected: Quantities, found: Quantities) -> None:
    """Check that two results have the same leaves, shapes and dtypes.

    Raises:
        FindingError: they have not.
    """
    if expected.keys() != found.keys():
        missing = ", ".join(sorted(expected.keys() - found.keys())) or "nothing"
        extra = ", ".join(sorted(found.keys() - expected.keys())) or "nothing"
        raise FindingError(
            f"the results have different structures: the candidate lacks {missing} and has {extra} more"
        )
    for name, each in expected.items():
        a, b = np.asarray(each), np.asarray(found[name])
        if a.shape != b.shape:
            raise FindingError(
                f"{name} has shape {a.shape} in the reference and {b.shape} in the candidate"
            )
        arrays = isinstance(each, np.ndarray) and isinstance(found[name], np.ndarray)
        integers = a.dtype.kind in "iu" and b.dtype.kind in "iu"
        if arrays and a.dtype != b.dtype and not integers:
            raise FindingError(
                f"{name} has dtype {a.dtype} in the reference and {b.dtype} in the candidate"
            )


def _summary(quantities: Quantities) -> str:
    values = [name for name in quantities if name.startswith("value")]
    return ", ".join(f"{name} of shape {np.asarray(quantities[name]).shape}" for name in values)
