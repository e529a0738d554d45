"""Tensors, images and figures as arrays, for summaries."""

import io
from importlib import import_module
from typing import Any

import numpy as np

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import bfloat16, float32


def make_np(x: Any) -> np.ndarray:
    """A number, an array or a tensor as an array.

    Raises:
        NotImplementedError: it is something else.
    """
    if isinstance(x, Tensor):
        found: Any = x.to(float32) if x.dtype is bfloat16 else x
        return found.numpy(force=True)
    if isinstance(x, np.ndarray):
        return x
    if np.isscalar(x):
        return np.array([x])
    raise NotImplementedError(f"Got {type(x)}, but numpy array or torch tensor are expected.")


def make_grid(images: np.ndarray, ncols: int = 8) -> np.ndarray:
    """Images of shape (N, C, H, W) as one of shape (3, rows * H, columns * W).

    Raises:
        AssertionError: they have neither one channel nor three.
    """
    if images.ndim == 4 and images.shape[1] == 1:
        images = np.concatenate([images] * 3, 1)
    if images.ndim != 4 or images.shape[1] != 3:
        raise AssertionError("Input should be a 4D numpy array with 3 channels")
    count, _, height, width = images.shape
    columns = min(count, ncols)
    rows = -(-count // columns)
    canvas = np.zeros((rows * columns, 3, height, width), images.dtype)
    canvas[:count] = images
    placed = canvas.reshape(rows, columns, 3, height, width).transpose(2, 0, 3, 1, 4)
    return placed.reshape(3, rows * height, columns * width)


def as_hwc(array: np.ndarray, form: str) -> np.ndarray:
    """An image, or a grid of several, in the order of height, width, channels.

    Raises:
        AssertionError: `form` does not fit the array.
    """
    if len(set(form)) != len(form):
        raise AssertionError(
            f"You can not use the same dimension shorthand twice. input_format: {form}"
        )
    if array.ndim != len(form):
        raise AssertionError(
            f"size of input tensor and input format are different. tensor shape: {array.shape}, input_format: {form}"
        )
    form = form.upper()
    wanted = {4: "NCHW", 3: "HWC", 2: "HW"}[len(form)]
    array = array.transpose([form.find(each) for each in wanted])
    if len(form) == 4:
        return make_grid(array).transpose(1, 2, 0)
    if len(form) == 2:
        array = array[..., None]
    return np.concatenate([array] * 3, 2) if array.shape[2] == 1 else array


def as_png(array: np.ndarray, size: tuple[int, int] | None = None) -> bytes:
    """An image of bytes as a file, by pillow."""
    pillow = import_module("PIL.Image")
    picture = pillow.fromarray(array)
    if size is not None:
        picture = picture.resize(size, pillow.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def figure_to_image(figures: Any, close: bool = True) -> np.ndarray:
    """Figures of matplotlib as images: of shape (C, H, W), with N in front for a list of them."""
    if isinstance(figures, list):
        return np.stack([figure_to_image(each, close) for each in figures])
    canvas = import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figures)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    if close:
        import_module("matplotlib.pyplot").close(figures)
    return np.moveaxis(image, 2, 0)
