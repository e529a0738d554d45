"""Fitted models and their file, which `funcgrad fit` writes too: a NumPy `.npz` archive, whatever its name.

    format          the text "funcgrad linear model 1"
    weights         float64, shape (features,)
    bias            float64, shape ()
    feature_names   text, shape (features,): the columns, in the order of the weights
    target_name     text, shape ()
    rows            int64, shape (): how many the model was fitted to
    loss            float64, shape (): its mean squared error on them
    r_squared       float64, shape (): the share of their variance that it explains

A prediction is `x @ weights + bias`. Nothing in it is pickled: `numpy.load(path)` reads it. The format
"funcgrad linear model 2" has two more, and a prediction is the mean that the link gives for `x @ weights + bias`:

    family          text, shape (): such as "poisson"
    link            text, shape (): such as "log"

"funcgrad linear model 3" has these, and categories, whose features are 1 where a row is of that level:

    categories      text, shape (categories,): columns, of which "city" is features such as "city=Paris"
    level_counts    int64, shape (categories,): how many levels each has
    levels          text, shape (sum of level_counts,): those of each in turn; the first has no feature

"funcgrad linear model 4" has these, and several classes. Weights have shape (features, classes), the bias (classes,), and
a prediction is the probability of each class:

    classes         text, shape (classes,)

"funcgrad linear model 5" has the arrays of 3 and names of columns, empty where there was none. A prediction is for an exposure
of 1 and an offset of 0, unless they are given:

    exposure        text, shape (): for how long or how many each row's target was counted
    offset          text, shape (): was added to the linear prediction of each row
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from funcgrad.datasets import DataError, Dataset
from funcgrad.datasets.frames import features_of, is_frame
from funcgrad.datasets.levels import indicators
from funcgrad.files import ArchiveError, open_regular, read_archive, replacing

_FORMAT = "funcgrad linear model 1"
_WITH_FAMILY = "funcgrad linear model 2"
_WITH_CATEGORIES = "funcgrad linear model 3"
_WITH_CLASSES = "funcgrad linear model 4"
_WITH_OFFSETS = "funcgrad linear model 5"
_LEAST_SQUARES = {"family": "gaussian", "link": "identity"}
# A bound on a model file's unpacked size: a million features with short names.
_LARGEST = 1 << 26
# The kind of each array, its number of axes, and whether its numbers must be finite. R² is NaN where the
# target is constant, and the loss infinite where its square does not fit float64.
_ARRAYS = {
    "format": ("U", 0, False),
    "weights": ("f", 1, True),
    "bias": ("f", 0, True),
    "feature_names": ("U", 1, False),
    "target_name": ("U", 0, False),
    "rows": ("iu", 0, False),
    "loss": ("f", 0, False),
    "r_squared": ("f", 0, False),
}

_CATEGORIES = {
    "categories": ("U", 1, False),
    "level_counts": ("iu", 1, False),
    "levels": ("U", 1, False),
}
_OFFSETS = {"exposure": ("U", 0, False), "offset": ("U", 0, False)}
_CLASSES = {"weights": ("f", 2, True), "bias": ("f", 1, True), "classes": ("U", 1, False)}
_OF_FORM = {
    _FORMAT: _ARRAYS,
    _WITH_FAMILY: _ARRAYS,
    _WITH_CATEGORIES: _ARRAYS | _CATEGORIES,
    _WITH_CLASSES: _ARRAYS | _CATEGORIES | _CLASSES,
    _WITH_OFFSETS: _ARRAYS | _CATEGORIES | _OFFSETS,
}


class Model(NamedTuple):
    """A fitted linear model, or a generalised one.

    `levels` has those of each column that is a category; the first of them has no feature. A model of several
    `classes` has weights of shape (features, classes), and predicts the probability of each. `exposure` and `offset`
    name the columns that the fit had beside the features; "" stands for none.
    """

    weights: Float[np.ndarray, features * classes]
    bias: Any
    feature_names: tuple[str, ...]
    target_name: str
    rows: int
    loss: float
    r_squared: float
    family: str = "gaussian"
    link: str = "identity"
    levels: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    classes: tuple[str, ...] = ()
    exposure: str = ""
    offset: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a table needs: the features but for categories."""
        of = {
            each: name for name, levels in self.levels.items() for each in indicators(name, levels)
        }
        return tuple(dict.fromkeys(of.get(name, name) for name in self.feature_names))

    @property
    def class_columns(self) -> tuple[str, ...]:
        """The names of the classes' probabilities, such as "species=setosa"."""
        return tuple(f"{self.target_name}={each}" for each in self.classes)

    @property
    def prediction_name(self) -> str:
        """The name of predictions for an exposure of 1 and an offset of 0, such as "deaths per years"."""
        if self.exposure:
            return f"{self.target_name} per {self.exposure}"
        return f"{self.target_name} at {self.offset}=0" if self.offset else self.target_name

    def predict(self, x: Any, *, exposure: Any = None, offset: Any = None) -> Any:
        """Return predictions, on the scale of the target; of several classes the probability of each.

        Args:
            x: features, shape (rows, features); or a data frame, whose columns are taken by their names. Predictions
                for a frame of pandas are a series with its index, under the target's name; of several classes a frame
                with a column for each.
            exposure: for the link log, for how long or how many each row is counted, shape (rows,), greater than 0; 1
                unless given.
            offset: is added to the linear prediction of each row, shape (rows,); 0 unless given.

        Raises:
            DataError: a frame lacks a column, or has a value that cannot be used, such as a level unknown to the model;
                or the exposure or the offset cannot be one.
        """
        if is_frame(x):
            if exposure is not None or offset is not None:
                from funcgrad.regression.precision import check_indices  # which loads JAX

                try:
                    check_indices(x=x, exposure=exposure, offset=offset)
                except ValueError as error:
                    raise DataError(str(error)) from None
            features = features_of(x, self.columns, self.levels)
            predicted = self.predict(features, exposure=exposure, offset=offset)
            if not hasattr(x, "assign"):
                return predicted
            if self.classes:
                columns = dict(zip(self.class_columns, predicted.T, strict=True))
                return x.assign(**columns)[list(columns)]
            name = self.prediction_name if exposure is None and offset is None else self.target_name
            return x.assign(**{name: predicted})[name]
        x = np.asarray(x, np.float64)
        if x.shape[-1:] != self.weights.shape[:1]:
            raise DataError(
                f"x of shape {x.shape} does not fit the model's {len(self.weights)} features, "
                f"{', '.join(self.feature_names[:5])}"
            )
        linear = x @ self.weights + self.bias
        if exposure is not None or offset is not None:
            linear = linear + self._added(linear, exposure, offset)
        if self.classes:
            shares = np.exp(linear - linear.max(axis=1, keepdims=True))
            return shares / shares.sum(axis=1, keepdims=True)
        return linear if self.link == "identity" else _means(self.family, self.link, linear)

    def _added(self, linear: np.ndarray, exposure: Any, offset: Any) -> np.ndarray:
        if exposure is not None and offset is not None:
            raise DataError("exposure is an offset, its logarithm: give one of the two")
        if exposure is not None and self.link != "log":
            raise DataError(f"exposure is for the link log, and the model's is {self.link}")
        name, given = ("offset", offset) if exposure is None else ("exposure", exposure)
        values = np.asarray(given, np.float64)
        if values.shape != linear.shape:
            raise DataError(f"{name} must have shape {linear.shape}, got {values.shape}")
        if not np.isfinite(values).all():
            raise DataError(f"{name} must be finite")
        if exposure is not None and not (values > 0).all():
            raise DataError("exposure must be greater than 0")
        return values if exposure is None else np.log(values)


