"""`funcgrad compare`: the same regression on several backends, or two functions; a report of how far they are apart."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from funcgrad.cli.common import (
    DISAGREEMENT,
    Commands,
    printable,
    refuse,
    showing_progress,
    write_page,
)

# The options of one kind of comparison, which the other refuses.
_OF_FUNCTIONS = ("inputs", "exact", "order", "trajectory")
_OF_DATA = ("target", "backends", "optimizer", "learning_rate", "dtype", "rounds")


def add_command(commands: Commands) -> None:
    """Add `compare` to the command line."""
    parser = commands.add_parser(
        "compare",
        help="do backends, or two functions of yours, agree as far as rounding allows?",
        description=(
            "Trains the same linear regression from the same initial weights on each backend, then "
            "prints how far their results are apart and how long they took. The features are "
            "standardised, the model has an intercept, every step uses all rows. With two functions, "
            "such as before.py:loss after.py:loss, it compares their values and gradients instead."
        ),
        epilog=(
            "Exit status: 0 if they agree as far as rounding allows, 1 if they do not, "
            "2 if the input cannot be used."
        ),
    )
    parser.set_defaults(run=_compare)
    parser.add_argument(
        "data",
        nargs="*",
        metavar="FILE",
        help="two functions, each FILE.py:NAME; or a CSV file whose first line names the columns, or a .npz file with a matrix x and a "
        "vector y, or with one vector per column; without one, the diabetes study that ships",
    )
    parser.add_argument("--target", metavar="COLUMN", help="the column to regress on the others")
    parser.add_argument(
        "--backends",
        metavar="NAMES",
        help="which to run, separated by commas: pytorch, shim, jax, jax-loop (default: all); the "
        "first that can run is the reference",
    )
    parser.add_argument(
        "--optimizer",
        default="sgd",
        help="sgd, momentum or adam, as PyTorch defines them (default: %(default)s)",
    )
    parser.add_argument(
        "--learning-rate",
        type=_learning_rate,
        default="auto",
        metavar="RATE",
        help="a number, or auto for one that suits the data (default: %(default)s)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="steps to take (default: 1000, and 100 of --trajectory)",
    )
    parser.add_argument(
        "--dtype", default="float32", help="float32 or float64 (default: %(default)s)"
    )
    parser.add_argument(
        "--device",
        help="cpu, gpu, tpu, or one of several: gpu:1 (default: the one that JAX prefers)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="what the initial weights are drawn from (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        metavar="N",
        help="trainings of each backend to time (default: %(default)s)",
    )
    functions = parser.add_argument_group("two functions")
    functions.add_argument(
        "--inputs",
        metavar="FILE",
        help="what both are given: a .npz file with an array for each argument, where params/w1 is "
        "an entry of a dict and state/0 of a tuple; or FILE.py:NAME, a function that returns them",
    )
    functions.add_argument(
        "--exact",
        default="",
        metavar="NAMES",
        help="the arguments that rounding must not move, such as labels of zeros and ones, separated by commas",
    )
    functions.add_argument(
        "--order",
        type=int,
        default=1,
        choices=[0, 1, 2],
        help="0 compares values, 1 gradients, 2 Hessians too (default: %(default)s)",
    )
    functions.add_argument(
        "--trajectory",
        action="store_true",
        help="the functions are steps, (state, batch) -> (state, loss): compare whole trainings",
    )
    parser.add_argument(
        "--html", metavar="FILE", help="write the report as a page, which needs no other file"
    )
    parser.add_argument(
        "--lang", default="en", choices=["en", "fr"], help="the page's language (default: en)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the report as JSON, and nothing else"
    )
    usual = {name: parser.get_default(name) for name in (*_OF_FUNCTIONS, *_OF_DATA)}
    parser.set_defaults(usual=usual)


def _learning_rate(text: str) -> float | Literal["auto"]:
    try:
        return "auto" if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor auto") from None


def _compare(options: argparse.Namespace) -> int:
    # Imported here, so that --help and a mistyped option need not wait for JAX.
    from funcgrad.compare import OptionError, compare, page
    from funcgrad.compare.drawings import can_lay_out
    from funcgrad.compare.graphs import draw_regression
    from funcgrad.compare.markup import require_libraries
    from funcgrad.datasets import DataError, load_diabetes, load_file
    from funcgrad.files import OverlapError, refuse_overlap

    if options.html is not None:
        read = [*options.data, *([] if options.inputs is None else [options.inputs])]
        try:
            refuse_overlap({"--html": Path(options.html)}, map(_file_of, read))
            require_libraries()
        except (OverlapError, OptionError, OSError) as error:
            return refuse("compare", error)
    if any(".py" in each for each in options.data):
        if len(options.data) != 2:
            return refuse(
                "compare", "two functions are compared: the reference, then the candidate"
            )
        from funcgrad.cli.functions import compare_functions

        if wrong := _given(options, _OF_DATA):
            return refuse("compare", f"{wrong} is for data: two functions are compared as they are")
        return compare_functions(options)
    if wrong := _given(options, _OF_FUNCTIONS):
        return refuse("compare", f"{wrong} is for two functions, each FILE.py:NAME")
    if len(options.data) > 1:
        return refuse("compare", "give one file of data, or two functions, each FILE.py:NAME")
    try:
        if not options.data:
            data = load_diabetes(options.target or "progression")
        else:
            data = load_file(options.data[0], options.target)
        named = options.backends
        backends = None if named is None else [name.strip() for name in named.split(",")]
        with showing_progress() as say:
            report = compare(
                data.x,
                data.y,
                feature_names=data.feature_names,
                target_name=data.target_name,
                backends=backends,
                optimizer=options.optimizer,
                learning_rate=options.learning_rate,
                steps=1000 if options.steps is None else options.steps,
                dtype=options.dtype,
                device=options.device,
                seed=options.seed,
                rounds=options.rounds,
                curves=options.html is not None,
                progress=say,
            )
            if options.html is not None:
                graphs = draw_regression(*data.x.shape) if can_lay_out() else None
                write_page(options.html, page(report, options.lang, graphs))
    except (DataError, OptionError, OSError) as error:
        return refuse("compare", error)
    print(json.dumps(report.to_dict(), indent=2) if options.json else printable(report))
    return 0 if report.agree else DISAGREEMENT


def _file_of(spelling: str) -> Path:
    """The file of `FILE` or of `FILE.py:NAME`."""
    file, colon, _ = spelling.rpartition(".py:")
    return Path(f"{file}.py" if colon else spelling)


def _given(options: argparse.Namespace, names: Sequence[str]) -> str | None:
    """The first of these options that is given, as it is spelled; None if none is."""
    given = (name for name in names if getattr(options, name) != options.usual[name])
    name = next(given, None)
    return None if name is None else f"--{name.replace('_', '-')}"
