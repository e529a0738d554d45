"""`parity`: do two functions, each in its own library, have the same value and the same derivatives?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from funcgrad.compare.errors import OptionError
from funcgrad.compare.inputs import Inputs, is_floating, make_inputs
from funcgrad.compare.leaves import (
    BANDS,
    REAL,
    Leaf,
    Shadow,
    differences,
    half_of_the_digits,
    judge,
    largest_finite,
)
from funcgrad.compare.sides import (
    Derivatives,
    FindingError,
    Quantities,
    Side,
    make_sides,
)
from funcgrad.compare.tables import as_json, prose, table
from funcgrad.display import framed

MOVES = 4
"""How often the reference is repeated with its inputs moved by one unit in the last place."""


@dataclass(frozen=True)
class Parity:
    """The result of `parity`; `str()` of it is a page to read.

    Attributes:
        reference, candidate: both functions' names, with their libraries.
        leaves: a verdict for each array of the value and of the derivatives.
        problem: what left nothing to compare, such as results of different shapes; None if nothing did.
        notes: what else a reader should know.
        settings: the dtype, the device, the order, the seed and the number of repeats.
    """

    reference: str
    candidate: str
    leaves: tuple[Leaf, ...]
    problem: str | None
    notes: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether rounding explains every difference."""
        return self.problem is None and all(leaf.ok for leaf in self.leaves)

    @property
    def worst(self) -> Leaf | None:
        """The leaf with the largest difference in rounding bands, a faulty one before any other."""
        return max(self.leaves, key=lambda leaf: (not leaf.ok, leaf.bands), default=None)

    def assert_ok(self) -> None:
        """Raise an AssertionError with the printed form, unless the sides agree."""
        if not self.ok:
            raise AssertionError(str(self))

    def to_dict(self) -> dict[str, Any]:
        """Return everything in JSON's types; a number that is not finite becomes None."""
        whole = asdict(self) | {"ok": self.ok, "leaves": [leaf.to_dict() for leaf in self.leaves]}
        return as_json(whole)

    def __str__(self) -> str:
        lines = prose(f"{self.candidate} against {self.reference}: {self._verdict()}")
        if self.leaves:
            lines += ["", *leaf_table(self.leaves), "", *prose(self._resolution())]
        lines += [line for each in reasons(self.leaves) for line in prose(each)]
        return "\n".join(
            [*lines, *(line for note in self.notes for line in prose(f"Note: {note}."))]
        )

    def _repr_html_(self) -> str:
        return framed(str(self), good=self.ok)

    def _verdict(self) -> str:
        if self.problem is not None:
            return f"NOT COMPARED. {self.problem}."
        wrong = [leaf.name for leaf in self.leaves if not leaf.ok]
        if wrong:
            undecided = all(leaf.verdict == "undecided" for leaf in self.leaves if not leaf.ok)
            return f"{'UNDECIDED' if undecided else 'A REAL DIFFERENCE'} in {', '.join(wrong)}."
        if all(leaf.verdict == "identical" for leaf in self.leaves):
            return "identical, bit for bit."
        return "they agree; the differences are rounding."

    def _resolution(self) -> str:
        s = self.settings
        if all(leaf.visible == 0 for leaf in self.leaves):
            return f"{s['dtype']} on {s['device']}. Every element must be equal."
        decided = f", and {s['shadow']} decides what {s['dtype']} cannot" if s["shadow"] else ""
        seen = [leaf for leaf in self.leaves if math.isfinite(leaf.visible)]
        sharpness = ""
        if seen:
            coarse = max(seen, key=lambda leaf: leaf.visible)
            sharpness = (
                f" In every leaf this run would have seen a fault of {coarse.visible:.1e} of the leaf's largest element "
                f"({coarse.name} is the least sharp)."
            )
        return (
            f"{s['dtype']} on {s['device']}. A band is how far a leaf of the reference moves when every input moves by one "
            f"unit in the last place (ulp), {s['moves']} times at random; up to {BANDS:g} bands agree{decided}.{sharpness}"
        )


