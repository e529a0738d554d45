"""`funcgrad fit` with options that need all rows at once: weights, families, robust fits, a summary of the errors."""

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from funcgrad import regression
from funcgrad.cli import cluster
from funcgrad.datasets import DataError, Stream
from funcgrad.models import Model
from funcgrad.regression import Linear
from funcgrad.regression.families import Family, family_of
from funcgrad.regression.generalised import mean_without_features

# The solver and the summary hold about as many copies of the rows.
_COPIES = 16
# Fits by name that are no likelihood: the function of the options that fits (x, y), and predictions are linear.
_ROBUST: dict[str, Callable[[argparse.Namespace], Callable[..., Any]]] = {
    "huber": lambda _: regression.huber,
    "quantile": lambda options: partial(
        regression.quantile, level=0.5 if options.quantile is None else options.quantile
    ),
}


def wanted(options: argparse.Namespace) -> list[str]:
    """Return the options given that need all rows, as they are spelled."""
    given = {
        "--summary": options.summary,
        "--family": options.family != "gaussian",
        "--quantile": options.quantile is not None,
        "--link": options.link is not None,
        "--exposure": options.exposure is not None,
        "--offset": options.offset is not None,
        "--errors": options.errors is not None,
        "--cluster": options.cluster is not None,
    }
    return [name for name, is_given in given.items() if is_given]


def problem(options: argparse.Namespace) -> str | None:
    """Say which of these options do not go together."""
    names = wanted(options)
    spelled = ", ".join(names)
    if names and options.optimizer is not None:
        return f"{spelled}: for the exact answer, so leave out --optimizer"
    if cluster.wanted(options) and names:
        return f"{spelled}: the rows are read by one process"
    if options.ridge is not None and options.summary:
        return "--summary: there are no standard errors of --ridge"
    if options.ridge is not None and options.family in _ROBUST:
        return f"--family {options.family}: it has no --ridge"
    if (options.errors or options.cluster) and not options.summary:
        return f"{spelled}: for the table that --summary prints"
    if options.errors and options.cluster:
        return "--cluster is a kind of standard errors: leave out --errors"
    if options.quantile is not None and options.family != "quantile":
        return "--quantile: for --family quantile"
    if options.exposure is not None and options.offset is not None:
        return "--exposure is an --offset, its logarithm: give one of the two"
    if options.family in (*_ROBUST, "multinomial"):
        has_none = {
            "--summary": options.summary,
            "--link": options.link is not None,
            "--exposure": options.exposure is not None,
            "--offset": options.offset is not None and options.family == "multinomial",
        }
        given = ", ".join(name for name, is_given in has_none.items() if is_given)
        return f"--family {options.family}: it has no {given}" if given else None
    try:
        link = family_of(options.family, options.link).link
    except ValueError as error:
        return f"--family, --link: {error}"
    if options.exposure is not None and link != "log":
        return f"--exposure: for the link log, such as that of --family poisson, and this is {link}"
    return None


class _Rows(NamedTuple):
    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    exposure: np.ndarray | None
    offset: np.ndarray | None
    groups: np.ndarray | None


class Fitted(NamedTuple):
    """A model, how many rows were dropped, the measures of its family, and the summary where it is asked for."""

    model: Model
    dropped: int
    measures: str | None
    summary: str | None


def fitted(
    options: argparse.Namespace, stream: Stream, open_stream: Callable[..., Stream], memory: int
) -> Fitted:
    """Fit a model to rows that are held at once.

    Raises:
        DataError: the rows do not fit into the memory allowed, or not the family.
    """
    beside = (options.weights, options.exposure, options.offset, options.cluster)
    others = list(dict.fromkeys(name for name in beside if name is not None))
    chosen = options.features is not None
    features = [name for name in stream.columns if chosen or name not in others]
    for name in others:
        if name in features or name == options.target:
            raise DataError(f"column {name!r} is a feature or the target already")
        if name in stream.levels:
            raise DataError(f"column {name!r} is a category, and numbers are needed there")
    if not features:
        raise DataError(f"there is no column but {options.target!r} to regress on")
    whole = open_stream(features=[*features, *others])
    names = whole.feature_names[: len(whole.feature_names) - len(others)]
    rows = _read(whole, len(names), options, memory)
    try:
        fit = _fit_classes if options.family == "multinomial" else _fit
        model, measures, text = fit(rows, options, names, whole.classes)
        return Fitted(model._replace(levels=whole.levels), whole.dropped, measures, text)
    except ValueError as error:
        raise DataError(str(error)) from None


def _read(stream: Stream, features: int, options: argparse.Namespace, memory: int) -> _Rows:
    parts, held = [], 0
    for x, y in stream:
        parts.append((x, y))
        held += x.nbytes * _COPIES
        if held > memory:
            needed = f"--memory {2 * held >> 20} or more"
            raise DataError(
                f"{', '.join(wanted(options))}: all rows are needed at once, which takes {needed}"
            )
    if not parts:
        raise DataError(f"{options.data}: no rows are left to fit")
    x, y = (np.concatenate(each) for each in zip(*parts, strict=True))
    others = dict(zip(stream.columns[::-1], x.T[::-1], strict=False))
    weights, exposure, offset, groups = (
        None if name is None else others[name]
        for name in (options.weights, options.exposure, options.offset, options.cluster)
    )
    return _Rows(np.ascontiguousarray(x[:, :features]), y, weights, exposure, offset, groups)


