"""Images in another size: `interpolate` and `upsample`; and channels moved into the image and back.

Along one dimension each element of the result is a weighted sum of a few of the input's elements. Their places and weights
depend on sizes alone, so they are constants of the op.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from funcgrad.torch._ops.row import Array, Row, no_kernel, op
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.warning import warn

# ------------------------------------------------------------------------------------------- places and weights

Weights = tuple[np.ndarray, np.ndarray | None]


def _scale(length: int, wanted: int, align: bool, factor: float | None) -> float:
    """The distance of two elements of the result, in elements of the input."""
    if align:
        return (length - 1) / (wanted - 1) if wanted > 1 else 0.0
    return 1 / factor if factor is not None and factor > 0 else length / wanted


def _nearest(length: int, wanted: int, align: bool, factor: float | None, shift: float = 0.0) -> Weights:  # fmt: skip
    # PyTorch computes these places in float32, and rounding decides between two neighbours.
    scale = np.float32(_scale(length, wanted, False, factor))
    at = np.floor((np.arange(wanted, dtype=np.float32) + np.float32(shift)) * scale)
    return np.minimum(at.astype(np.int64), length - 1)[:, None], None


def _nearest_exact(length: int, wanted: int, align: bool, factor: float | None) -> Weights:
    return _nearest(length, wanted, align, factor, 0.5)


def _source(length: int, wanted: int, align: bool, factor: float | None) -> np.ndarray:
    scale, at = _scale(length, wanted, align, factor), np.arange(wanted)
    return scale * at if align else scale * (at + 0.5) - 0.5


def _linear(length: int, wanted: int, align: bool, factor: float | None) -> Weights:
    source = np.maximum(_source(length, wanted, align, factor), 0)
    first = np.minimum(source.astype(np.int64), length - 1)
    part = np.clip(source - first, 0, 1)
    at = np.stack([first, np.minimum(first + 1, length - 1)], 1)
    return at, np.stack([1 - part, part], 1)


def _cubic_curve(x: np.ndarray, a: float) -> np.ndarray:
    """The convolution kernel of cubic interpolation (R. Keys, 1981)."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _cubic(length: int, wanted: int, align: bool, factor: float | None) -> Weights:
    source = _source(length, wanted, align, factor)
    first = np.floor(source).astype(np.int64)
    offsets = np.arange(-1, 3)
    at = np.clip(first[:, None] + offsets, 0, length - 1)
    return at, _cubic_curve((source - first)[:, None] - offsets, -0.75)


def _antialiased(curve: Callable[[np.ndarray], np.ndarray], reach: float) -> Callable[..., Weights]:
    """A filter that widens where the result is smaller than the input."""

    def weights(length: int, wanted: int, align: bool, factor: float | None) -> Weights:
        scale = _scale(length, wanted, align, factor)
        support = reach * max(scale, 1)
        center = scale * (np.arange(wanted) + 0.5)
        start = np.maximum((center - support + 0.5).astype(np.int64), 0)
        end = np.minimum((center + support + 0.5).astype(np.int64), length)
        at = start[:, None] + np.arange(int((end - start).max(initial=1)))
        of = curve((at - center[:, None] + 0.5) / max(scale, 1))
        of = np.where(at < end[:, None], of, 0)
        return np.minimum(at, length - 1), of / of.sum(1, keepdims=True)

    return weights


_KINDS: dict[str, Callable[..., Weights]] = {
    "nearest": _nearest,
    "nearest-exact": _nearest_exact,
    "linear": _linear,
    "cubic": _cubic,
    "linear_aa": _antialiased(lambda x: np.maximum(1 - np.abs(x), 0), 1.0),
    "lanczos_aa": _antialiased(
        lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0), 3.0
    ),
    "cubic_aa": _antialiased(lambda x: _cubic_curve(x, -0.5), 2.0),
}


@lru_cache(maxsize=256)
def _weights(kind: str, length: int, wanted: int, align: bool, factor: float | None) -> Weights:
    return _KINDS[kind](length, wanted, align, factor)


def _resized(x: Any, kind: str, size: tuple[int, ...], align: bool, factors: Any) -> Any:
    for axis in range(2, x.ndim):
        at, of = _weights(kind, x.shape[axis], size[axis - 2], align, factors[axis - 2])
        if of is None:
            x = jnp.take(x, at[:, 0], axis)
            continue
        shape = [-1 if k == axis else 1 for k in range(x.ndim)]
        parts = [
            jnp.take(x, at[:, k], axis) * of[:, k].astype(x.dtype).reshape(shape)
            for k in range(at.shape[1])
        ]
        x = sum(parts[1:], parts[0])
    return x


