"""Prints the regression beside its peers: `pip install -e ".[peers]" && python -m tests.benchmarks.regression_peers`.

Each row is one model on the same numbers: the seconds of ours and of the peer's, in turns within one run, their ratio
with its 95 % interval, to how many digits the parameters agree, and what our first call takes beyond the others. The last rows
are whole processes, with imports; `--fresh` prints these alone, and `--only` chooses rows. A row whose peer is not
installed names it.
"""

import argparse
import importlib
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from funcgrad import fit, regression
from funcgrad.compare import speed
from funcgrad.compare.tables import seconds as scaled
from funcgrad.regression import Linear


class Case(NamedTuple):
    """One line: both return the parameters as one vector, or nothing to compare."""

    name: str
    peer: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]


@cache
def data(rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Independent features, a linear target and noise, in float64."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, features))
    return x, 1 + x @ random.standard_normal(features) / 4 + random.standard_normal(rows)


def flat(params: Any) -> np.ndarray:
    """The bias and the weights of ours, or of an estimator's."""
    if hasattr(params, "coef_"):
        return np.append(params.intercept_, params.coef_)
    if isinstance(params, Linear):
        return np.append(np.asarray(params.bias), np.asarray(params.weights))
    return np.asarray(params)


def linear(name: str, **options: Any) -> Any:
    """An estimator of scikit-learn's."""
    return getattr(importlib.import_module("sklearn.linear_model"), name)(**options)


def with_ones(x: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(x)), x])


def statsmodels() -> Any:
    return importlib.import_module("statsmodels.api")


def optax_by_hand(x: np.ndarray, y: np.ndarray, steps: int) -> Linear:
    """Gradient descent on the mean squared error as anyone would write it."""
    with jax.enable_x64(True):
        rows, targets = jax.numpy.asarray(x), jax.numpy.asarray(y)
        optimizer = optax.sgd(0.1)

        def loss(params: Linear) -> Any:
            return jax.numpy.square(rows @ params.weights + params.bias - targets).mean()

        @jax.jit
        def step(params: Linear, state: Any) -> Any:
            updates, state = optimizer.update(jax.grad(loss)(params), state)
            return optax.apply_updates(params, updates), state

        params = Linear(jax.numpy.zeros(x.shape[1]), jax.numpy.zeros(()))
        state = optimizer.init(params)
        for _ in range(steps):
            params, state = step(params, state)
        return jax.block_until_ready(params)


def lineax(x: np.ndarray, y: np.ndarray) -> Any:
    module = importlib.import_module("lineax")
    with jax.enable_x64(True):
        operator = module.MatrixLinearOperator(jax.numpy.asarray(with_ones(x)))
        return module.linear_solve(operator, jax.numpy.asarray(y), module.QR()).value


