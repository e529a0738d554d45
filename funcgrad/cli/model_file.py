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
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from funcgrad.datasets import DataError
from funcgrad.files import ArchiveError, open_regular, read_archive, replacing

_FORMAT = "funcgrad linear model 1"
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
        DataError: the columns' names are too long to be read back.
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
    if content.tell() > _LARGEST:
        raise DataError(
            f"a model with these columns' names takes {content.tell()} bytes; at most {_LARGEST} can be "
            "read back: shorten the names"
        )
    with replacing(path) as file:
        file.write(content.getbuffer())


def load_model(path: Path) -> Model:
    """Read a model.

    Raises:
        DataError: the file is not one.
    """
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
        bias=float(arrays["bias"]),
        feature_names=tuple(arrays["feature_names"].tolist()),
        target_name=str(arrays["target_name"]),
        rows=int(arrays["rows"]),
        loss=float(arrays["loss"]),
        r_squared=float(arrays["r_squared"]),
    )


def _check(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise an ArchiveError unless these are the arrays of a model."""
    for name, (kinds, axes, finite) in _ARRAYS.items():
        array = arrays.get(name)
        if array is None:
            raise ArchiveError(f"it has no {name}")
        if array.dtype.kind not in kinds or array.ndim != axes:
            raise ArchiveError(f"its {name} is {array.dtype} of shape {array.shape}")
        if finite and not np.isfinite(array).all():
            raise ArchiveError(f"its {name} holds values that are not finite")
        if array.dtype.kind == "U" and not _is_text(array):
            raise ArchiveError(f"its {name} holds no text")
    if str(arrays["format"]) != _FORMAT:
        raise ArchiveError(f"its format is {str(arrays['format'])[:60]!r}")
    names = arrays["feature_names"].tolist()
    if len(names) != len(arrays["weights"]) or not names:
        raise ArchiveError(f"it has {len(arrays['weights'])} weights for {len(names)} features")
    if len(set(names)) < len(names):
        raise ArchiveError("two of its features have the same name")


def _is_text(array: np.ndarray) -> bool:
    """Return whether each number in an array of text stands for a character."""
    codes = array.reshape(-1).view(f"{array.dtype.byteorder}u4")
    return bool((codes < 0x110000).all() and not ((codes >= 0xD800) & (codes < 0xE000)).any())
