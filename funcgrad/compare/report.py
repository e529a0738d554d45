"""What a comparison found, as numbers, as a table to read and as a dictionary for JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """The largest difference of any element from the reference's.

    Attributes:
        absolute: its size.
        ulps: the same in units in the last place: steps between neighbouring numbers of the dtype,
            at the largest element of the reference (of gradients: at the initial parameters).
        allowed: the largest that rounding explains, see `funcgrad.compare.tolerance`.
    """

    absolute: float
    ulps: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether rounding explains the difference; a NaN it never explains."""
        return self.absolute <= self.allowed


@dataclass(frozen=True)
class Row:
    """One backend's result.

    Attributes:
        backend: its name.
        final_loss: the loss at its own final parameters.
        loss, gradients: how far they are off where they are computed at the same parameters as the
            reference's: the initial and its final ones, whichever differs more of what is allowed.
        early: how far its weights and bias are off after the first few steps, where what a wrong
            optimizer does has not yet converged to the right answer.
        parameters: how far its final weights and bias are off.
        seconds_per_step: the median over the timed trainings.
        compile_seconds: what the first training took beyond the median of the later ones.
        ratio: seconds_per_step over the reference's.
    """

    backend: str
    final_loss: float
    loss: Difference
    gradients: Difference
    early: Difference
    parameters: Difference
    seconds_per_step: float
    compile_seconds: float
    ratio: float

    def differences(self) -> dict[str, Difference]:
        """Return every difference by what it is a difference of."""
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
        parameter_name: whose distance that is.
    """

    exact_loss: float
    loss: float
    parameter: float | None
    parameter_name: str | None


@dataclass(frozen=True)
class Report:
    """The result of `compare`; `str()` of it is a table.

    Attributes:
        rows: one for each backend that ran, the reference first.
        absent: why each other backend did not run, by name.
        gap: how far gradient descent still is from the exact answer.
        settings: what was trained, how and on what.
        versions: the packages' versions.
    """

    rows: tuple[Row, ...]
    absent: Mapping[str, str]
    gap: LeastSquaresGap
    settings: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def agree(self) -> bool:
        """Whether all backends agree as far as the dtype allows."""
        return all(row.agrees for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as what JSON knows; a number that is not finite becomes None."""
        rows = [asdict(row) | {"agrees": row.agrees} for row in self.rows]
        whole = asdict(self) | {
            "agree": self.agree,
            "reference": self.rows[0].backend,
            "rows": rows,
        }
        return _json(whole)

    def __str__(self) -> str:
        """Return the table that the command prints."""
        return "\n".join([*self._heading(), "", *self._table(), "", *self._conclusion()])

    def _heading(self) -> list[str]:
        s = self.settings
        limit = s["largest_stable_rate"]
        stable = "" if limit is None else f", stable up to {limit:.6g}"
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return [
            f"{s['target']} from {s['features']} features of {s['rows']} rows, "
            "standardised, with an intercept",
            f"{s['steps']} steps of {s['optimizer']}, learning rate {s['learning_rate']:.6g}{stable}",
            f"{s['dtype']} on {s['device']}, seed {s['seed']}; {versions}",
        ]

    def _table(self) -> list[str]:
        reference = self.rows[0]
        head = [
            ["", "final", "weights off", "", "gradients off", "", "time", "", "time by"],
            ["backend", "loss", "absolute", "ulps", "absolute", "ulps", "per step", "compile",
             reference.backend],
        ]  # fmt: skip
        body = []
        for row in self.rows:
            differences = [row.parameters, row.gradients]
            cells = (
                ["reference", "", "reference", ""]
                if row is reference
                else [cell for each in differences for cell in _difference(each)]
            )
            timing = [_time(row.seconds_per_step), _time(row.compile_seconds), f"{row.ratio:.3g}"]
            body.append([row.backend, f"{row.final_loss:.8g}", *cells, *timing])
        allowed = [f"{d.allowed:.1e}" for d in (reference.parameters, reference.gradients)]
        foot = ["allowed", "", allowed[0], "", allowed[1], "", "", "", ""]
        lines = _aligned([*head, *body, foot])
        rule = "-" * max(map(len, lines))
        absent = [f"{name}: did not run, {reason}" for name, reason in self.absent.items()]
        return [*lines[:2], rule, *lines[2:-1], rule, lines[-1], *absent]

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
        others = len(self.rows) - 1
        if not others:
            verdict = "Only one backend ran: there was nothing to compare it with."
        elif self.agree:
            verdict = f"All {others + 1} backends agree as far as {self.settings['dtype']} allows."
        else:
            wrong = ", ".join(_disagreement(row) for row in self.rows if not row.agrees)
            verdict = f"DISAGREEMENT by more than {self.settings['dtype']} allows: {wrong}."
        return [exact, verdict]


def _disagreement(row: Row) -> str:
    wrong = [what for what, difference in row.differences().items() if not difference.agrees]
    return f"{row.backend} ({', '.join(wrong)})"


def _difference(difference: Difference) -> list[str]:
    mark = "" if difference.agrees else " !"
    return [f"{difference.absolute:.1e}{mark}", f"{difference.ulps:.3g}"]


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