def _means(family: str, link: str, linear: np.ndarray) -> np.ndarray:
    # Imported here, so that a linear model predicts without waiting for JAX.
    import jax

    from funcgrad.regression.families import family_of

    with jax.enable_x64(True):
        return np.asarray(family_of(family, link).to_mean(jax.numpy.asarray(linear)))


def model_of(
    result: Any,
    data: Dataset | None = None,
    *,
    feature_names: Sequence[str] | None = None,
    target_name: str = "y",
) -> Model:
    """Return a result of `least_squares`, `ridge`, `glm` or `fit` as a model that can be saved.

    Args:
        result: the result, or params of one output.
        data: what it was fitted to, which tells the names and the levels of categories.
        feature_names: of the features, in the order of the weights; x0, x1, ... unless given.
        target_name: of the target.

    Raises:
        ValueError: the model has several outputs that are no classes, or not so many features.
    """
    params = getattr(result, "params", result)
    weights = np.asarray(getattr(params, "weights", params), np.float64)
    bias = np.asarray(getattr(params, "bias", 0.0), np.float64)
    if data is not None:
        feature_names, target_name = data.feature_names, data.target_name
    names = tuple(feature_names or (f"x{j}" for j in range(len(weights))))
    family, classes = getattr(result, "family", "gaussian"), tuple[str, ...]()
    if family == "multinomial":
        numbered = tuple(map(str, range(weights.shape[1])))
        classes = numbered if data is None or not data.classes else data.classes
        bias = np.broadcast_to(bias, len(classes))
    if weights.ndim != 1 + bool(classes) or len(names) != len(weights):
        raise ValueError(f"{len(names)} names of features for weights of shape {weights.shape}")
    return Model(
        weights=weights,
        bias=bias if classes else float(bias),
        feature_names=names,
        target_name=target_name,
        rows=0 if data is None else len(data.y),
        loss=float(np.asarray(getattr(result, "loss", np.nan))),
        r_squared=float(np.asarray(getattr(result, "r_squared", np.nan))),
        family=family,
        link=getattr(result, "link", "identity"),
        levels={} if data is None else data.levels,
        classes=classes,
    )