def _upsampling(name: str, node: str, kind: str, kernel: str) -> Row:
    integers = "i" if kind.startswith("nearest") else "iu"

    @op(
        f"{name}.of_size",
        node,
        accumulates=True,
        refuses=(no_kernel(f"{integers}b", kernel), no_kernel("c", kernel)),
        in_format=any,
    )
    def upsample(input: Array, size: Any, align: Any, factors: Any) -> Any:
        return _resized(input, kind, size, align, factors)

    return upsample


_MODES: dict[tuple[str, int], Row] = {}
for _dims in (1, 2, 3):
    for _mode, _title in (("nearest", "Nearest"), ("nearest-exact", "NearestExact")):
        _name = f"upsample_{_mode.replace('-', '_')}{_dims}d"
        _kernel = "compute_indices_weights_nearest"
        _MODES[_mode, _dims] = _upsampling(_name, f"Upsample{_title}{_dims}DBackward0", _mode, _kernel)  # fmt: skip
for _mode, _dims in (("linear", 1), ("bilinear", 2), ("trilinear", 3), ("bicubic", 2)):
    _kind = "cubic" if _mode == "bicubic" else "linear"
    _node = f"Upsample{_mode.capitalize()}{_dims}D"
    _name, _kernel = f"upsample_{_mode}{_dims}d", f"compute_indices_weights_{_kind}"
    _MODES[_mode, _dims] = _upsampling(_name, f"{_node}Backward0", _kind, _kernel)
    if _dims == 2:
        _MODES[f"{_mode}_aa", 2] = _upsampling(f"_{_name}_aa", f"{_node}AaBackward0", f"{_kind}_aa", _kernel)  # fmt: skip

_MODES["lanczos_aa", 2] = _upsampling(
    "_upsample_lanczos2d_aa", "UpsampleLanczos2DAaBackward0", "lanczos_aa", "upsample_lanczos2d_aa"
)

_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
_RANKS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}
_ONLY_OTHERS = {3: "linear", 4: "bilinear", 5: "trilinear"}

# ------------------------------------------------------------------------------------------- interpolate


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Images in another size, as `torch.nn.functional.interpolate`.

    Args:
        input: (batches, channels, ...), with one, two or three further dimensions.
        size: the lengths of the further dimensions in the result; one number for all.
        scale_factor: the ratio of the lengths, in place of `size`.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear" or "area".
        align_corners: whether the corners' elements keep their places; only for the modes with "linear" or "cubic".
        recompute_scale_factor: whether to compute the ratio from the lengths.
        antialias: whether to smooth where the result is smaller; only for "bilinear" and "bicubic".

    Raises:
        ValueError: the arguments do not fit one another.
        NotImplementedError: the mode takes another number of dimensions.

    >>> import funcgrad.torch as torch
    >>> torch.nn.functional.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | "
                "trilinear"
            )
    elif align_corners is None:
        align_corners = False
    dims = input.ndim - 2
    wanted, factors = _asked(input, dims, size, scale_factor)
    if recompute_scale_factor is not None and recompute_scale_factor and wanted is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if mode == "area" and wanted is None:
        recompute_scale_factor = True
    lengths = input.shape[2:]
    if wanted is None:
        wanted = [math.floor(float(n) * f) for n, f in zip(lengths, factors, strict=True)]
        if recompute_scale_factor:
            factors = None
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    return _interpolated(input, mode, tuple(wanted), bool(align_corners), factors, antialias)


def _asked(input: Tensor, dims: int, size: Any, scale_factor: Any) -> tuple[Any, Any]:
    """The wanted lengths or the ratios; one of the two is None.

    Raises:
        ValueError: both were given, or none, or another number of them.
    """
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    given = scale_factor if size is None else size
    if not isinstance(given, (list, tuple)):
        many = [given] * dims
        return (None, many) if size is None else (many, None)
    if len(given) != dims:
        shape, named = list(input.shape[2:]), ("scale_factor" if size is None else "output size")
        if size is None:
            raise ValueError(
                f"Input and scale_factor must have the same number of spatial dimensions, but got input with spatial "
                f"dimensions of {shape} and scale_factor of shape {given}. Please provide input tensor in (N, C, d1, d2, "
                "...,dK) format and scale_factor in (s1, s2, ...,sK) format."
            )
        raise ValueError(
            f"Input and output must have the same number of spatial dimensions, but got input with spatial dimensions of "
            f"{shape} and {named} of {given}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and output size "
            "in (o1, o2, ...,oK) format."
        )
    return (None, list(given)) if size is None else (list(given), None)


