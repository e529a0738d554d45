"""`speed`: how long do functions take, side by side, on a machine that also does other things?"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from html import escape
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from funcgrad.compare.errors import OptionError
from funcgrad.compare.referring import PYTORCH, SHIM, owner
from funcgrad.compare.tables import as_json, seconds, table

AGREE = 0.1
"""Two rounds of a warm-up agree if they differ by this part of the shorter one."""

LONGEST_WARM_UP = 12
"""A warm-up ends after so many rounds, whether two have agreed or not."""

STEADY = 0.5
"""A time is steady if its quartiles are within this part of its median."""

RESAMPLES = 2000
"""How often rounds are drawn again, with replacement, for the interval of a ratio."""


class Rounds(NamedTuple):
    """The measurements of one case.

    Attributes:
        first: seconds of the very first call, compiling included; 0 if there was no warm-up.
        agreed: whether two rounds of the warm-up agreed.
        times: seconds a call in every round.
        calls: how many calls make a round.
    """

    first: float
    agreed: bool
    times: tuple[float, ...]
    calls: int


@dataclass(frozen=True)
class Timing:
    """How long one function takes.

    Attributes:
        name: what it was called.
        median, lower, upper: seconds a call: the median and the quartiles of the rounds.
        compile_seconds: what the first call took beyond the median; 0 if there was no warm-up.
        ratio: the median over the first function's.
        interval: the ratio lies between these with 95 % confidence: a bootstrap over the rounds.
        steady: whether the warm-up settled, and the rounds agree well enough for a number.
        rounds: seconds a call in every round.
        calls: how many calls make a round.
    """

    name: str
    median: float
    lower: float
    upper: float
    compile_seconds: float
    ratio: float
    interval: tuple[float, float]
    steady: bool
    rounds: tuple[float, ...]
    calls: int


@dataclass(frozen=True)
class Speed:
    """The result of `speed`; `str()` of it is a table.

    Attributes:
        timings: one for each function, in the order given.
        device: what JAX computes on.
        settings: the number of rounds, the seed of their order, and whether they followed a warm-up.
    """

    timings: tuple[Timing, ...]
    device: str
    settings: Mapping[str, Any]

    def __getitem__(self, name: str) -> Timing:
        return next(each for each in self.timings if each.name == name)

    def ratio(self, name: str, reference: str) -> tuple[float, tuple[float, float]]:
        """Return how many times as long one function takes as another, and the 95 % interval."""
        return _ratio(self[name].rounds, self[reference].rounds, self.settings["seed"])

    def to_dict(self) -> dict[str, Any]:
        """Return everything in JSON's types."""
        return as_json(asdict(self))

    def __str__(self) -> str:
        first = self.timings[0]
        head = ["", "median", "quartiles", f"by {first.name}", "95 % interval", "compile"]
        rows = []
        for each in self.timings:
            spread = f"{seconds(each.lower)} to {seconds(each.upper)}"
            certain = each.steady and first.steady
            low, high = each.interval
            rows.append(
                [
                    each.name,
                    seconds(each.median) if each.steady else "not steady",
                    spread,
                    "1" if each is first else f"{each.ratio:.3g}" if certain else "not steady",
                    "" if each is first or not certain else f"{low:.3g} to {high:.3g}",
                    seconds(each.compile_seconds) if self.settings["warm_up"] else "",
                ]
            )
        foot = f"{self.device}; {self.settings['rounds']} rounds in random order"
        if self.settings["warm_up"]:
            foot += (
                ", after a warm-up until two rounds of each agreed; "
                "compile: what the first call took beyond the median."
            )
        else:
            foot += ", without a warm-up."
        return "\n".join([*table(head, rows, optional=("compile", "quartiles")), foot])

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def speed(
    cases: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 20,
    round_seconds: float = 0.02,
    seed: int = 0,
    warm_up: bool = True,
    setup: Mapping[str, Callable[[], Any]] | None = None,
) -> Speed:
    """Time functions in turns, so that other work of the machine slows all alike.

    Each warms up until two rounds agree. Then all run in rounds, in a new random order each time. Results are waited for:
    JAX's arrays, and tensors on a GPU, are computed when a call ends. Where rounds differ too much for a number, the report
    says "not steady".

    Args:
        cases: functions without arguments, by name. The first is what the others are divided by.
        rounds: how many.
        round_seconds: about how long a round of one function should take; a short one is called many times.
        seed: the order of the rounds comes from it.
        warm_up: False for cold starts, such as functions that start a process: then every call counts, the first too, and
            a round is one call.
        setup: functions by the names of cases; each runs before every round of its case, which then is one call, and is not
            timed. It empties a cache, or starts a process whose imports should not count.

    Raises:
        OptionError: there is nothing to time, or fewer than two rounds; a setup has the name of no case.

    >>> from funcgrad.compare import speed
    >>> report = speed({"short": lambda: sum(range(10)), "long": lambda: sum(range(10000))}, rounds=3)
    >>> [timing.name for timing in report.timings], report["long"].ratio > 1
    (['short', 'long'], True)
    """
    if not isinstance(cases, Mapping):
        raise OptionError(
            f"functions are timed by name, such as {{'a sum': sum_up}}; got {cases!r:.100}"
        )
    if not cases:
        raise OptionError("there is nothing to time")
    if rounds < 2:
        raise OptionError(f"the number of rounds must be at least 2, not {rounds}")
    if unknown := set(setup or ()) - set(cases):
        raise OptionError(f"a setup is of no case: {', '.join(sorted(unknown))}")
    measured = interleaved(cases, rounds, round_seconds, seed, warm_up, setup or {})
    reference = next(iter(measured.values()))
    return Speed(
        timings=tuple(_timing(name, each, reference, seed) for name, each in measured.items()),
        device=jax.devices()[0].device_kind,
        settings={"rounds": rounds, "seed": seed, "warm_up": warm_up},
    )


