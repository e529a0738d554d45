"""`compare`: prepares every backend, trains with each in turn, and measures how far they are apart."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Literal

import numpy as np
from jaxtyping import Float

from funcgrad.compare.backends import BACKENDS, Backend
from funcgrad.compare.curves import make_curves
from funcgrad.compare.errors import OptionError
from funcgrad.compare.leaves import BANDS, Leaf, Shadow, judge
from funcgrad.compare.problem import Parameters, Problem, divergence, make_problem
from funcgrad.compare.repeats import moved, moved_parameters, wide, wide_parameters
from funcgrad.compare.report import BackendResult, Difference, LeastSquaresGap, Report
from funcgrad.compare.session import Session
from funcgrad.compare.timings import Rounds, interleaved, is_steady, quartiles
from funcgrad.version import __version__


def compare(
    x: Float[np.ndarray, "rows features"],
    y: Float[np.ndarray, " rows"],
    *,
    feature_names: Sequence[str] | None = None,
    target_name: str = "y",
    backends: Iterable[str | Backend] | None = None,
    optimizer: str = "sgd",
    learning_rate: float | Literal["auto"] = "auto",
    steps: int = 1000,
    dtype: str = "float32",
    device: str | None = None,
    seed: int = 0,
    rounds: int = 5,
    curves: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Train the same regression on several backends, and report differences and times.

    Every backend gets the same standardised features, the same target and the same initial weights
    and bias, and takes the same full-batch steps, each in its own idiom. Differences are judged as `parity` judges them: by
    repeating the reference with all numbers moved by one unit in the last place and the rows shuffled, and all backends in float64.

    Args:
        x: the features, shape (rows, features), in any units.
        y: the target, shape (rows,).
        feature_names: one name per feature, for messages.
        target_name: the target's name.
        backends: names from `BACKENDS`, or further `Backend` rows; None for all of them. The first
            that can run is the reference that the others are measured against.
        optimizer: a name from `OPTIMIZERS`.
        learning_rate: a number, or "auto" for one that is stable on this data.
        steps: how many steps to take.
        dtype: "float32" or "float64".
        device: "cpu", "gpu", "tpu", "gpu:1" and so on; None for JAX's default device.
        seed: of the initial parameters: uniform within ±1/√features, as those of
            PyTorch's `Linear`, from NumPy's `default_rng(seed)`.
        rounds: how many trainings of each backend to time, in turn with the others'. A warm-up comes before them, until
            two trainings take equally long.
        curves: whether to follow the trainings as well, for the charts of the report's page: each backend then trains
            once more, and the reference with moved numbers.
        progress: called with a few words whenever something else begins; None to be silent.

    Raises:
        DataError: the data holds a NaN, an infinity or a constant column, or has too few rows.
        OptionError: x or y is a function; no such backend, optimizer, dtype or device; or the learning rate diverges.

    >>> import numpy as np
    >>> from funcgrad.compare import compare
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> report = compare(x, 2 * x[:, 0] + 1, backends=["jax", "jax-loop"], steps=100, rounds=1)
    >>> [row.backend for row in report.rows], report.agree
    (['jax', 'jax-loop'], True)
    """
    if rounds < 1:
        raise OptionError(f"the number of rounds must be at least 1, not {rounds}")
    if callable(x) or callable(y):
        raise OptionError(
            "compare trains one regression, so it takes features x and a target y; two functions are compared by "
            "parity(reference, candidate, *inputs), two training steps by trajectory"
        )
    say = progress or (lambda words: None)
    chosen = _chosen(backends)
    problem = make_problem(
        x,
        y,
        feature_names,
        optimizer=optimizer,
        learning_rate=learning_rate,
        steps=steps,
        dtype=dtype,
        device=device,
        seed=seed,
    )
    reasons = {row.name: row.unavailable(problem.device) for row in chosen}
    absent = {name: reason for name, reason in reasons.items() if reason is not None}
    present = [row for row in chosen if row.name not in absent]
    if not present:
        raise OptionError(
            "no backend can run: " + "; ".join(f"{name}, {why}" for name, why in absent.items())
        )
    sessions = {row.name: row.prepare(problem) for row in present}
    say(f"training {', '.join(sessions)}")
    trained, times = _timed(problem, sessions, rounds)
    leaves = _leaves(problem, present, sessions, trained, say)
    names = [*(feature_names or (f"x{j}" for j in range(problem.x.shape[1]))), "the intercept"]
    start = sessions[present[0].name].value_and_grad(problem.initial)[0]
    settings = {
        "target": target_name,
        "rows": problem.x.shape[0],
        "features": problem.x.shape[1],
        "optimizer": optimizer,
        "learning_rate": problem.learning_rate,
        "largest_stable_rate": problem.largest_stable_rate,
        "steps": steps,
        "dtype": dtype,
        "device": problem.device.device_kind,
        "platform": problem.device.platform,
        "seed": seed,
        "rounds": rounds,
    }
    return Report(
        rows=_rows(problem, leaves, sessions, trained, times, names),
        absent=absent,
        gap=_gap(problem, trained[present[0].name], names),
        starting_loss=start,
        settings=settings,
        versions=_versions(sessions),
        curves=make_curves(problem, present[0], sessions, MOVES, say) if curves else None,
    )