def _fit_classes(
    rows: _Rows, options: argparse.Namespace, names: tuple[str, ...], classes: tuple[str, ...]
) -> tuple[Model, str, None]:
    """Return the multinomial model of classes, which y numbers, and its measures."""
    x, labels = rows.x, rows.y.astype(int)
    y = np.eye(len(classes))[labels]
    answer = regression.glm(
        x, y, "multinomial", intercept=True, weights=rows.weights, penalty=options.ridge or 0.0
    )
    assert isinstance(answer.params, Linear)
    model = Model(
        weights=np.asarray(answer.params.weights),
        bias=np.asarray(answer.params.bias),
        feature_names=names,
        target_name=options.target,
        rows=len(y),
        loss=np.nan,
        r_squared=np.nan,
        family="multinomial",
        link="softmax",
        classes=classes,
    )
    counts = np.ones(len(y)) if rows.weights is None else rows.weights
    shares, alone = model.predict(x), np.average(y, axis=0, weights=counts)
    loss, variation = (
        float(np.average(np.square(y - each).sum(axis=1), weights=counts))
        for each in (shares, alone)
    )
    deviance, without = (
        -2 * float(counts @ np.log(each))
        for each in (shares[np.arange(len(y)), labels], alone[labels])
    )
    right = np.average(shares.argmax(axis=1) == labels, weights=counts)
    measures = [*_deviances(deviance, without), *_of_classes(deviance, counts, right)]
    return model._replace(loss=loss, r_squared=1 - loss / variation), ", ".join(measures), None


def _fit(
    rows: _Rows, options: argparse.Namespace, names: tuple[str, ...], classes: tuple[str, ...]
) -> tuple[Model, str | None, str | None]:
    x, y, weights, exposure, offset, groups = rows
    robust = _ROBUST.get(options.family)
    family = family_of("gaussian" if robust else options.family, options.link)
    linear = (family.name, family.link) == ("gaussian", "identity")
    if linear and offset is not None:  # its model is that of the rest
        y, offset = y - offset, None
    if robust is not None:
        params = robust(options)(x, y, intercept=True, weights=weights).params
    elif not linear:
        result = regression.glm(
            x,
            y,
            family.name,
            link=family.link,
            intercept=True,
            weights=weights,
            penalty=options.ridge or 0.0,
            exposure=exposure,
            offset=offset,
        )
        params = result.params
    elif options.ridge is not None:
        params = regression.ridge((x, y), options.ridge, intercept=True, weights=weights)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("always", np.exceptions.RankWarning)
            params = regression.least_squares(x, y, intercept=True, weights=weights).params
    assert isinstance(params, Linear)
    params = jax.tree.map(np.asarray, params)
    text = None
    if options.summary:
        summary = regression.summary(
            x,
            y,
            intercept=True,
            weights=weights,
            exposure=exposure,
            offset=offset,
            family=family.name,
            link=family.link,
            errors="cluster" if groups is not None else options.errors or "classical",
            groups=groups,
            feature_names=names,
            target_name=options.target,
        )
        text = str(summary)
    counts = np.ones(len(y)) if weights is None else weights
    added = offset if exposure is None else np.log(exposure)
    centre = mean_without_features(family, y, counts, added)
    with jax.enable_x64(True):
        prediction = x @ params.weights + params.bias
        mean = np.asarray(family.to_mean(prediction if added is None else prediction + added))
        loss, variation = (
            float(np.average(np.square(y - fitted), weights=counts)) for fitted in (mean, centre)
        )
        measures = None if family.name == "gaussian" else _measures(family, mean, centre, y, counts)
    model = Model(
        weights=params.weights,
        bias=float(params.bias),
        feature_names=names,
        target_name=f"{options.target}={classes[1]}" if classes else options.target,
        rows=len(y),
        loss=loss,
        r_squared=1 - loss / variation if variation else float("nan"),
        family=family.name,
        link=family.link,
        exposure=options.exposure or "",
        offset=options.offset or "",
    )
    return model, measures, text


def _measures(
    family: Family, mean: np.ndarray, alone: np.ndarray, y: np.ndarray, counts: np.ndarray
) -> str:
    """How good the fit of a family is, in its own measures: squares say little about counts and classes."""
    deviance = family.deviance(mean, y, counts)
    told = _deviances(deviance, family.deviance(alone, y, counts))
    if family.name == "binomial" and np.isin(y, (0, 1)).all():
        right = np.average((mean > 0.5) == (y == 1), weights=counts)
        told += _of_classes(deviance, counts, right)
    return ", ".join(told)


def _deviances(deviance: float, without: float) -> list[str]:
    return [f"deviance {deviance:.6g}", f"{without:.6g} without the features"]


def _of_classes(deviance: float, counts: np.ndarray, right: Any) -> list[str]:
    # A class as its own mean has no loss.
    return [f"log loss {deviance / (2 * np.sum(counts)):.6g}", f"accuracy {right:.4f}"]
