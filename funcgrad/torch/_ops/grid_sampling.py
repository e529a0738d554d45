"""Images read at points between their elements: grids of an affine map, and samples at a grid's points."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops.row import Array, Row, no_kernel, op
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.warning import warn

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def _aligned(align_corners: bool | None) -> bool:
    if align_corners is None:
        warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
            "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details."
        )
    return bool(align_corners)


# ------------------------------------------------------------------------------------------- points


def _places(at: Any, length: int, align: bool) -> Any:
    """Points from -1 to 1 as places among the elements of a dimension."""
    return (at + 1) / 2 * (length - 1) if align else ((at + 1) * length - 1) / 2


def _kept_inside(place: Any, length: int) -> Any:
    """The nearest place inside. As in PyTorch, no gradient passes at either end."""
    still = jax.lax.stop_gradient(jnp.clip(place, 0, length - 1))
    return jnp.where((place > 0) & (place < length - 1), place, still)


def _mirrored(place: Any, length: int, align: bool) -> Any:
    """Places outside, mirrored at the first and the last element, or at their outer edges."""
    low, span = (0.0, length - 1) if align else (-0.5, length)
    if not span:
        return place * 0
    away = jnp.abs(place - low)
    turns = jax.lax.stop_gradient(jnp.floor(away / span))
    rest = away - turns * span
    return jnp.where(turns % 2 == 0, rest, span - rest) + low


def _padded(place: Any, length: int, padding: str, align: bool) -> Any:
    if padding == "reflection":
        place = _mirrored(place, length, align)
    return place if padding == "zeros" else _kept_inside(place, length)


def _along(place: Any, length: int) -> tuple[Any, Any]:
    """The indices of whole places along a dimension, and whether they are inside."""
    index = jnp.nan_to_num(jnp.clip(place, 0, length - 1)).astype(np.int64)
    return index, (place >= 0) & (place < length)


def _elements(x: Any, places: Sequence[tuple[Any, Any]]) -> Any:
    """The elements at whole places, (batches, channels, points); zero outside.

    Args:
        x: (batches, channels, ...).
        places: for each further dimension the places as `_along` gives them, (batches, points).
    """
    flat, inside, at = x.reshape(*x.shape[:2], -1), True, 0
    for (index, within), length in zip(places, x.shape[2:], strict=True):
        inside &= within
        at = at * length + index
    found = jnp.take_along_axis(flat, at[:, None], 2)  # type: ignore[index]
    return jnp.where(inside[:, None], found, 0)  # type: ignore[index]


def _mixed(x: Any, neighbours: Sequence[Sequence[tuple[Any, Any]]]) -> Any:
    """The sum of the elements at all combinations of neighbours, times the products of their weights.

    Args:
        x: (batches, channels, ...).
        neighbours: for each further dimension the neighbours of the points: whole places, and weights.
    """
    # Once for each neighbour along a dimension, since a combination is of several.
    known = [
        [(_along(place, length), weight) for place, weight in each]
        for each, length in zip(neighbours, x.shape[2:], strict=True)
    ]
    total: Any = 0
    for several in itertools.product(*known):
        places, weights = zip(*several, strict=True)
        total = total + _elements(x, places) * math.prod(weights)[:, None]
    return total


def _linear(x: Any, places: Sequence[Any]) -> Any:
    first = [jax.lax.stop_gradient(jnp.floor(place)) for place in places]
    return _mixed(
        x,
        [
            [(start, start + 1 - place), (start + 1, place - start)]
            for start, place in zip(first, places, strict=True)
        ],
    )


def _cubic_weights(t: Any) -> list[Any]:
    """The weights of four neighbours, for a place `t` behind the second one: Keys' kernel with a = -0.75."""
    a = -0.75

    def near(d: Any) -> Any:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Any) -> Any:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _cubic(x: Any, places: Sequence[Any], padding: str, align: bool) -> Any:
    neighbours = []
    for place, length in zip(places, x.shape[2:], strict=True):
        first = jax.lax.stop_gradient(jnp.floor(place))
        at = [jnp.round(_padded(first + step, length, padding, align)) for step in range(-1, 3)]
        neighbours.append([*zip(at, _cubic_weights(place - first), strict=True)])
    return _mixed(x, neighbours)


# ------------------------------------------------------------------------------------------- samples


def _check_grid(input: Tensor, grid: Tensor, mode: int, padding: int, align: bool) -> None:
    shapes = f"input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            f"grid_sampler(): expected grid and input to have same batch size, but got {shapes}"
        )
    if grid.shape[-1] != input.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.ndim - 2} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    for k, length in enumerate(input.shape[2:], start=2):
        if not length:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                f"{list(input.shape)} with dimension {k} being empty"
            )
    dims = 4 if input.ndim == 4 else 5
    if (input.ndim, grid.ndim) != (dims, dims):
        raise RuntimeError(
            f"grid_sampler(): expected {dims}D input and grid with same number of dimensions, but got {shapes}"
        )
    if input.ndim == 5 and mode == 2:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if input.dtype is not grid.dtype:
        raise RuntimeError(
            f"expected scalar type {input.dtype.scalar_type} but found {grid.dtype.scalar_type}"
        )