EARLY_STEPS = 5
"""So soon, a wrong optimizer has not yet converged to the right answer and shows itself."""

MOVES = 4
"""How often the reference is repeated with all numbers moved by one unit in the last place and the rows shuffled."""

START, END = "at the start", "at the end"

Quantities = dict[str, np.ndarray]
"""The compared quantities of a backend, by name: each a vector, or a single number."""


def _chosen(backends: Iterable[str | Backend] | None) -> list[Backend]:
    chosen = {}
    for each in BACKENDS if backends is None else backends:
        if isinstance(each, str):
            if each not in BACKENDS:
                raise OptionError(f"unknown backend {each!r}; there are: {', '.join(BACKENDS)}")
            each = BACKENDS[each]
        chosen[each.name] = each
    if not chosen:
        raise OptionError(f"no backend was named; there are: {', '.join(BACKENDS)}")
    return list(chosen.values())


def _timed(
    problem: Problem, sessions: dict[str, Session], rounds: int
) -> tuple[dict[str, Parameters], dict[str, Rounds]]:
    """Each backend's trained parameters, and its times."""
    trained: dict[str, Parameters] = {}
    reference = next(iter(sessions))

    def train(name: str) -> None:
        trained[name] = sessions[name].train(problem.steps)
        if name == reference and not np.isfinite(trained[name].vector).all():
            raise divergence(problem)

    cases = {name: partial(train, name) for name in sessions}
    return trained, interleaved(cases, rounds, seed=rounds)


def _quantities(
    problem: Problem, session: Session, trained: Parameters | None, at: dict[str, Parameters]
) -> Quantities:
    """The compared quantities of one backend: loss and gradient at these parameters, and the trained parameters."""
    found: Quantities = {}
    for place, params in at.items():
        loss, gradient = session.value_and_grad(params)
        found[f"loss {place}"] = np.asarray(loss, problem.dtype)
        found[f"gradient {place}"] = gradient.joined
    early = session.train(min(EARLY_STEPS, problem.steps))
    found["weights after the first steps"] = early.joined
    found["final weights"] = (session.train(problem.steps) if trained is None else trained).joined
    return found