def save_model(path: str | Path, model: Any, **names: Any) -> None:
    """Write a model, whole or not at all, for `load_model` and `funcgrad predict`.

    Args:
        path: the file.
        model: a `Model`; or a result, for which the others are as for `model_of`.

    Raises:
        OSError: it cannot be written.
        DataError: the columns' names are too long to be read back.
        ValueError: as `model_of` does.

    >>> import tempfile
    >>> import numpy as np
    >>> import funcgrad
    >>> from funcgrad import regression
    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> answer = regression.least_squares(x, np.array([1.0, 3.0, 5.0]), intercept=True)
    >>> path = tempfile.mkdtemp() + "/model"
    >>> funcgrad.save_model(path, answer, feature_names=["height"])
    >>> funcgrad.load_model(path).predict(x).round(6)
    array([1., 3., 5.])
    """
    path = Path(path)
    if not isinstance(model, Model):
        model = model_of(model, **names)
    content = io.BytesIO()
    family = {"family": model.family, "link": model.link}
    form, more = _FORMAT, dict[str, Any]()
    offsets = {name: getattr(model, name) for name in _OFFSETS}
    beside = any(offsets.values())
    if family != _LEAST_SQUARES or model.levels or beside:
        form, more = _WITH_FAMILY, {name: np.asarray(value) for name, value in family.items()}
    if model.levels or model.classes or beside:
        form = _WITH_CLASSES if model.classes else _WITH_CATEGORIES
        more["categories"] = np.asarray(list(model.levels), np.str_)
        more["level_counts"] = np.asarray([len(each) for each in model.levels.values()], np.int64)
        more["levels"] = np.asarray(
            [level for each in model.levels.values() for level in each], np.str_
        )
    if model.classes:
        more["classes"] = np.asarray(model.classes)
    if beside:
        form = _WITH_OFFSETS
        more |= {name: np.asarray(column, np.str_) for name, column in offsets.items()}
    np.savez(
        content,
        format=np.asarray(form),
        weights=np.asarray(model.weights, np.float64),
        bias=np.asarray(model.bias, np.float64),
        feature_names=np.asarray(model.feature_names),
        target_name=np.asarray(model.target_name),
        rows=np.asarray(model.rows, np.int64),
        loss=np.asarray(model.loss, np.float64),
        r_squared=np.asarray(model.r_squared, np.float64),
        **more,
    )
    if content.tell() > _LARGEST:
        raise DataError(
            f"a model with these columns' names takes {content.tell()} bytes; at most {_LARGEST} can be "
            "read back: shorten the names"
        )
    with replacing(path) as file:
        file.write(content.getbuffer())


