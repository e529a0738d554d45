"""The result of a comparison: numbers, a table to read, a dictionary for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from funcgrad.compare.tables import as_json, prose, seconds, table
from funcgrad.display import framed


@dataclass(frozen=True)
class Difference:
    """The largest difference of any element from the reference's.

    Attributes:
        absolute: its size; NaN where one side is no number.
        ulps: the same in units in the last place: steps between neighbouring numbers of the dtype, at that element.
        allowed: the largest that rounding explains: 8 rounding bands, see `funcgrad.compare.leaves`.
        element: its name: a feature's weight, or the intercept; None for the loss.
        shadow: the largest difference in float64; None where that was not looked at.
        agrees: whether rounding explains the difference.
        why: the reason, if there is more to say.
    """

    absolute: float
    ulps: float
    allowed: float
    element: str | None
    shadow: float | None
    agrees: bool
    why: str


@dataclass(frozen=True)
class BackendResult:
    """One backend's result.

    Attributes:
        backend: its name.
        final_loss: the loss at its own final parameters.
        loss, gradients: how far they are off at the reference's initial and final parameters: the larger
            share of the allowance counts.
        early: how far its weights and bias are off after the first few steps. There a wrong optimizer
            shows: later it may converge to the right answer all the same.
        parameters: how far its final weights and bias are off.
        seconds_per_step: the median over the timed trainings.
        lower, upper: the quartiles of the same.
        compile_seconds: how much longer the first training took than the median of the later ones.
        ratio: seconds_per_step over the reference's.
        steady: whether the trainings took equally long, so that the time is one number.
    """

    backend: str
    final_loss: float
    loss: Difference
    gradients: Difference
    early: Difference
    parameters: Difference
    seconds_per_step: float
    lower: float
    upper: float
    compile_seconds: float
    ratio: float
    steady: bool

    def differences(self) -> dict[str, Difference]:
        """Return every difference by the name of its quantity."""
        return {
            "loss": self.loss,
            "gradients": self.gradients,
            "weights after the first steps": self.early,
            "final weights": self.parameters,
        }

    @property
    def agrees(self) -> bool:
        """Whether rounding explains all differences from the reference."""
        return all(difference.agrees for difference in self.differences().values())


@dataclass(frozen=True)
class LeastSquaresGap:
    """How far the reference's training ended from the exact least-squares answer.

    Attributes:
        exact_loss: the smallest loss there is.
        loss: how much larger the loss is after training.
        parameter: the largest distance of a weight, or of the bias, from its exact value; None where
            columns depend on each other, so that other weights have that loss too.
        parameter_name: the name of that weight.
    """

    exact_loss: float
    loss: float
    parameter: float | None
    parameter_name: str | None


@dataclass(frozen=True)
class Curves:
    """How the trainings of all backends went.

    Attributes:
        steps: after how many steps each number was taken.
        losses: the loss after so many steps, by backend.
        apart: the largest difference of a weight from the reference's, by backend.
        allowed: the largest that rounding explains.
    """

    steps: tuple[int, ...]
    losses: Mapping[str, tuple[float, ...]]
    apart: Mapping[str, tuple[float, ...]]
    allowed: tuple[float, ...]


@dataclass(frozen=True)
class Report:
    """The result of `compare`; `str()` of it is a table.

    Attributes:
        rows: one for each backend that ran, the reference first.
        absent: why each other backend did not run, by name.
        gap: how far gradient descent still is from the exact answer.
        starting_loss: the loss at the initial weights.
        settings: what was trained, how and on what.
        versions: the packages' versions.
        curves: how the trainings went; None where that was not asked for.
    """

    rows: tuple[BackendResult, ...]
    absent: Mapping[str, str]
    gap: LeastSquaresGap
    starting_loss: float
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    curves: Curves | None = None

    @property
    def agree(self) -> bool:
        """Whether all backends agree as far as the dtype allows."""
        return all(row.agrees for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return everything in JSON's types; a number that is not finite becomes None."""
        rows = [asdict(row) | {"agrees": row.agrees} for row in self.rows]
        whole = asdict(self) | {
            "agree": self.agree,
            "reference": self.rows[0].backend,
            "rows": rows,
        }
        return as_json(whole)

    def __str__(self) -> str:
        """Return the table that the command prints."""
        return "\n".join([*self._heading(), "", *self._table(), "", *self._conclusion()])

    def _repr_html_(self) -> str:
        return framed(str(self), good=self.agree)

    def _heading(self) -> list[str]:
        s = self.settings
        limit = s["largest_stable_rate"]
        stable = "" if limit is None else f", stable up to {limit:.6g}"
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        heading = (
            f"{s['target']!r} from {s['features']} features of {s['rows']} rows, "
            "standardised, with an intercept",
            f"{s['steps']} steps of {s['optimizer']}, learning rate {s['learning_rate']:.6g}{stable}",
            f"{s['dtype']} on {s['device']}, seed {s['seed']}; {versions}",
        )
        return [line for each in heading for line in prose(each)]

    def _table(self) -> list[str]:
        reference = self.rows[0]
        head = [
            "backend", "final loss", "weights off", "ulps", "allowed", "farthest", "gradients off", "allowed",
            "time per step", "compile", f"time by {reference.backend}",
        ]  # fmt: skip
        body = []
        for row in self.rows:
            weights, gradients = row.parameters, row.gradients
            cells = (
                ["reference", "", "", "", "reference", ""]
                if row is reference
                else [
                    _absolute(weights),
                    f"{weights.ulps:.3g}",
                    f"{weights.allowed:.1e}",
                    (weights.element or "") if weights.absolute else "",
                    _absolute(gradients),
                    f"{gradients.allowed:.1e}",
                ]
            )
            time = [
                seconds(row.seconds_per_step) if row.steady else "not steady",
                seconds(row.compile_seconds),
                f"{row.ratio:.3g}" if row.steady and reference.steady else "",
            ]
            body.append([row.backend, f"{row.final_loss:.8g}", *cells, *time])
        absent = [f"{name}: did not run, {reason}" for name, reason in self.absent.items()]
        lines = table(head, body, optional=("compile", "ulps", "farthest", "allowed"))
        absent = [line for each in absent for line in prose(each)]
        if len(self.rows) == 1:
            return [*lines, *absent]
        shown = " ".join(lines)  # a narrow terminal has no room for some columns
        legend = " ".join(f"{name}: {is_}." for name, is_ in _LEGEND.items() if name in shown)
        return [*lines, *absent, "", *prose(legend)]

    def _conclusion(self) -> list[str]:
        gap, reference = self.gap, self.rows[0]
        relative = gap.loss / gap.exact_loss if gap.exact_loss else math.inf
        exact = (
            f"Exact least squares has loss {gap.exact_loss:.8g}; after {self.settings['steps']} steps "
            f"{reference.backend} is {gap.loss:.2g} above it ({relative:.1e} of it)"
        )
        if gap.parameter is None:
            exact += "; columns depend on each other, so other weights have that loss too."
        else:
            exact += f", its farthest weight {gap.parameter:.2g} away ({gap.parameter_name})."
        worse = [row.backend for row in self.rows if row.final_loss > self.starting_loss]
        if worse:
            exact += (
                f" {', '.join(worse)} ended above the starting loss, {self.starting_loss:.8g}: the learning rate is too "
                "large, or the steps too few."
            )
        others = len(self.rows) - 1
        if not others:
            verdict = "Only one backend ran: there was nothing to compare it with."
        elif self.agree:
            verdict = f"All {others + 1} backends agree as far as {self.settings['dtype']} allows."
        else:
            wrong = ", ".join(_disagreement(row) for row in self.rows if not row.agrees)
            verdict = f"DISAGREEMENT by more than {self.settings['dtype']} allows: {wrong}."
        reasons = {each.why for row in self.rows for each in row.differences().values() if each.why}
        why = (f"{each[0].upper()}{each[1:]}." for each in sorted(reasons))
        return [line for paragraph in (exact, verdict, *why) for line in prose(paragraph)]


_LEGEND = {
    "off": "the largest difference from the reference",
    "ulps": "the same in units in the last place, the steps between neighbouring numbers of the dtype",
    "allowed": "what rounding explains, 8 times as far as the reference moves when all numbers that it is given move by one "
    "unit in the last place and the rows are shuffled",
    "farthest": "whose weight that is",
}


def _disagreement(row: BackendResult) -> str:
    wrong = [
        f"{name}, farthest {each.element}" if each.element else name
        for name, each in row.differences().items()
        if not each.agrees
    ]
    return f"{row.backend} ({'; '.join(wrong)})"


def _absolute(difference: Difference) -> str:
    return f"{difference.absolute:.1e}{'' if difference.agrees else ' !'}"