def _leaves(
    problem: Problem,
    backends: list[Backend],
    sessions: dict[str, Session],
    trained: dict[str, Parameters],
    say: Callable[[str], None],
) -> dict[str, dict[str, Leaf]]:
    """The verdicts on each backend's quantities; see `funcgrad.compare.leaves`."""
    random = np.random.default_rng(0)
    reference = backends[0]
    at = {START: problem.initial, END: trained[reference.name]}

    def repeated(problem: Problem, backend: Backend, at: dict[str, Parameters]) -> Quantities:
        return _quantities(problem, backend.prepare(problem), None, at)

    def moved_reference(
        problem: Problem, at: dict[str, Parameters], like: Problem | None
    ) -> Quantities:
        dtype = None if like is None else like.dtype
        moved_at = {place: moved_parameters(each, random, dtype) for place, each in at.items()}
        return repeated(moved(problem, random, like), reference, moved_at)

    found = {
        each.name: _quantities(problem, sessions[each.name], trained[each.name], at)
        for each in backends
    }
    expected = found[reference.name]
    if len(backends) == 1:
        return {
            reference.name: {name: judge(name, each, each, []) for name, each in expected.items()}
        }
    bands = []
    for k in range(MOVES):
        say(f"repeating {reference.name} with moved inputs, {k + 1} of {MOVES}")
        bands.append(moved_reference(problem, at, None))
    shadows: dict[str, Quantities] = {}
    inner, grained = [], []
    if problem.dtype != np.float64:
        broad, broad_at = wide(problem), {place: wide_parameters(p) for place, p in at.items()}
        for backend in backends:
            say(f"repeating {backend.name} in float64")
            shadows[backend.name] = repeated(broad, backend, broad_at)
        say(f"repeating {reference.name} in float64 with moved inputs")
        inner.append(moved_reference(broad, broad_at, None))
        grained.append(moved_reference(broad, broad_at, problem))

    def verdict(backend: str, name: str) -> Leaf:
        shadow = None
        if shadows:
            shadow = Shadow(
                shadows[reference.name][name],
                shadows[backend][name],
                [each[name] for each in inner],
                [each[name] for each in grained],
            )
        moves = [each[name] for each in bands]
        return judge(name, expected[name], found[backend][name], moves, shadow, strict=True)

    return {each.name: {name: verdict(each.name, name) for name in expected} for each in backends}


def _rows(
    problem: Problem,
    leaves: dict[str, dict[str, Leaf]],
    sessions: dict[str, Session],
    trained: dict[str, Parameters],
    times: dict[str, Rounds],
    names: Sequence[str],
) -> tuple[BackendResult, ...]:
    _, reference, _ = (each / problem.steps for each in quartiles(next(iter(times.values())).times))

    def row(backend: str) -> BackendResult:
        judged = leaves[backend]

        def difference(*asked: str) -> Difference:
            leaf = max((judged[name] for name in asked), key=_severity)
            (at,) = leaf.index or (None,)
            return Difference(
                absolute=leaf.absolute if math.isfinite(leaf.absolute) else math.nan,
                ulps=leaf.ulps,
                allowed=BANDS * leaf.band,
                element=None if at is None else names[at],
                shadow=leaf.shadow,
                agrees=leaf.ok,
                why=leaf.why,
            )

        lower, median, upper = (each / problem.steps for each in quartiles(times[backend].times))
        return BackendResult(
            backend=backend,
            final_loss=sessions[backend].value_and_grad(trained[backend])[0],
            loss=difference(f"loss {START}", f"loss {END}"),
            gradients=difference(f"gradient {START}", f"gradient {END}"),
            early=difference("weights after the first steps"),
            parameters=difference("final weights"),
            seconds_per_step=median,
            lower=lower,
            upper=upper,
            compile_seconds=max(0.0, times[backend].first - median * problem.steps),
            ratio=median / reference,
            steady=is_steady(times[backend]),
        )

    rows = tuple(map(row, leaves))
    if not np.isfinite(rows[0].final_loss):
        raise divergence(problem)
    return rows


def _severity(leaf: Leaf) -> tuple[bool, float]:
    """Sort key: a fault first, then the largest share of what is allowed."""
    return not leaf.ok, leaf.bands


def _gap(problem: Problem, trained: Parameters, names: Sequence[str]) -> LeastSquaresGap:
    # The exact residual is orthogonal to every prediction, so the losses differ by the mean square
    # of the predictions' difference; subtracting the losses would lose most digits.
    residual = problem.design @ problem.exact.vector - problem.y
    away = trained.vector - problem.exact.vector
    farthest = int(np.abs(away).argmax())
    return LeastSquaresGap(
        exact_loss=float(np.mean(residual**2)),
        loss=float(np.mean((problem.design @ away) ** 2)),
        parameter=float(abs(away[farthest])) if problem.unique else None,
        parameter_name=names[farthest] if problem.unique else None,
    )


def _versions(sessions: Iterable[str]) -> dict[str, str]:
    packages = ["jax", "optax", "numpy", *(["torch"] if "pytorch" in sessions else [])]
    return {
        "funcgrad": __version__,
        **{package: version(package) for package in packages},
        "python": platform.python_version(),
    }
