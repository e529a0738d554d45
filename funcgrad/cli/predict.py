"""`funcgrad predict`: the predictions of a saved model, for files of any size."""

import argparse
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from funcgrad.cli.common import Commands, add_csv_options, csv_options, note, printable, refuse


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
        stream = Stream(
            options.data,
            None,
            features=model.columns,
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
            header = ",".join(map(_quoted, (model.target_name, *model.class_columns)))
            output.write((printable(header) if output.isatty() else header) + "\n")
            classes = np.asarray([_quoted(each) for each in model.classes])
            for x, _ in stream:
                predicted = model.predict(x)
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
    if stream.dropped:
        note("predict", f"{stream.dropped} rows dropped for missing values")
    return 0


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
