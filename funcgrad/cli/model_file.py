"""The file that `funcgrad fit` writes: a NumPy `.npz` archive, whatever its name.

    format          the text "funcgrad linear model 1"
    weights         float64, shape (features,)
    bias            float64, shape ()
    feature_names   text, shape (features,): the columns, in the order of the weights
    target_name     text, shape ()
    rows            int64, shape (): how many the model was fitted to
    loss            float64, shape (): its mean squared error on them
    r_squared       float64, shape (): the share of their variance that it explains

A prediction is `x @ weights + bias`. Nothing in it is pickled: `numpy.load(path)` reads it.
"""

import io
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from funcgrad.datasets import DataError

_FORMAT = "funcgrad linear model 1"


class Model(NamedTuple):
    """A fitted linear model."""

    weights: Float[np.ndarray, " features"]
    bias: float
    feature_names: tuple[str, ...]
    target_name: str
    rows: int
    loss: float
    r_squared: float


def save_model(path: Path, model: Model) -> None:
    """Write a model, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    content = io.BytesIO()
    np.savez(
        content,
        format=np.asarray(_FORMAT),
        weights=np.asarray(model.weights, np.float64),
        bias=np.asarray(model.bias, np.float64),
        feature_names=np.asarray(model.feature_names),
        target_name=np.asarray(model.target_name),
        rows=np.asarray(model.rows, np.int64),
        loss=np.asarray(model.loss, np.float64),
        r_squared=np.asarray(model.r_squared, np.float64),
    )
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content.getvalue())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def load_model(path: Path) -> Model:
    """Read a model.

    Raises:
        DataError: the file is not one.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile):
        raise DataError(f"{path} is not a model that funcgrad fit wrote") from None
    if str(arrays.get("format")) != _FORMAT or not set(Model._fields) <= arrays.keys():
        raise DataError(f"{path} is not a model that funcgrad fit wrote")
    return Model(
        weights=arrays["weights"],
        bias=float(arrays["bias"]),
        feature_names=tuple(arrays["feature_names"].tolist()),
        target_name=str(arrays["target_name"]),
        rows=int(arrays["rows"]),
        loss=float(arrays["loss"]),
        r_squared=float(arrays["r_squared"]),
    )
