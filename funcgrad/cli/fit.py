"""`funcgrad fit`: a linear regression on files of any size, saved for `funcgrad predict`.

Without `--optimizer` it is the exact answer, from sums read once. With one, the same sums standardise the
features, and the model is trained on batches.
"""

import argparse
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from funcgrad.cli import cluster
from funcgrad.cli.common import DISAGREEMENT, Commands, add_csv_options, note, printable, refuse

_OPTIMIZERS = ("sgd", "momentum", "adam")
# A training's defaults. The exact answer uses none of them.
_TRAINING: dict[str, Any] = {"learning_rate": 0.01, "epochs": 10, "batch_size": 1024, "seed": 0}


def add_command(commands: Commands) -> None:
    """Add `fit` to the command line."""
    parser = commands.add_parser(
        "fit",
        help="fit a linear regression to files of any size, and save the model",
        description=(
            "Fits a linear regression with an intercept and saves it as a .npz archive that NumPy reads. "
            "The data is read in part, within a bound on memory, while the part before is worked on."
        ),
        epilog=(
            "A run that was killed goes on with --resume and ends, bit for bit, where it would have; with "
            "more --epochs it goes on from its end. No file that is read is written over. "
            "Exit status: 0 for success, 1 if the training diverged, 2 if the input cannot be used, "
            "3 if another process of the run was lost, 130 after Ctrl-C."
        ),
    )
    parser.set_defaults(run=_fit)
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="a .csv, .tsv, .txt (also .gz, .zst), .parquet, .npy or .npz file, or a folder of files of one kind, "
        "partitions such as year=2024/ included",
    )
    parser.add_argument(
        "--target", required=True, metavar="COLUMN", help="the column to regress on the others"
    )
    parser.add_argument(
        "--features",
        metavar="COLUMNS",
        help="the columns to regress on, separated by commas, a name with a comma in quotes "
        "(default: all others that have a name)",
    )
    parser.add_argument(
        "--categorical",
        metavar="COLUMNS",
        help="the features that are categories, text or numbers; the model keeps their levels, and predict refuses "
        "others. A target of two classes too, with --family binomial: predictions are the share of the last in order",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="where to save the model"
    )
    parser.add_argument(
        "--missing",
        choices=("refuse", "drop"),
        default="refuse",
        help="refuse missing values, or drop the rows that have any and count them "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--ridge",
        type=float,
        metavar="PENALTY",
        help="add PENALTY times the sum of the squared weights to the sum of squared errors, or to the deviance of a "
        "family",
    )
    parser.add_argument(
        "--weights", metavar="COLUMN", help="how much each row counts, 0 or more; no feature then"
    )
    parser.add_argument(
        "--family",
        choices=("gaussian", "binomial", "multinomial", "poisson", "gamma", "huber", "quantile"),
        default="gaussian",
        help="the distribution of the target given its mean; predictions are means. That of multinomial is of classes, "
        "text or numbers: predictions are the likeliest class, and the probability of each. Or huber, which outliers "
        "do not move, or quantile (default: %(default)s)",
    )
    parser.add_argument(
        "--quantile",
        type=float,
        metavar="LEVEL",
        help="which quantile --family quantile predicts (default: 0.5)",
    )
    parser.add_argument(
        "--link", help="of the mean, such as log or probit (default: the usual one of the family)"
    )
    parser.add_argument(
        "--exposure",
        metavar="COLUMN",
        help="for how long or how many each row's target was counted, such as person-years; no feature then. For the "
        "link log; predictions are for an exposure of 1, unless `predict` has --exposure too",
    )
    parser.add_argument(
        "--offset",
        metavar="COLUMN",
        help="is added to the linear prediction of each row as it is; no feature then. Predictions are for an offset of 0, "
        "unless `predict` has --offset too",
    )
    parser.add_argument(
        "--memory",
        type=int,
        default=256,
        metavar="MIB",
        help="a bound on the rows and sums held in memory at any time (default: %(default)s)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no report")
    inference = parser.add_argument_group("how sure the model is")
    inference.add_argument(
        "--summary",
        action="store_true",
        help="print standard errors, t, p, confidence intervals, AIC, BIC, F, VIF, ... as a table",
    )
    inference.add_argument(
        "--errors",
        choices=("classical", "HC0", "HC1", "HC2", "HC3"),
        help="the kind of standard errors (default: classical)",
    )
    inference.add_argument(
        "--cluster",
        metavar="COLUMN",
        help="standard errors for rows that depend on one another within the groups that this column numbers",
    )
    training = parser.add_argument_group("training, instead of the exact answer")
    training.add_argument("--optimizer", choices=_OPTIMIZERS, help="as PyTorch defines them")
    for name, kind, metavar, meaning in (
        ("learning_rate", float, "RATE", ""),
        ("epochs", int, "N", "how often to go through the rows "),
        ("batch_size", int, "ROWS", "rows in each step, over all processes "),
        ("seed", int, "N", "the seed for the order of the rows "),
    ):
        training.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            metavar=metavar,
            help=f"{meaning}(default: {_TRAINING[name]})",
        )
    add_csv_options(parser)
    safety = parser.add_argument_group("checkpoints")
    safety.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="where to save the run on the way (default: the model's name and .checkpoint)",
    )
    safety.add_argument(
        "--checkpoint-every",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="the least time between two checkpoints (default: %(default)s)",
    )
    safety.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint, if there is one"
    )
    cluster.add_options(parser)


def _fit(options: argparse.Namespace) -> int:
    options.for_training = [name for name in _TRAINING if getattr(options, name) is not None]
    for name in _TRAINING.keys() - set(options.for_training):
        setattr(options, name, _TRAINING[name])
    wrong = cluster.problem(options)
    if wrong:
        return refuse("fit", wrong)
    if cluster.wanted(options):
        return cluster.supervised("fit", partial(_run, options))
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    # Imported here, so that --help and a mistyped option need not wait for JAX.
    from funcgrad.cli.fitting import Divergence, OptionError, run
    from funcgrad.datasets import DataError
    from funcgrad.files import OverlapError
    from funcgrad.training import CheckpointError, CheckpointWarning

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        note("fit", f"warning: {message}")

    try:
        with warnings.catch_warnings():
            for shown in (CheckpointWarning, RuntimeWarning):
                warnings.simplefilter("always", shown)
            warnings.showwarning = show
            report = run(options)
    except (DataError, OptionError, OverlapError, CheckpointError, ImportError) as error:
        return refuse("fit", error)
    except Divergence as error:
        return refuse("fit", error, DISAGREEMENT)
    except OSError as error:
        return refuse("fit", f"{error.filename or options.out}: {error.strerror or error}")
    except (RuntimeError, ValueError) as error:
        if not cluster.is_loss(error):
            raise
        return cluster.tell_loss("fit", error)
    if report is not None and not options.quiet:
        print(printable(report))
    return 0
