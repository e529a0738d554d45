"""`compare`: prepares every backend, trains with each in turn, and measures how far they are apart."""

import math
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from funcgrad.compare.backends import BACKENDS, Backend
from funcgrad.compare.errors import OptionError
from funcgrad.compare.problem import Parameters, Problem, divergence, make_problem
from funcgrad.compare.report import Difference, LeastSquaresGap, Report, Row
from funcgrad.compare.session import Session
from funcgrad.compare.tolerance import allowance, training_allowance
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
) -> Report:
    """Train the same regression on several backends, and report differences and times.

    Every backend gets the same standardised features, the same target and the same initial weights
    and bias, and takes the same full-batch steps, each in its own idiom.

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
        seed: what the initial parameters are drawn from: uniform within ±1/√features, as those of
            PyTorch's `Linear`, from NumPy's `default_rng(seed)`.
        rounds: how many trainings of each backend to time, in turn with the others'. One more comes
            before them, for compiling.

    Raises:
        DataError: the data holds a NaN, an infinity or a constant column, or has too few rows.
        OptionError: no such backend, optimizer, dtype or device; or the learning rate diverges.

    >>> import numpy as np
    >>> from funcgrad.compare import compare
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> report = compare(x, 2 * x[:, 0] + 1, backends=["jax", "jax-loop"], steps=100, rounds=1)
    >>> [row.backend for row in report.rows], report.agree
    (['jax', 'jax-loop'], True)
    """
    if rounds < 1:
        raise OptionError(f"the number of rounds must be at least 1, not {rounds}")
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
    results = _results(problem, sessions, rounds)
    names = [*(feature_names or (f"x{j}" for j in range(problem.x.shape[1]))), "the intercept"]
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
        rows=_rows(problem, results),
        absent=absent,
        gap=_gap(problem, results[0].trained, names),
        settings=settings,
        versions=_versions(sessions),
    )


EARLY_STEPS = 5
"""So soon, a wrong optimizer has not yet converged to the right answer and shows itself."""


class _Result(NamedTuple):
    """What was measured of one backend; the reference's comes first."""

    backend: str
    early: Parameters
    trained: Parameters
    final_loss: float
    points: list[tuple[float, Parameters]]  # at the initial and at the reference's final parameters
    first: float  # seconds, compiling included
    later: float  # seconds, the median of the rounds


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


def _results(problem: Problem, sessions: dict[str, Session], rounds: int) -> list[_Result]:
    trained: dict[str, Parameters] = {}
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    reference = next(iter(sessions))
    for _ in range(1 + rounds):
        for name, session in sessions.items():
            start = time.perf_counter()
            trained[name] = session.train(problem.steps)
            seconds[name].append(time.perf_counter() - start)
        if not np.isfinite(trained[reference].vector).all():
            raise divergence(problem)
    results = [
        _Result(
            backend=name,
            early=session.train(_early(problem)),
            trained=trained[name],
            final_loss=session.value_and_grad(trained[name])[0],
            points=[session.value_and_grad(at) for at in (problem.initial, trained[reference])],
            first=seconds[name][0],
            later=statistics.median(seconds[name][1:]),
        )
        for name, session in sessions.items()
    ]
    if not np.isfinite(results[0].final_loss):
        raise divergence(problem)
    return results


def _rows(problem: Problem, results: list[_Result]) -> tuple[Row, ...]:
    reference = results[0]
    allowed = [allowance(problem, at) for at in (problem.initial, reference.trained)]
    allowed_early = training_allowance(problem, _early(problem))
    allowed_trained = training_allowance(problem, problem.steps)
    scale = reference.points[0][1].vector

    def difference(found: Any, right: Any, scale: Any, allowed: float) -> Difference:
        with np.errstate(all="ignore"):
            absolute = float(np.abs(found - right).max())
            ulp = float(np.spacing(problem.dtype.type(np.abs(scale).max())))
        return Difference(absolute, absolute / ulp, allowed)

    def row(result: _Result) -> Row:
        pairs = list(zip(result.points, reference.points, allowed, strict=True))
        losses = [
            difference(value, right, right, most.loss) for (value, _), (right, _), most in pairs
        ]
        gradients = [
            difference(grads.vector, right.vector, scale, most.gradient)
            for (_, grads), (_, right), most in pairs
        ]
        early, right = reference.early.vector, reference.trained.vector
        return Row(
            backend=result.backend,
            final_loss=result.final_loss,
            loss=max(losses, key=_severity),
            gradients=max(gradients, key=_severity),
            early=difference(result.early.vector, early, early, allowed_early),
            parameters=difference(result.trained.vector, right, right, allowed_trained),
            seconds_per_step=result.later / problem.steps,
            compile_seconds=max(0.0, result.first - result.later),
            ratio=result.later / reference.later,
        )

    return tuple(map(row, results))


def _early(problem: Problem) -> int:
    return min(EARLY_STEPS, problem.steps)


def _severity(difference: Difference) -> tuple[bool, float]:
    """Sort key: what is not even a number first, then the largest share of what is allowed."""
    return math.isnan(difference.absolute), difference.absolute / difference.allowed


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
