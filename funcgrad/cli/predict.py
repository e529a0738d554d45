"""`funcgrad predict`: the predictions of a saved model, for files of any size."""

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from funcgrad.cli.common import Commands, note, refuse


def add_command(commands: Commands) -> None:
    """Add `predict` to the command line."""
    parser = commands.add_parser(
        "predict",
        help="predict with a model that `funcgrad fit` saved",
        description=(
            "Prints one prediction for each row of the data, as a CSV column under the target's name. "
            "The data needs the model's features, by name, and may have other columns."
        ),
    )
    parser.set_defaults(run=_predict)
    parser.add_argument("data", type=Path, metavar="DATA", help="a file or folder, as for `fit`")
    parser.add_argument(
        "--model", type=Path, required=True, metavar="FILE", help="what `fit --out` wrote"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write there instead of to the standard output"
    )


def _predict(options: argparse.Namespace) -> int:
    import numpy as np

    from funcgrad.cli.model_file import load_model
    from funcgrad.datasets import DataError, Stream

    try:
        model = load_model(options.model)
        stream = Stream(options.data, None, features=model.feature_names, dtype=np.float64)
        with ExitStack() as stack:
            output = sys.stdout
            partial = None
            if options.out is not None:
                partial = options.out.with_name(options.out.name + ".partial")
                output = stack.enter_context(partial.open("w", encoding="utf-8"))
                stack.callback(partial.unlink, missing_ok=True)
            rows = 0
            print(_quoted(model.target_name), file=output)
            for x, _ in stream:
                predicted = x @ model.weights + model.bias
                output.write("\n".join(map(repr, predicted.tolist())) + "\n")
                rows += len(predicted)
            output.flush()
            if partial is not None:
                os.fsync(output.fileno())
                os.replace(partial, options.out)
    except (DataError, ImportError) as error:
        return refuse("predict", error)
    except BrokenPipeError:
        raise
    except OSError as error:
        return refuse("predict", f"{error.filename or options.out}: {error.strerror or error}")
    if options.out is not None:
        note("predict", f"{rows} predictions written to {options.out}")
    return 0


def _quoted(name: str) -> str:
    """Return a column's name as CSV has it."""
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"\n\r') else name
