"""`trajectory`: do two trainings take the same steps, and where does a difference begin?

Rounding grows along a training, so that two correct ones end far apart. Here each step of the candidate also starts from
the reference's state: growth vanishes, and a fault of one step stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from typing import Any

import numpy as np

from funcgrad.compare.errors import OptionError
from funcgrad.compare.inputs import Inputs, make_inputs
from funcgrad.compare.leaves import (
    BANDS,
    IDENTICAL,
    REAL,
    ROUNDING,
    UNDECIDED,
    Leaf,
)
from funcgrad.compare.libraries import make_sides
from funcgrad.compare.pairs import no_memory
from funcgrad.compare.parities import leaf_table, reasons
from funcgrad.compare.sides import FindingError
from funcgrad.compare.stepping import LOSS, MOVES, VALUES, Run, StepPair
from funcgrad.compare.tables import as_json, prose
from funcgrad.display import framed


@dataclass(frozen=True)
class Drift:
    """How far two free-running trainings are apart after each step.

    Attributes:
        loss: the difference of the losses, as a part of the reference's.
        band: how far the reference's loss moves, when each step's inputs move by one unit in the last place.
        bands: the largest difference of the loss and of any array of the state, in their bands.
    """

    loss: tuple[float, ...]
    band: tuple[float, ...]
    bands: tuple[float, ...]


@dataclass(frozen=True)
class Trajectory:
    """The result of `trajectory`; `str()` of it is a page to read.

    Attributes:
        reference, candidate: both functions' names, with their libraries.
        verdict: "identical"; "rounding": each step agrees, and differences only grow from one to the next; "real": a
            step differs by more than rounding; "undecided": no fault could be seen, or nothing was compared.
        step: the first step that differs, counted from 1, where the verdict is "real".
        leaf: the array that differs there: "loss", or one of the state. Faults of a step's update show in the state, and
            in the loss a step later.
        leaves: all verdicts at that step; without a fault, at the step with the largest difference.
        worst: that step's number.
        losses: each side's losses, free-running.
        drift: how far they run apart.
        steps: the re-synchronised differences, in rounding bands.
        visible: the smallest fault that would have shown at every step, as a part of a step's change of an array.
        problem: what left nothing to compare; None if nothing did.
        notes, settings: what else a reader should know.
    """

    reference: str
    candidate: str
    verdict: str
    step: int | None
    leaf: str | None
    leaves: tuple[Leaf, ...]
    worst: int
    losses: Mapping[str, tuple[float, ...]]
    drift: Drift
    steps: tuple[float, ...]
    visible: float
    problem: str | None
    notes: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether rounding explains every difference."""
        return self.verdict in (IDENTICAL, ROUNDING)

    def assert_ok(self) -> None:
        """Raise an AssertionError with the printed form, unless rounding explains every difference."""
        if not self.ok:
            raise AssertionError(str(self))

    def to_dict(self) -> dict[str, Any]:
        """Return everything in JSON's types; a number that is not finite becomes None."""
        return as_json(
            asdict(self) | {"ok": self.ok, "leaves": [leaf.to_dict() for leaf in self.leaves]}
        )

    def __str__(self) -> str:
        taken = len(self.drift.loss)
        lines = prose(
            f"{self.candidate} against {self.reference}, {taken} steps: {self._verdict()}"
        )
        if self.leaves:
            why = "where it begins" if self.step is not None else "which has the largest difference"
            lines += ["", f"Step {self.worst}, {why}; both sides from the reference's state:", ""]
            lines += [*leaf_table(self.leaves), ""]
        told = [*self._told(), *(f"Note: {note}." for note in self.notes)]
        return "\n".join([*lines, *(line for each in told for line in prose(each))])

    def _repr_html_(self) -> str:
        return framed(str(self), good=self.ok)

    def _verdict(self) -> str:
        if self.problem is not None:
            return f"NOT COMPARED. {self.problem}."
        return {
            IDENTICAL: "identical, bit for bit.",
            ROUNDING: "rounding. Every step agrees; differences only grow from step to step.",
            REAL: f"A REAL DIFFERENCE, which begins at step {self.step} in {self.leaf}.",
            UNDECIDED: "UNDECIDED.",
        }[self.verdict]

    def _told(self) -> list[str]:
        told: list[str] = []
        if not self.leaves:
            return told
        told += reasons(self.leaves)
        largest = max(self.steps, default=0.0)
        decided = ", and float64 decided beyond" if self.ok and largest > BANDS else ""
        told.append(
            f"Re-synchronised at each step, the sides were at most {largest:.2g} rounding bands apart; up to {BANDS:g} "
            f"agree{decided}."
        )
        if math.isfinite(self.visible):
            told.append(
                f"A fault of {self.visible:.1e} of a step's change would have been seen at any step."
            )
        finite = [each for each in self.drift.loss if math.isfinite(each)]
        if finite:
            drift = max(finite)
            told.append(
                f"Free-running, the losses were at most {drift:.2g} of the loss apart (step "
                f"{self.drift.loss.index(drift) + 1}), and all arrays at most "
                f"{max(self.drift.bands):.2g} bands of their own, which grow with the steps."
            )
            # Words are wrapped, and a curve has blanks: it is one word.
            curve = sparkline(self.drift.loss, width=40).replace(" ", "\N{NO-BREAK SPACE}")
            told.append(f"Distance of the losses, first step to last: {curve}")
        return told