def rows() -> Iterator[Case]:
    """The rows that are timed in this process."""
    x, y = data(100_000, 20)
    labels, counts = (y > 1).astype(float), np.floor(np.exp(np.clip(y, -5, 3)))
    small, few = data(2_000, 5)

    def least_squares(**options: Any) -> Callable[[], Any]:
        return lambda: regression.least_squares(x, y, intercept=True, **options).params

    exact, rough = least_squares(), least_squares(accuracy="fast")
    theirs = lambda: linear("LinearRegression").fit(x, y)  # noqa: E731
    yield Case("least squares, 1e5 x 20", "scikit-learn", exact, theirs)
    yield Case('the same, accuracy="fast"', "scikit-learn", rough, theirs)
    yield Case("least squares, 1e5 x 20", "lineax", exact, lambda: lineax(x, y))
    yield Case(
        "its summary, robust errors (HC3)",
        "statsmodels",
        lambda: regression.summary(x, y, intercept=True, errors="HC3").standard_errors,
        lambda: statsmodels().OLS(y, with_ones(x)).fit(cov_type="HC3").bse,
    )
    yield Case(
        "ridge",
        "scikit-learn",
        lambda: regression.ridge(regression.moments(x, y), 10.0, intercept=True),
        lambda: linear("Ridge", alpha=10.0).fit(x, y),
    )
    yield Case(
        "lasso",
        "scikit-learn",
        lambda: regression.lasso(regression.moments(x, y), 0.05, intercept=True),
        lambda: linear("Lasso", alpha=0.05, tol=1e-12, max_iter=10**5).fit(x, y),
    )
    for family, target in (("binomial", labels), ("poisson", counts)):
        yield Case(
            f"glm, {family}",
            "statsmodels",
            lambda f=family, t=target: regression.glm(x, t, f, intercept=True).params,
            lambda f=family, t=target: (
                statsmodels()
                .GLM(t, with_ones(x), getattr(statsmodels().families, f.title())())
                .fit(tol=1e-12, tol_criterion="params")
                .params
            ),
        )
    yield Case(
        "glm, binomial",
        "scikit-learn",
        lambda: regression.glm(x, labels, "binomial", intercept=True).params,
        lambda: linear("LogisticRegression", C=np.inf, tol=1e-10, max_iter=1000).fit(x, labels),
    )
    many, of_many = data(1_000_000, 20)
    classes = (of_many > 1).astype(float)
    for accuracy, tolerance in (("at equal accuracy", 1e-10), ("at its default tolerance", 1e-4)):
        yield Case(
            f"logistic, 1e6 x 20, {accuracy}",
            "scikit-learn",
            lambda: regression.glm(many, classes, "binomial", intercept=True).params,
            lambda t=tolerance: linear("LogisticRegression", C=np.inf, tol=t, max_iter=1000).fit(
                many, classes
            ),
        )
    yield Case(
        "huber",
        "scikit-learn",
        lambda: regression.huber(x, y, intercept=True).params,
        lambda: linear("HuberRegressor", alpha=0.0, tol=1e-9, max_iter=1000).fit(x, y),
    )
    yield Case(
        "quantile 0.9, 2000 x 5",
        "scikit-learn",
        lambda: regression.quantile(small, few, 0.9, intercept=True).params,
        lambda: linear("QuantileRegressor", quantile=0.9, alpha=0.0).fit(small, few),
    )
    start = Linear(np.zeros(20), np.zeros(()))
    yield Case(
        "100 steps of gradient descent",
        "optax by hand",
        lambda: fit(regression.loss, start, x, y, optimizer=_SGD, steps=100).params,
        lambda: optax_by_hand(x, y, 100),
    )


_SGD = optax.sgd(0.1)

# Whole programs, as somebody would write them: ours, and the peer's.
_SHELL = (
    "from funcgrad.cli import main\n"
    "main(['fit', 'PATH', '--target', 'y', '--out', '/dev/null', '--quiet'])"
)
_DATA = (
    "import jax, numpy as np, optax\nfrom funcgrad import datasets, fit, regression\n"
    "d = datasets.load_diabetes()\nx = (d.x - d.x.mean(0)) / d.x.std(0)\nkey = jax.random.key(0)\n"
    "start = regression.Linear(np.zeros(10), np.zeros(()))\n"
)
_BY_HAND = (
    _DATA + "jax.config.update('jax_enable_x64', True)\n"
    "def loss(params, x, y): return ((x @ params[0] + params[1] - y) ** 2).mean()\n"
    "state, params = optimizer.init(start), start\n"
    "for _ in range(STEPS):\n    params, state = step(params, state)\n"
    "print(float(params[0][0]))"
)
_MINI_BATCHES = (
    "optimizer, batch = optax.adam(0.1), np.random.default_rng(0).integers(0, 442, 32)\n"
    "@jax.jit\ndef step(params, state):\n"
    "    updates, state = optimizer.update(jax.grad(loss)(params, x[batch], d.y[batch]), state)\n"
    "    return optax.apply_updates(params, updates), state\n"
)
_LBFGS = (
    "optimizer = optax.lbfgs()\nvalue = lambda params: loss(params, x, d.y)\n"
    "@jax.jit\ndef step(params, state):\n"
    "    l, g = optax.value_and_grad_from_state(value)(params, state=state)\n"
    "    updates, state = optimizer.update(g, state, params, value=l, grad=g, value_fn=value)\n"
    "    return optax.apply_updates(params, updates), state\n"
)


def _by_hand(step: str, steps: int) -> str:
    """A loop of optax as somebody would write it."""
    return _BY_HAND.replace("state, params", step + "state, params", 1).replace("STEPS", str(steps))