def interleaved(
    cases: Mapping[str, Callable[[], Any]],
    rounds: int,
    round_seconds: float = 0.0,
    seed: int = 0,
    warm_up: bool = True,
    setup: Mapping[str, Callable[[], Any]] = MappingProxyType({}),
) -> dict[str, Rounds]:
    """Time each case in every round, in random order.

    Args:
        cases: functions without arguments.
        rounds: how many to keep.
        round_seconds: a round repeats a call until it takes about so long; 0 for one call a round.
        seed: the order comes from it.
        warm_up, setup: as for `speed`.
    """

    def timed(name: str, calls: int) -> float:
        if name in setup:
            setup[name]()
        return _timed(cases[name], calls)

    def warmed_up(name: str) -> tuple[float, bool, int]:
        if not warm_up:
            return 0.0, True, 1
        return _warmed_up(partial(timed, name), 0.0 if name in setup else round_seconds)

    warm = {name: warmed_up(name) for name in cases}
    times: dict[str, list[float]] = {name: [] for name in cases}
    order, shuffled = list(cases), random.Random(seed)
    for _ in range(rounds):
        shuffled.shuffle(order)
        for name in order:
            times[name].append(timed(name, warm[name][2]))
    return {
        name: Rounds(first, agreed, tuple(times[name]), calls)
        for name, (first, agreed, calls) in warm.items()
    }


def interval(
    times: Sequence[float], reference: Sequence[float], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the ratio of two medians, whose rounds belong together.

    (B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), 13.3: the percentile interval.)

    >>> interval([2.0] * 5, [1.0] * 5)
    (2.0, 2.0)
    """
    a, b = np.asarray(times), np.asarray(reference)
    at = np.random.default_rng(seed).integers(0, len(a), (RESAMPLES, len(a)))
    ratios = np.median(a[at], axis=1) / np.median(b[at], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def is_steady(measured: Rounds) -> bool:
    """Whether a warm-up settled, and the quartiles of the rounds are near their median."""
    lower, median, upper = quartiles(measured.times)
    return measured.agreed and upper - lower <= STEADY * median


def quartiles(times: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile.

    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
    (2.0, 3.0, 4.0)
    """
    lower, median, upper = np.quantile(times, [0.25, 0.5, 0.75])
    return float(lower), float(median), float(upper)


def _timing(name: str, measured: Rounds, reference: Rounds, seed: int) -> Timing:
    lower, median, upper = quartiles(measured.times)
    ratio, certain = _ratio(measured.times, reference.times, seed)
    return Timing(
        name=name,
        median=median,
        lower=lower,
        upper=upper,
        compile_seconds=max(0.0, measured.first - median),
        ratio=ratio,
        interval=certain,
        steady=is_steady(measured),
        rounds=measured.times,
        calls=measured.calls,
    )


def _ratio(
    times: Sequence[float], reference: Sequence[float], seed: int
) -> tuple[float, tuple[float, float]]:
    """The ratio of two medians and its interval."""
    return statistics.median(times) / statistics.median(reference), interval(times, reference, seed)


def _warmed_up(timed: Callable[[int], float], round_seconds: float) -> tuple[float, bool, int]:
    """Seconds of the first call, whether two rounds agreed, and the calls that make a round.

    Args:
        timed: makes a round of so many calls, and returns the seconds a call.
        round_seconds: about how long a round should take.
    """
    first = timed(1)
    before, calls = timed(1), 1
    for _ in range(LONGEST_WARM_UP):
        calls = max(1, math.ceil(round_seconds / before)) if before > 0 else 1
        now = timed(calls)
        if abs(now - before) <= AGREE * min(now, before):
            return first, True, calls
        before = now
    return first, False, calls


def _timed(run: Callable[[], Any], calls: int) -> float:
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(calls):
        result = run()
    _wait_for(result)
    return (time.perf_counter() - start) / calls


def _wait_for(result: Any) -> None:
    """Wait for a result: libraries return before they have computed it."""
    leaves = jax.tree.leaves(result, is_leaf=lambda leaf: hasattr(leaf, "requires_grad"))
    jax.block_until_ready([leaf for leaf in leaves if isinstance(leaf, jax.Array)])
    for leaf in leaves:
        if owner(leaf) == SHIM and hasattr(leaf, "detach"):
            leaf.detach().numpy(force=True)
    if any(owner(leaf) == PYTORCH and getattr(leaf, "is_cuda", False) for leaf in leaves):
        sys.modules["torch"].cuda.synchronize()