def parity(
    reference: Callable[..., Any],
    candidate: Callable[..., Any],
    *inputs: Any,
    wrt: str | int | Iterable[str | int] | None = None,
    order: int = 1,
    exact: str | int | Iterable[str | int] = (),
    seed: int = 0,
    directions: int = 2,
    shadow: bool = True,
    device: str | None = None,
) -> Parity:
    """Compare two functions: their values, gradients, and Hessian-vector products.

    Each is written with PyTorch, with `funcgrad.torch`, or with JAX (`funcgrad.pure` makes such a one), which is
    recognised by itself; `on` says it where the code does not. The tolerance is measured: the reference is repeated with
    every input moved by one unit in the last place, and a leaf agrees within 8 of these rounding bands. Both functions are
    repeated in float64 as well, from the same numbers, where a fault stays and rounding vanishes.

    Args:
        reference: takes its library's arrays, and returns them in any pytree.
        candidate: takes the same arguments.
        inputs: the arguments: pytrees of arrays of any library. A `jax.ShapeDtypeStruct` is drawn from the seed.
        wrt: the arguments to differentiate by, by position or name; None for every floating one.
        order: 0 compares values, 1 gradients too, 2 also products of the Hessian with random directions. A result that is
            not one number is weighed with random numbers, so that the gradient is of their sum.
        exact: the arguments that rounding must not move, such as a mask of zeros and ones.
        seed: of the random directions, moves and drawn inputs.
        directions: how many products to compare with order=2.
        shadow: whether to repeat both in float64.
        device: "cpu", "gpu", "tpu", "gpu:1" and so on; None for JAX's default device.

    Returns:
        A report. A fault of a side, such as an error that it raises, is in it as `problem`.

    Raises:
        OptionError: an argument of this function is wrong, or a side needs PyTorch, which is not installed.

    >>> import jax.numpy as jnp, numpy as np
    >>> import funcgrad.torch as torch
    >>> from funcgrad.compare import parity
    >>> def before(w, x):
    ...     return torch.relu(x @ w).mean()
    >>> def after(w, x):
    ...     return jnp.maximum(x @ w, 0).mean()
    >>> x = np.random.default_rng(0).standard_normal((5, 3), np.float32)
    >>> report = parity(before, after, np.float32([1, -2, 3]), x)
    >>> report.ok, [leaf.name for leaf in report.leaves]
    (True, ['value', 'gradient by w', 'gradient by x'])
    >>> parity(before, lambda w, x: jnp.maximum(x @ w, 1e-3).mean(), np.float32([1, -2, 3]), x).ok
    False
    """
    given = make_inputs(reference, inputs, wrt, exact, seed)
    derivatives = Derivatives(check_order(order), directions, seed)
    check_has_gradient(given, order)
    settings = {
        "dtype": given.dtype.name if given.floating else "integers",
        "device": device or "the default device",
        "order": order,
        "seed": seed,
        "moves": MOVES,
        "shadow": None,
    }
    names = [f"{getattr(each, '__name__', 'function')}" for each in (reference, candidate)]
    leaves: tuple[Leaf, ...] = ()
    problem, notes = None, []
    try:
        sides = make_sides(reference, candidate, given, derivatives, device)
        names = [side.name for side in sides]
        settings["device"] = sides[0].device.device_kind
        pair = Pair(*sides, derivatives, np.random.default_rng(seed))
        leaves = pair.leaves(given, shadow)
        settings["shadow"] = "a float64 shadow" if pair.shadowed else None
        notes = pair.notes
    except FindingError as finding:
        problem = str(finding).rstrip(".")
    except MemoryError as error:
        problem = no_memory(error)
    return Parity(names[0], names[1], leaves, problem, tuple(notes), settings)


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
        moved = [self.run(self.reference, inputs.moved(self.random)) for _ in range(self.moves)]
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


def check_order(order: int) -> int:
    """Return the order of derivatives.

    Raises:
        OptionError: it is none of 0, 1 and 2.
    """
    if order not in (0, 1, 2):
        raise OptionError(f"the order of derivatives is 0, 1 or 2, not {order!r}")
    return order


def check_has_gradient(inputs: Inputs, order: int) -> None:
    """Check that there is an input to differentiate by.

    Raises:
        OptionError: there is none.
    """
    if order and not inputs.wanted:
        kinds = ", ".join(
            f"{name} is {each.dtype}" if isinstance(each, np.ndarray) else f"{name} is no array"
            for name, each in zip(inputs.names, inputs.leaves, strict=True)
        )
        raise OptionError(
            f"no input is floating ({kinds or 'there are none'}), so there is no gradient to compare; order=0 "
            "compares values"
        )


def reasons(leaves: Iterable[Leaf]) -> list[str]:
    """Return a sentence for each reason that verdicts rest on, with the leaves that it is for."""
    found: dict[str, list[str]] = {}
    for leaf in leaves:
        if leaf.why:
            found.setdefault(leaf.why, []).append(leaf.name)
    return [
        f"{names[0] if len(names) == 1 else f'{len(names)} leaves'}: {why}."
        for why, names in found.items()
    ]


def leaf_table(leaves: Iterable[Leaf]) -> list[str]:
    """Return a table of leaves, for reading."""
    head = ["leaf", "difference", "relative", "ulps", "bands", "in float64", "at", "reference", "candidate", "verdict"]  # fmt: skip
    rows = [
        [
            leaf.name,
            f"{leaf.absolute:.1e}",
            f"{leaf.relative:.1e}",
            f"{leaf.ulps:.3g}",
            f"{leaf.bands:.2g}",
            "" if leaf.shadow is None else f"{leaf.shadow:.1e}",
            str(list(leaf.index)) if leaf.index else "",
            _shown(leaf.reference),
            _shown(leaf.candidate),
            leaf.verdict if leaf.ok else leaf.verdict.upper(),
        ]
        for leaf in leaves
    ]
    return table(head, rows, optional=("relative", "ulps", "in float64", "at"))


def _shown(number: Any) -> str:
    return "" if number is None else (str(number) if isinstance(number, (bool, int)) else f"{number:.9g}")  # fmt: skip


def _summary(quantities: Quantities) -> str:
    values = [name for name in quantities if name.startswith("value")]
    return ", ".join(f"{name} of shape {np.asarray(quantities[name]).shape}" for name in values)