FRESH = {
    "fit by mini-batches, 442 x 10, a fresh process": (
        _DATA + "r = fit(regression.loss, start, x, d.y, optimizer=optax.adam(0.1), steps=1000, "
        "batch_size=32, key=key)\nprint(float(r.params.weights[0]))",
        _by_hand(_MINI_BATCHES, 1000),
    ),
    "fit by L-BFGS, 442 x 10, a fresh process": (
        _DATA + "r = fit(regression.loss, start, x, d.y, optimizer=optax.lbfgs(), steps=30)\n"
        "print(float(r.params.weights[0]))",
        _by_hand(_LBFGS, 30),
    ),
    "the estimator, 442 x 10, a fresh process": (
        "from sklearn.datasets import load_diabetes\nfrom funcgrad.sklearn import LinearRegression\n"
        "print(LinearRegression().fit(*load_diabetes(return_X_y=True)).coef_[0])",
        "from sklearn.datasets import load_diabetes\nfrom sklearn.linear_model import LinearRegression\n"
        "print(LinearRegression().fit(*load_diabetes(return_X_y=True)).coef_[0])",
    ),
    "fit, 442 x 10, a fresh process": (
        "import numpy as np, optax\nfrom funcgrad import datasets, fit, regression\n"
        "d = datasets.load_diabetes()\nx = (d.x - d.x.mean(0)) / d.x.std(0)\n"
        "start = regression.Linear(np.zeros(10), 0.0)\n"
        "r = fit(regression.loss, start, x, d.y, optimizer=optax.sgd, learning_rate='auto', steps=1000)\n"
        "print(float(r.params.weights[0]))",
        "from sklearn.datasets import load_diabetes\nfrom sklearn.linear_model import SGDRegressor\n"
        "x, y = load_diabetes(return_X_y=True)\n"
        "print(SGDRegressor(max_iter=1000, tol=None).fit(x / x.std(0), y).coef_[0])",
    ),
    "CSV 400,000 x 21, fit from the shell, beside pandas": (
        _SHELL,
        "import pandas\nfrom sklearn.linear_model import LinearRegression\n"
        "t = pandas.read_csv('PATH', engine='pyarrow')\n"
        "print(LinearRegression().fit(t.drop(columns='y'), t['y']).coef_[0])",
    ),
    "CSV 400,000 x 21, fit from the shell, beside polars": (
        _SHELL,
        "import polars\nfrom sklearn.linear_model import LinearRegression\n"
        "t = polars.read_csv('PATH')\n"
        "print(LinearRegression().fit(t.drop('y'), t['y']).coef_[0])",
    ),
}


@cache
def written() -> str:
    """The path of a CSV file of 400,000 rows."""
    x, y = data(400_000, 20)
    path = Path(mkdtemp()) / "table.csv"
    names = ",".join([*(f"x{j}" for j in range(20)), "y"])
    np.savetxt(path, np.column_stack([x, y]), "%.8g", ",", header=names, comments="")
    return str(path)


def fresh(name: str) -> Case:
    """A row of whole processes."""
    sources = FRESH[name]
    if any("PATH" in each for each in sources):
        path = written()
        sources = sources[0].replace("PATH", path), sources[1].replace("PATH", path)

    def run(source: str) -> None:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        environment = os.environ | {"PYTHONPATH": path}
        subprocess.run(
            [sys.executable, "-c", source], check=True, capture_output=True, env=environment
        )

    peer = "scikit-learn" if "sklearn" in sources[1] else "optax by hand"
    if "polars" in name:
        peer = "polars, scikit-learn"
    return Case(name, peer, lambda: run(sources[0]), lambda: run(sources[1]))


def line(row: Case, rounds: int) -> str:
    """Time a row, and compare the parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = speed({row.peer: row.theirs, "ours": row.ours}, rounds=rounds, round_seconds=0.0)
        ours, theirs = row.ours(), row.theirs()
    agree = "-"
    if ours is not None:
        ours, theirs = flat(ours), flat(theirs)
        wrong = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        agree = f"{min(16.0, -math.log10(max(wrong, 1e-16))):.1f}"
    mine, peer = report["ours"], report[row.peer]
    low, high = mine.interval
    return (
        f"| {row.name} | {row.peer} | {scaled(mine.median)} | {scaled(peer.median)} | {mine.ratio:.2f} "
        f"({low:.2f} to {high:.2f}) | {agree} | {scaled(mine.compile_seconds)} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fresh", action="store_true", help="whole processes alone")
    parser.add_argument("--only", default="", help="rows with this in their names")
    options = parser.parse_args()
    print("| model | peer | funcgrad | peer | ratio | digits in common | first call |")
    print("|---|---|---|---|---|---|---|")
    wanted = [] if options.fresh else [row for row in rows() if options.only in row.name]
    wanted += [fresh(name) for name in FRESH if options.only in name]
    for row in wanted:
        missing = {name for name in ("lineax", "polars") if name in f"{row.name} {row.peer}"}
        missing = {name for name in missing if not find_spec(name)}
        if missing:
            print(f"| {row.name} | {row.peer} | {', '.join(missing)} is not installed |")
        else:
            print(line(row, options.rounds), flush=True)


if __name__ == "__main__":
    main()
