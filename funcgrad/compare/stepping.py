"""Two trainings under way: the steps of both sides, free-running and from the reference's state, and what each step shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from funcgrad.compare.inputs import Inputs, is_floating, make_inputs, units
from funcgrad.compare.leaves import BANDS, IDENTICAL, REAL, Leaf, differences, largest_finite, ratio
from funcgrad.compare.pairs import Pair
from funcgrad.compare.sides import Derivatives, FindingError, Quantities, Side

MOVES = 2
"""How often each step of the reference is repeated with its inputs moved by one unit in the last place."""

LOSS = "loss"
VALUES = Derivatives(order=0)


class StepPair(Pair):
    """Two sides of a training. In the shadow a leaf of the state stands for its change in the step."""

    def __init__(
        self, reference: Side, candidate: Side, inputs: Inputs, random: np.random.Generator
    ) -> None:
        super().__init__(reference, candidate, VALUES, random, MOVES)
        self.narrow = inputs.dtype if inputs.floating else np.dtype(np.float64)
        self.names = {
            f"value[0]{_path(inputs.names[k])}": inputs.names[k]
            for k in range(len(inputs.leaves))
            if inputs.places[k] == 0
        }
        self.wanted = {"reference": True, "candidate": True}
        for side in (reference, candidate):
            self._ask_for_gradients(side, inputs)

    def _ask_for_gradients(self, side: Side, inputs: Inputs) -> None:
        """A step with gradients written by hand may change its state in place outside no_grad: then it must not require grad."""
        try:
            super().run(side, inputs)
        except FindingError as first:
            try:
                super().run(side, replace(inputs, wanted=()))
            except FindingError:
                raise FindingError(f"the {first}") from first
            self.wanted[side.role] = False

    def run(self, side: Side, inputs: Inputs) -> Quantities:
        """Return the loss and the new state; given double precision, the loss and the state's change."""
        if not self.wanted[side.role]:
            inputs = replace(inputs, wanted=())
        found = self._named(side, super().run(side, inputs))
        if inputs.floating and inputs.dtype.itemsize > self.narrow.itemsize:
            starts = dict(zip(inputs.names, inputs.leaves, strict=True))
            found = {
                name: each - starts[name] if name in starts and is_floating(each) else each
                for name, each in found.items()
            }
        return found

    def _named(self, side: Side, found: Quantities) -> Quantities:
        """The loss first, then the state, by the names that the state has."""
        named = {}
        for key, each in found.items():
            if key.startswith("value[0]"):
                if key not in self.names:
                    raise FindingError(
                        f"the {side.role}'s step returns a state of another structure than it was given, at {key[8:] or 'its top'}: "
                        "a step returns (state, loss)"
                    )
                named[self.names[key]] = each
            elif key.startswith("value[1]"):
                named[LOSS + key[8:]] = each
            else:
                raise FindingError(
                    f"the {side.role} returns {key[5:] or 'one array'}: a step returns (state, loss)"
                )
        missing = [name for name in self.names.values() if name not in named]
        if missing:
            raise FindingError(
                f"the {side.role}'s step returns no {missing[0]}: a step returns (state, loss)"
            )
        losses = [name for name in named if name not in self.names.values()]
        return {name: named[name] for name in (*losses, *self.names.values())}