def load_model(path: str | Path) -> Model:
    """Read a model that `save_model` or `funcgrad fit` wrote.

    Raises:
        DataError: the file is not one.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            arrays = read_archive(file, limit=_LARGEST)
        _check(arrays)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except ArchiveError as error:
        raise DataError(f"{path} is not a model that funcgrad fit wrote: {error}") from None
    return Model(
        weights=arrays["weights"].astype(np.float64),
        bias=float(arrays["bias"])
        if arrays["bias"].ndim == 0
        else arrays["bias"].astype(np.float64),
        feature_names=tuple(arrays["feature_names"].tolist()),
        target_name=str(arrays["target_name"]),
        rows=int(arrays["rows"]),
        loss=float(arrays["loss"]),
        r_squared=float(arrays["r_squared"]),
        **_family(arrays),
        levels=_levels(arrays),
        classes=tuple(arrays["classes"].tolist()) if "classes" in _due(arrays) else (),
        **{name: str(arrays[name]) for name in _OFFSETS if name in _due(arrays)},
    )


def _family(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    if str(arrays["format"]) == _FORMAT:
        return _LEAST_SQUARES
    return {name: str(arrays[name]) for name in _LEAST_SQUARES}


def _levels(arrays: Mapping[str, np.ndarray]) -> Mapping[str, tuple[str, ...]]:
    if "categories" not in _due(arrays):
        return MappingProxyType({})
    ends = np.cumsum(arrays["level_counts"])
    parts = np.split(arrays["levels"], ends)[:-1]
    names = arrays["categories"].tolist()
    return {name: tuple(part.tolist()) for name, part in zip(names, parts, strict=True)}


def _due(arrays: Mapping[str, np.ndarray]) -> Mapping[str, tuple[str, int, bool]]:
    """Return the arrays that a model of its format has."""
    return _OF_FORM.get(str(arrays.get("format", "")), _ARRAYS)


def _check(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise an ArchiveError unless these are the arrays of a model."""
    due = _due(arrays)
    for name, (kinds, axes, finite) in due.items():
        array = arrays.get(name)
        if array is None:
            raise ArchiveError(f"it has no {name}")
        if array.dtype.kind not in kinds or array.ndim != axes:
            raise ArchiveError(f"its {name} is {array.dtype} of shape {array.shape}")
        if finite and not np.isfinite(array).all():
            raise ArchiveError(f"its {name} holds values that are not finite")
        if array.dtype.kind == "U" and not _is_text(array):
            raise ArchiveError(f"its {name} holds no text")
    form = str(arrays["format"])
    if form not in _OF_FORM:
        raise ArchiveError(f"its format is {form[:60]!r}")
    if form == _WITH_CLASSES:
        classes = arrays["classes"].tolist()
        if not 1 < len(set(classes)) == arrays["weights"].shape[1] == len(arrays["bias"]):
            raise ArchiveError("its classes are not those of its weights")
        if tuple(str(arrays.get(name)) for name in _LEAST_SQUARES) != ("multinomial", "softmax"):
            raise ArchiveError("it has classes, and is not multinomial")
    elif form != _FORMAT:
        from funcgrad.regression.families import family_of  # which loads JAX

        try:
            family_of(*(str(arrays[name]) for name in _LEAST_SQUARES))
        except (KeyError, ValueError) as error:
            raise ArchiveError(f"it has no family and link that are known ({error})") from None
    names = arrays["feature_names"].tolist()
    if len(names) != len(arrays["weights"]) or not names:
        raise ArchiveError(f"it has {len(arrays['weights'])} weights for {len(names)} features")
    if len(set(names)) < len(names):
        raise ArchiveError("two of its features have the same name")
    if "categories" in due:
        counts, categories = arrays["level_counts"], arrays["categories"]
        if len(counts) != len(categories) or counts.min(initial=2) < 2:
            raise ArchiveError("its categories have no levels")
        if counts.sum() != len(arrays["levels"]):
            raise ArchiveError("its levels are not those of its categories")
        of = [name for each, levels in _levels(arrays).items() for name in indicators(each, levels)]
        if not set(of) <= set(names):
            raise ArchiveError("its levels have no features")


def _is_text(array: np.ndarray) -> bool:
    """Return whether each number in an array of text stands for a character."""
    codes = array.reshape(-1).view(f"{array.dtype.byteorder}u4")
    return bool((codes < 0x110000).all() and not ((codes >= 0xD800) & (codes < 0xE000)).any())