def _interpolated(input: Tensor, mode: str, size: tuple[int, ...], align: bool, factors: Any, antialias: bool) -> Tensor:  # fmt: skip
    dims = input.ndim - 2
    if mode == "area" and dims in _AREA:
        return _AREA[dims](input, size)
    if mode == "lanczos" and dims == 2 and (align or not antialias):
        wrong = "does not support align_corners=True" if align else "requires antialias=True"
        raise ValueError(f"Lanczos mode {wrong}")
    row = _MODES.get((f"{mode}_aa" if antialias else mode, dims))
    if row is None:
        if input.ndim in _ONLY_OTHERS and mode in _RANKS:
            raise NotImplementedError(
                f"Got {input.ndim}D input, but {mode} mode needs {_RANKS[mode]}D input"
            )
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported "
            f"(got {input.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | lanczos | "
            f"area | nearest-exact (got {mode})"
        )
    size = tuple([int(n) for n in size])
    if min(size) <= 0 or 0 in input.shape[2:]:
        what = dict(zip("DHW"[-dims:], zip(input.shape[2:], size, strict=True), strict=True))
        inner = ", ".join(f"{axis}: {n}" for axis, (n, _) in what.items())
        outer = ", ".join(f"{axis}: {n}" for axis, (_, n) in what.items())
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({inner}) output ({outer})"
        )
    if 0 in input.shape[1:]:
        raise RuntimeError(
            f"Non-empty {input.ndim}D data tensor expected but got a tensor with sizes {list(input.shape)}"
        )
    return row(input, size, align, tuple(factors or (None,) * dims))


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` by its old name.

    Warns:
        UserWarning: always; the name is deprecated.
    """
    warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with the mode "nearest".

    Warns:
        UserWarning: always; the name is deprecated.
    """
    warn("`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with the mode "bilinear" and aligned corners.

    Warns:
        UserWarning: always; the name is deprecated.
    """
    warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead."
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# ------------------------------------------------------------------------------------------- channels and pixels


def _check_rank(name: str, input: Tensor, factor: int, what: str) -> None:
    if input.ndim < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)"
        )
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {what}, but got {factor}")


def _check_shuffle(input: Tensor, upscale_factor: int) -> None:
    _check_rank("pixel_shuffle", input, upscale_factor, "upscale_factor")
    channels, square = input.shape[-3], upscale_factor**2
    if channels % square:
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
            f"input.size(-3)={channels} is not divisible by {square}"
        )


def _check_unshuffle(input: Tensor, downscale_factor: int) -> None:
    _check_rank("pixel_unshuffle", input, downscale_factor, "downscale_factor")
    for k, axis in ((-2, "height"), (-1, "width")):
        if input.shape[k] % downscale_factor:
            raise RuntimeError(
                f"pixel_unshuffle expects {axis} to be divisible by downscale_factor, but input.size({k})="
                f"{input.shape[k]} is not divisible by {downscale_factor}"
            )


@op("pixel_shuffle", "PixelShuffleBackward0", method=False, prepare=_check_shuffle, in_format=any)
def pixel_shuffle(input: Array, upscale_factor: int) -> Any:
    """Move channels into the image, which grows by a factor: (..., c * r * r, h, w) becomes (..., c, h * r, w * r)."""
    *outer, channels, height, width = input.shape
    r, n = upscale_factor, len(outer)
    x = input.reshape(*outer, channels // r**2, r, r, height, width)
    x = jnp.transpose(x, (*range(n + 1), n + 3, n + 1, n + 4, n + 2))
    return x.reshape(*outer, channels // r**2, height * r, width * r)


@op(
    "pixel_unshuffle",
    "PixelUnshuffleBackward0",
    method=False,
    prepare=_check_unshuffle,
    in_format=any,
)
def pixel_unshuffle(input: Array, downscale_factor: int) -> Any:
    """Move pixels into channels: (..., c, h * r, w * r) becomes (..., c * r * r, h, w)."""
    *outer, channels, height, width = input.shape
    r, n = downscale_factor, len(outer)
    x = input.reshape(*outer, channels, height // r, r, width // r, r)
    x = jnp.transpose(x, (*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return x.reshape(*outer, channels * r**2, height // r, width // r)


def _check_groups(input: Tensor, groups: int) -> None:
    if input.ndim < 3:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")  # fmt: skip
    if input.shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {input.shape[1]} channels and {groups} groups."
        )


@op(
    "channel_shuffle", "ChannelShuffleBackward0", method=False, prepare=_check_groups, in_format=any
)
def channel_shuffle(input: Array, groups: int) -> Any:
    """Interleave the channels of several groups."""
    batches, channels, *rest = input.shape
    return input.reshape(batches, groups, channels // groups, *rest).swapaxes(1, 2).reshape(input.shape)  # fmt: skip