def _sampler(dims: int) -> Row:
    kernel = f"grid_sampler_{dims}d_cpu"

    @op(
        f"grid_sampler_{dims}d",
        f"GridSampler{dims}DBackward0",
        method=False,
        saves="input grid",
        prepare=_check_grid,
        refuses=(no_kernel("biuc", kernel),),
    )
    def sample(
        input: Array, grid: Array, interpolation_mode: int, padding_mode: int, align_corners: bool
    ) -> Any:
        """The elements at a grid's points; the modes are numbers."""
        mode, padding = _MODES[interpolation_mode], _PADDINGS[padding_mode]
        lengths = input.shape[2:]
        points = grid.reshape(len(grid), -1, dims)
        # A grid's first coordinate is along the last dimension.
        places = [
            _places(points[..., dims - 1 - k], length, align_corners)
            for k, length in enumerate(lengths)
        ]
        if mode == "bicubic":
            made = _cubic(input, places, padding, align_corners)
        else:
            places = [
                _padded(each, length, padding, align_corners)
                for each, length in zip(places, lengths, strict=True)
            ]
            if mode == "nearest":
                whole = [jnp.round(jax.lax.stop_gradient(each)) for each in places]
                made = _elements(input, [*map(_along, whole, lengths)])
            else:
                made = _linear(input, places)
        return made.reshape(*input.shape[:2], *grid.shape[1:-1])

    return sample


_SAMPLERS: dict[int, Callable[..., Any]] = {dims + 2: _sampler(dims) for dims in (2, 3)}


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """As `torch.nn.functional.grid_sample`, with the modes as numbers."""
    given = (interpolation_mode, padding_mode, align_corners)
    _check_grid(input, grid, *given)
    return _SAMPLERS[input.ndim](input, grid, *given)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The elements of images at the points of a grid, as `torch.nn.functional.grid_sample`.

    Args:
        input: (batches, channels, height, width), or with a depth before the height.
        grid: (batches, height, width, 2) or (batches, depth, height, width, 3); points from -1 to 1, first along the width.
        mode: "bilinear", "nearest" or "bicubic".
        padding_mode: "zeros", "border" or "reflection", for points outside.
        align_corners: whether -1 and 1 are the centres of the outer elements, or their edges.

    Raises:
        ValueError: a mode is unknown.
        RuntimeError: the shapes do not fit.
    """
    if mode not in _MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in _PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    aligned = _aligned(align_corners)
    return grid_sampler(input, grid, _MODES.index(mode), _PADDINGS.index(padding_mode), aligned)


# ------------------------------------------------------------------------------------------- grids of affine maps


@op("affine_grid_generator.of_size", "AffineGridGeneratorBackward0")
def _affine_grid(theta: Array, lengths: tuple[int, ...], align: bool) -> Any:
    def line(length: int) -> np.ndarray:
        points = np.linspace(-1, 1, length) if length > 1 else np.zeros(1)
        return points if align else points * (length - 1) / length

    points = np.meshgrid(*map(line, lengths), indexing="ij")[::-1]
    base = np.stack([*points, np.ones(lengths)], -1).reshape(-1, len(lengths) + 1)
    highest = jax.lax.Precision.HIGHEST
    made = jnp.matmul(base.astype(theta.dtype), jnp.swapaxes(theta, 1, 2), precision=highest)
    return made.reshape(len(theta), *lengths, len(lengths))


def affine_grid_generator(theta: Tensor, size: Any, align_corners: bool) -> Tensor:
    """As `torch.nn.functional.affine_grid`, without its checks."""
    return _affine_grid(theta, tuple(size)[2:], align_corners)


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The grids of affine maps, for `grid_sample`, as `torch.nn.functional.affine_grid`.

    Args:
        theta: (batches, 2, 3) for images, (batches, 3, 4) for volumes.
        size: the size of the images wanted, with batches and channels.
        align_corners: as in `grid_sample`.

    Raises:
        ValueError: theta has another shape or dtype, or a size is not positive.
        NotImplementedError: the size has another number of dimensions.
    """
    aligned, wanted = _aligned(align_corners), tuple(size)
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if len(wanted) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size "
            f"{size}."
        )
    dims = len(wanted) - 2
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size {size}. Got "
            f"{theta.shape}."
        )
    if min(wanted) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if aligned and min(wanted[2:]) == 1:
        warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when align_corners=True. This is not "
            "an intended use case of affine_grid. See the documentation of affine_grid for details."
        )
    return affine_grid_generator(theta, wanted, aligned)


publish(grid_sampler, method=False)
publish(affine_grid_generator, method=False)