class Run:
    """A comparison under way: both free states, the moved ones, and the findings of each step."""

    def __init__(self, pair: StepPair, inputs: Inputs, shadow: bool) -> None:
        self.pair, self.inputs, self.shadow = pair, inputs, shadow
        self.states = [inputs.leaves] * (2 + MOVES)  # reference, candidate, moved references
        self.drift_loss: list[float] = []
        self.drift_band: list[float] = []
        self.drift_bands: list[float] = []
        self.losses: tuple[list[float], list[float]] = ([], [])
        self.resynchronised: list[float] = []
        self.visible = 0.0
        self.found: tuple[int, tuple[Leaf, ...]] | None = None
        self.worst: tuple[float, int, tuple[Leaf, ...]] = (-1.0, 0, ())
        self.moving = False  # whether any state changed by more than rounding
        self.identical = True
        self.ended = False

    def step(self, batch: Any) -> None:
        """Take one step of everything."""
        arrays = make_inputs(lambda batch: None, (batch,)).leaves
        given = [self._inputs(state, arrays) for state in self.states]
        pair, number = self.pair, len(self.drift_loss) + 1
        expected = pair.run(pair.reference, given[0])
        free = pair.run(pair.candidate, given[1])
        moved_free = [pair.run_moved(each) for each in given[2:]]
        if self.found is None:
            same = number == 1 or _same(self.states[0], self.states[1])
            found = free if same else pair.run(pair.candidate, given[0])
            if _is_broken(expected) and _is_broken(found):
                self.ended = (
                    True  # beyond the largest number each side has infinities and NaN of its own
                )
            else:
                self._judge(number, given[0], expected, found)
        self._note(expected, free, moved_free)
        self.states = [self._after(each) for each in (expected, free, *moved_free)]
        self.ended |= _is_broken(expected) and _is_broken(free)

    def _judge(self, number: int, inputs: Inputs, expected: Quantities, found: Quantities) -> None:
        leaves = self.pair.leaves_of(
            inputs, expected, found, shadow=self.shadow, repeat=number == 1
        )
        bands = max(leaf.bands for leaf in leaves)
        self.resynchronised.append(bands)
        state = [leaf for leaf in leaves if leaf.name in self.pair.names.values()]
        starts = dict(zip(inputs.names, inputs.leaves, strict=True))
        for leaf in state:
            change = float(np.max(differences(starts[leaf.name], expected[leaf.name]), initial=0.0))
            self.moving |= change > BANDS * leaf.band
        self.visible = max([self.visible, *(leaf.visible for leaf in leaves)])
        self.identical &= all(leaf.verdict == IDENTICAL for leaf in leaves)
        if any(leaf.verdict == REAL for leaf in leaves):
            self.found = number, leaves
        if bands > self.worst[0]:
            self.worst = bands, number, leaves

    def _note(self, expected: Quantities, free: Quantities, moved: Sequence[Quantities]) -> None:
        loss = self._loss(expected)
        values = [_number(each[loss]) for each in (expected, free, *moved)]
        scale = abs(values[0]) or 1.0
        self.losses[0].append(values[0])
        self.losses[1].append(values[1])
        self.drift_loss.append(abs(values[1] - values[0]) / scale)
        self.drift_band.append(max(abs(each - values[0]) for each in values[2:]) / scale)
        bands = [0.0]
        for name, each in expected.items():
            apart = float(np.max(differences(each, free[name]), initial=0.0))
            self.identical &= apart == 0.0
            if is_floating(each):
                moves = [largest_finite(differences(each, other[name])) for other in moved]
                bands.append(ratio(apart, max(*moves, largest_finite(units(each.dtype, each)))))
        self.drift_bands.append(max(bands))

    def _loss(self, quantities: Quantities) -> str:
        return next(iter(quantities))

    def _inputs(self, state: tuple[Any, ...], batch: tuple[Any, ...]) -> Inputs:
        first = sum(place == 0 for place in self.inputs.places)
        if len(batch) != len(self.inputs.leaves) - first:
            raise FindingError("the batches have different structures")
        return replace(self.inputs, leaves=(*state[:first], *batch))

    def _after(self, quantities: Quantities) -> tuple[Any, ...]:
        return tuple(quantities[name] for name in self.pair.names.values())


def _path(name: str) -> str:
    """The rest of a leaf's name, after the argument's own name."""
    at = min((k for k in (name.find("["), name.find(".")) if k >= 0), default=len(name))
    return name[at:]


def _number(value: Any) -> float:
    return float(np.sum(np.abs(value))) if np.ndim(value) else float(np.real(value))


def _is_broken(quantities: Quantities) -> bool:
    """Whether the loss or the state has an infinity or a NaN."""
    return not all(np.isfinite(each).all() for each in quantities.values() if is_floating(each))


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return all(np.array_equal(x, y, equal_nan=np.issubdtype(np.asarray(x).dtype, np.inexact)) for x, y in zip(a, b, strict=True))  # fmt: skip
