"""`funcgrad predict`: the predictions of a saved model, for files of any size."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from funcgrad.cli.common import Commands, add_csv_options, csv_options, note, printable, refuse

if TYPE_CHECKING:
    from funcgrad.models import Model


def add_command(commands: Commands) -> None:
    """Add `predict` to the command line."""
    parser = commands.add_parser(
        "predict",
        help="predict with a model that `funcgrad fit` saved",
        description=(
            "Prints one prediction for each row of the data, as a CSV column under the target's name; of a "
            "multinomial model the likeliest class, and beside it the probability of each. "
            "The data needs the model's features, by name, and may have other columns."
        ),
    )
    parser.set_defaults(run=_predict)
    parser.add_argument("data", type=Path, metavar="DATA", help="a file or folder, as for `fit`")
    parser.add_argument(
        "--model", type=Path, required=True, metavar="FILE", help="what `fit --out` wrote"
    )
    parser.add_argument(
        "--missing",
        choices=("refuse", "drop"),
        default="refuse",
        help="refuse missing values, or leave out the rows that have any and count them "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--exposure",
        metavar="COLUMN",
        help="for how long or how many each row is counted, for a model of the link log (default: 1 for each row)",
    )
    parser.add_argument(
        "--offset",
        metavar="COLUMN",
        help="is added to the linear prediction of each row (default: 0)",
    )
    add_csv_options(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write there instead of to the standard output; not a file that is read",
    )


def _predict(options: argparse.Namespace) -> int:
    import numpy as np

    from funcgrad.datasets import DataError, Stream
    from funcgrad.files import OverlapError, refuse_overlap
    from funcgrad.models import load_model

    try:
        csv = csv_options(options)
    except ValueError as error:
        return refuse("predict", f"--{error}")
    try:
        model = load_model(options.model)
        beside = {
            name: getattr(options, name)
            for name in ("exposure", "offset")
            if getattr(options, name) is not None
        }
        wrong = _problem(model, beside)
        if wrong:
            raise DataError(wrong)
        stream = Stream(
            options.data,
            None,
            features=[*model.columns, *beside.values()],
            categorical=model.levels,
            dtype=np.float64,
            missing=options.missing,
            csv=csv,
        )
        if stream.detected and options.out is not None:
            note("predict", f"read with {stream.detected}")
        if options.out is not None:
            refuse_overlap({"--out": options.out}, [options.model, options.data, *stream.files])
        rows = 0
        with _output(options.out) as output:
            name = model.target_name if beside else model.prediction_name
            header = ",".join(map(_quoted, (name, *model.class_columns)))
            output.write((printable(header) if output.isatty() else header) + "\n")
            classes = np.asarray([_quoted(each) for each in model.classes])
            for x, _ in stream:
                features, others = np.split(x, [len(model.feature_names)], axis=1)
                predicted = model.predict(features, **dict(zip(beside, others.T, strict=True)))
                cells = [predicted] if not model.classes else [*predicted.T]
                lines: Any = zip(*(map(repr, each.tolist()) for each in cells), strict=True)
                if model.classes:
                    likeliest = classes[predicted.argmax(axis=1)].tolist()
                    lines = ((name, *more) for name, more in zip(likeliest, lines, strict=True))
                output.write("\n".join(map(",".join, lines)) + "\n")
                rows += len(predicted)
            output.flush()
    except (DataError, OverlapError, ImportError) as error:
        return refuse("predict", error)
    except BrokenPipeError:
        raise
    except OSError as error:
        return refuse("predict", f"{error.filename or options.out}: {error.strerror or error}")
    if options.out is not None:
        note("predict", f"{rows} predictions written to {options.out}")
    for name, meant in (("exposure", "an exposure of 1"), ("offset", "an offset of 0")):
        fitted = getattr(model, name)
        if fitted and not beside:
            note("predict", f"predictions are for {meant}: --{name} {fitted} uses that column")
    if stream.dropped:
        note("predict", f"{stream.dropped} rows dropped for missing values")
    return 0


def _problem(model: Model, beside: Mapping[str, str]) -> str | None:
    """Say why a model cannot predict with these columns beside its features."""
    if len(beside) > 1:
        return "--exposure is an --offset, its logarithm: give one of the two"
    for name, column in beside.items():
        if column in model.columns:
            return f"--{name} {column}: the column is one of the model's features"
        if model.classes:
            return f"--{name}: a model of several classes has none"
        if name == "exposure" and model.link != "log":
            return f"--exposure: for models of the link log, and this is {model.link}"
    return None


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Give what to print to: the standard output, or a file that is there when all is written."""
    from funcgrad.files import replacing

    if path is None:
        yield sys.stdout
        return
    with replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n", write_through=True)
        yield text
        text.detach()


def _quoted(name: str) -> str:
    """Return a column's name as CSV has it."""
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"\n\r') else name