def trajectory(
    reference: Callable[..., Any],
    candidate: Callable[..., Any],
    state: Any,
    batches: Any = None,
    steps: int | None = None,
    *,
    exact: str | int | Iterable[str | int] = (),
    seed: int = 0,
    shadow: bool = True,
    device: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Trajectory:
    """Compare two trainings step by step, and find the step where a fault begins.

    Each side is a `step(state, batch)` that returns `(state, loss)`, written with any of the libraries that `parity`
    knows. Tensors of the state require grad, and a step may change them in place. Each step is taken twice: free-running,
    each side from its own state, and re-synchronised, the candidate from the reference's state. The second is judged as
    `parity` judges, in float64 too, where the state's change is looked at. With the repetitions that measure rounding,
    a step runs about thirteen times, so begin with few steps.

    Args:
        reference: takes a state and a batch of its library's arrays.
        candidate: takes and returns the same structures.
        state: where both begin: a pytree of arrays of any library, such as a tuple of weights and momenta.
        batches: a list or an iterator of batches, or a function of the step's index, from 0. Anything else, such as a
            tuple of arrays, is one batch for all steps. A list begins anew when it ends.
        steps: how many; None for as many as there are batches.
        exact: "state" or "batch", if rounding must not move it, by the reference's name for it or by position.
        seed: the directions of movement come from it.
        shadow: whether to repeat each step in float64.
        device: as for `parity`.
        progress: called with a few words at the start of every step; None to be silent.

    Raises:
        OptionError: an argument is wrong, or a side needs PyTorch, which is not installed.

    >>> import jax, jax.numpy as jnp, numpy as np
    >>> import funcgrad.torch as torch
    >>> from funcgrad.compare import trajectory
    >>> def before(w, batch):
    ...     x, y = batch
    ...     loss = ((x @ w - y) ** 2).mean()
    ...     loss.backward()
    ...     with torch.no_grad():
    ...         w -= 0.1 * w.grad
    ...     return w, loss
    >>> def after(w, batch, rate=0.1):
    ...     x, y = batch
    ...     loss, gradient = jax.value_and_grad(lambda w: jnp.mean((x @ w - y) ** 2))(w)
    ...     return w - rate * gradient, loss
    >>> batch = np.float32([[1, 2], [3, 4]]), np.float32([1, 2])
    >>> trajectory(before, after, np.zeros(2, np.float32), batch, steps=3).ok
    True
    >>> wrong = lambda w, batch: after(w, batch, rate=0.1000001)
    >>> found = trajectory(before, wrong, np.zeros(2, np.float32), batch, steps=3)
    >>> found.verdict, found.step, found.leaf
    ('real', 1, 'w')
    """
    supply, first, steps = _supply(batches, steps)
    inputs = make_inputs(reference, (state, first), None, exact, seed)
    inputs = replace(inputs, wanted=tuple(k for k in inputs.wanted if inputs.places[k] == 0))
    names = [getattr(each, "__name__", "function") for each in (reference, candidate)]
    run: Run | None = None
    problem = None
    try:
        sides = make_sides(reference, candidate, inputs, VALUES, device, may_change=True)
        names = [side.name for side in sides]
        run = Run(StepPair(*sides, inputs, np.random.default_rng(seed)), inputs, shadow)
        for number, batch in enumerate(islice(supply, steps), 1):
            if progress is not None:
                progress(f"step {number} of {steps}")
            run.step(batch)
            if run.ended:
                break
    except (FindingError, MemoryError) as error:
        problem = no_memory(error) if isinstance(error, MemoryError) else str(error).rstrip(".")
        if run is not None and run.drift_loss:
            problem = f"Step {len(run.drift_loss) + 1}: {problem}"
    return _report(names, run, problem, inputs)


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """Return a curve on a logarithmic axis in one line of text; a zero is a blank.

    >>> sparkline([0.0, 1e-7, 1e-5, 1e-3])
    ' ▁▅█'
    """
    size = math.ceil(len(values) / width) if values else 1
    groups = [max(values[k : k + size]) for k in range(0, len(values), size)]
    logs = [math.log10(each) for each in groups if 0 < each < math.inf]
    if not logs:
        return "all zero"
    low, high = min(logs), max(logs)
    marks = "▁▂▃▄▅▆▇█"

    def mark(value: float) -> str:
        if not 0 < value < math.inf:
            return " " if value == 0 else "?"
        share = (math.log10(value) - low) / (high - low) if high > low else 1.0
        return marks[round(share * (len(marks) - 1))]

    return "".join(map(mark, groups))


def _report(names: list[str], run: Run | None, problem: str | None, inputs: Inputs) -> Trajectory:
    settings: dict[str, Any] = {"dtype": inputs.dtype.name if inputs.floating else "integers"}
    empty = Drift((), (), ())
    if run is None:
        return Trajectory(names[0], names[1], UNDECIDED, None, None, (), 0, {}, empty, (), math.inf, problem, (), settings)  # fmt: skip
    notes = list(run.pair.notes)
    step, leaf, (_, worst, leaves) = None, None, run.worst
    if run.found is not None:
        step, leaves = run.found
        verdict, worst = REAL, step
        wrong = [each for each in leaves if each.verdict == REAL]
        losses = [each for each in wrong if each.name.startswith(LOSS)]
        leaf = (losses or sorted(wrong, key=lambda each: -each.bands))[0].name
    elif problem is not None or not leaves:
        verdict = UNDECIDED
    elif run.identical:
        verdict = IDENTICAL
    elif any(each.verdict == UNDECIDED for each in leaves):
        verdict = UNDECIDED
        notes += [f"{each.name}: {each.why}" for each in leaves if each.why]
    elif not run.pair.shadowed and not run.moving:
        verdict = UNDECIDED
        notes.append("no step changes the state by more than rounding: no fault could be seen")
    else:
        verdict = ROUNDING
    if run.ended:
        taken = len(run.drift_loss)
        notes.append(f"after step {taken} the numbers are no longer finite on both sides: the comparison ended there")  # fmt: skip
    device = run.pair.reference.device.device_kind
    settings |= {
        "device": device,
        "moves": MOVES,
        "shadow": run.pair.shadowed,
        "steps": len(run.drift_loss),
    }
    drift = Drift(tuple(run.drift_loss), tuple(run.drift_band), tuple(run.drift_bands))
    losses_of = dict(zip(("reference", "candidate"), map(tuple, run.losses), strict=True))
    return Trajectory(
        names[0], names[1], verdict, step, leaf, leaves, worst, losses_of, drift,
        tuple(run.resynchronised), run.visible or math.inf, problem, tuple(notes), settings,
    )  # fmt: skip


def first_batch(batches: Any) -> Any:
    """Return the first batch of those that `trajectory` takes; an iterator is taken one from."""
    return _supply(batches, 1)[1]


def _supply(batches: Any, steps: int | None) -> tuple[Iterator[Any], Any, int]:
    """The batches of all steps, the first of them, and how many steps there are."""
    if steps is not None and (not isinstance(steps, int) or steps < 1):
        raise OptionError(f"the number of steps must be at least 1, not {steps!r}")
    if isinstance(batches, list):
        if not batches:
            raise OptionError("the list of batches is empty")
        return cycle(batches), batches[0], steps or len(batches)
    if isinstance(batches, Iterator):
        held = list(islice(batches, steps))
        if not held:
            raise OptionError("the iterator of batches has ended")
        return iter(held), held[0], len(held)
    if steps is None:
        raise OptionError("say how many steps: the batches do not tell")
    if callable(batches):
        return map(batches, range(steps)), batches(0), steps
    return cycle([batches]), batches, steps
