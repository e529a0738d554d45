"""Order statistics, counts, histograms, covariances, and reductions that pass over NaN."""

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._levels.refusals import DYNAMIC_SHAPE
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.along_a_dim import Some, check_freedom, check_no_keepdim, degrees, root
from funcgrad.torch._ops.casting import casts
from funcgrad.torch._ops.conversions import converted
from funcgrad.torch._ops.linalg.checks import elements
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.reductions import reduction
from funcgrad.torch._ops.row import (
    INEXACT,
    WIDE,
    Array,
    Arrays,
    Dim,
    Dims,
    Index,
    Refusal,
    named,
    no_kernel,
    op,
    return_type,
    wrapped_dims,
)
from funcgrad.torch._ops.slopes import choosing
from funcgrad.torch._ops.ternary import between
from funcgrad.torch._ops.undifferentiable import without_derivative
from funcgrad.torch._tensor.kinds import NOT_GIVEN
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor, concrete
from funcgrad.torch._types.dtypes import float32, float64
from funcgrad.torch._types.variadic import one_by_one
from funcgrad.torch._types.warning import warn

# ------------------------------------------------------------------------------------------- sums that pass over NaN


def _nansum(x: Any, axis: Any, keepdims: bool) -> Any:
    return jnp.sum(jnp.where(jnp.isnan(x), 0, x), axis=axis, keepdims=keepdims)


def _nanmean(x: Any, axis: Any, keepdims: bool) -> Any:
    count = jnp.sum(~jnp.isnan(x), axis=axis, keepdims=keepdims)
    return _nansum(x, axis, keepdims) / count


_NO_COMPLEX = Refusal("c", RuntimeError, "nansum does not support complex inputs")
reduction(
    "nansum",
    _nansum,
    ("NansumBackward0",) * 2,
    WIDE,
    saves="self",
    refuses=(_NO_COMPLEX,),
)
reduction("nanmean", _nanmean, ("DivBackward0",) * 2, INEXACT, refuses=(_NO_COMPLEX,))


@op("count_nonzero.dims", "NotImplemented")
def _count(input: Index, dim: tuple[int, ...] | None) -> Any:
    return jnp.count_nonzero(input, axis=dim if input.ndim else None).astype(np.int64)


def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not zero: of all, or along dimensions."""
    return _count(input.detach(), wrapped_dims(dim, input.ndim))


publish(count_nonzero, method=False)
publish(one_by_one(count_nonzero), function=False)


def _check_aminmax(input: Tensor, dim: int | None, keepdim: bool) -> None:
    if dim is None and not input.numel():
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    if dim is not None and input.ndim and not input.shape[dim]:
        raise IndexError(f"aminmax(): Expected reduction dim {dim} to have non-zero size.")


@op(
    "aminmax.dim",
    "AminmaxBackward0",
    returns=("min", "max"),
    saves="self min max",
    prepare=_check_aminmax,
    refuses=(no_kernel("c", "aminmax_kernel"),),
)
def _aminmax(input: Array, dim: Dim, keepdim: bool) -> Any:
    along: Any = {"axis": dim if input.ndim else None, "keepdims": keepdim and bool(input.ndim)}
    return jnp.min(input, **along), jnp.max(input, **along)


def aminmax(
    input: Tensor, *, dim: int | None = None, keepdim: bool = False, out: Any = None
) -> Any:
    """The smallest and the largest element: of all, or along a dimension."""
    made = _aminmax(input, dim, keepdim)
    return _stored("aminmax", made, (input,), out)


def _stored(name: str, made: Any, tensors: tuple[Any, ...], out: Any) -> Any:
    """Results, stored in the tensors `out` if these are given."""
    if out is None:
        return made
    pairs = zip(out, made, strict=True)
    return type(made)(*[store(name, each, tensors, lambda of=of: of, EXACT) for each, of in pairs])  # type: ignore[misc]


publish(aminmax)


# ------------------------------------------------------------------------------------------- variance with the mean


def _with_mean(name: str, node: str, spread: Callable[[Any], Any], saves: str) -> None:
    @op(f"{name}.correction", node, returns=("spread", "mean"), saves=saves)
    def row(input: Array, dim: Dims, correction: Any, keepdim: bool) -> Any:
        along: Any = {"axis": dim, "keepdims": keepdim}
        return spread(jnp.var(input, ddof=correction, **along)), jnp.mean(input, **along)

    def function(
        input: Tensor,
        dim: Some = None,
        unbiased: bool = NOT_GIVEN,
        keepdim: bool = False,
        *,
        correction: float | None = None,
        out: Any = None,
    ) -> Any:
        dim, correction = degrees(name, dim, unbiased, keepdim, correction)
        if not (input.dtype.is_floating_point or input.dtype.is_complex):
            raise RuntimeError(f"{name} only support floating point and complex dtypes")
        check_freedom(name, input.shape, dim, correction)
        made = tuple(row(input, dim, correction, keepdim))
        if out is None:
            return made
        pairs = zip(out, made, strict=True)
        return tuple([store(name, each, (input,), lambda of=of: of) for each, of in pairs])  # type: ignore[misc]

    doc = "The spread and the mean: of all elements, or along dimensions."
    publish(named(function, name, doc), method=False)


_with_mean("var_mean", "VarMeanBackward0", lambda x: x, "self")
_with_mean("std_mean", "StdMeanBackward0", root, "self spread")

# ------------------------------------------------------------------------------------------- order statistics


def _taken(x: Any, dim: int, keepdim: bool, find: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The elements at the places that `find` gives along a dimension, and these places."""
    if not x.ndim:
        return x, jnp.zeros((), np.int64)
    places = jnp.expand_dims(find(jax.lax.stop_gradient(x)), dim).astype(np.int64)
    values = jnp.take_along_axis(x, places, dim)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def _middle(x: Any, dim: int, ignore: bool) -> Any:
    """The place of the lower median along a dimension; of NaN if there is one, unless these are ignored."""
    order = jnp.argsort(x, dim)
    n = x.shape[dim]
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return jnp.take(order, (n - 1) // 2, dim)
    nans = jnp.isnan(x).sum(dim)
    whole = jnp.maximum(n - nans - 1, 0) // 2
    at = whole if ignore else jnp.where(nans > 0, n - nans, (n - 1) // 2)
    return jnp.take_along_axis(order, jnp.expand_dims(at, dim), dim).squeeze(dim)


def _median(name: str, node: str, ignore: bool) -> None:
    kernel = (no_kernel("bc", "median_cpu"),)
    chosen = choosing(lambda x: _taken(x, 0, False, partial(_middle, dim=0, ignore=ignore))[0])

    @op(f"{name}.all", f"{node}0", saves="self result", accumulates=True, refuses=kernel)
    def of_all(input: Array) -> Any:
        if not input.size:
            inexact = jnp.issubdtype(input.dtype, jnp.floating)
            return jnp.asarray(jnp.nan if inexact else jnp.iinfo(input.dtype).min, input.dtype)
        return chosen(input.reshape(-1))

    @op(
        f"{name}.dim",
        f"{node}1",
        saves="indices",
        refuses=kernel,
        returns=("values", "indices"),
        out=EXACT,
        prepare=partial(_check_extent, name),
    )
    def along(input: Array, dim: Dim = -1, keepdim: bool = False) -> Any:
        return _taken(input, dim, keepdim, partial(_middle, dim=dim, ignore=ignore))

    def function(
        input: Tensor,
        dim: int = NOT_GIVEN,
        keepdim: bool = False,
        *,
        out: Any = None,
    ) -> Any:
        if dim is not NOT_GIVEN:
            return along(input, dim, keepdim, out=out)
        check_no_keepdim(name, keepdim)
        return of_all(input)

    doc = "The lower median: of all elements, or along a dimension with its index."
    publish(named(function, name, doc))


def _check_extent(name: str, input: Tensor, dim: int, *_: Any) -> None:
    if input.ndim and not input.shape[dim]:
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")


_median("median", "MedianBackward", False)
_median("nanmedian", "NanmedianBackward", True)


def _most_frequent(x: Any, dim: int) -> Any:
    """The last place of the most frequent element along a dimension, of the smallest if several are."""
    x = jnp.moveaxis(x, dim, -1)
    ordered = jnp.sort(x, -1)
    places = jnp.arange(x.shape[-1])
    new = jnp.concatenate(
        [jnp.ones_like(ordered[..., :1], bool), ordered[..., 1:] != ordered[..., :-1]], -1
    )
    start = jax.lax.cummax(jnp.where(new, places, 0), x.ndim - 1)
    best = jnp.argmax(places - start, -1)
    value = jnp.take_along_axis(ordered, best[..., None], -1)
    return jnp.max(jnp.where(x == value, places, 0), -1)


@op(
    "mode",
    "ModeBackward0",
    saves="indices",
    returns=("values", "indices"),
    out=EXACT,
    prepare=partial(_check_extent, "mode"),
    refuses=(no_kernel("c", "mode_cpu"),),
)
def mode(input: Array, dim: Dim = -1, keepdim: bool = False) -> Any:
    """The most frequent element along a dimension, and the index of its last occurrence."""
    return _taken(input, dim, keepdim, lambda x: _most_frequent(x, dim))


def _check_kth(input: Tensor, k: int, dim: int, keepdim: bool) -> None:
    length = input.shape[dim] if input.ndim else 1
    if not length:
        raise IndexError(f"kthvalue(): Expected reduction dim {dim} to have non-zero size.")
    if not 1 <= k <= length:
        raise RuntimeError("kthvalue(): selected number k out of range for dimension " + str(dim))


@op(
    "kthvalue",
    "KthvalueBackward0",
    saves="indices",
    returns=("values", "indices"),
    out=EXACT,
    prepare=_check_kth,
    refuses=(no_kernel("bc", "kthvalue_cpu"),),
)
def kthvalue(input: Array, k: int, dim: Dim = -1, keepdim: bool = False) -> Any:
    """The k-th smallest element along a dimension, and its index."""
    return _taken(input, dim, keepdim, lambda x: jnp.take(jnp.argsort(x, dim), k - 1, dim))


def msort(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements in order along the first dimension."""
    if out is not None:
        return store("msort", out, (input,), lambda: msort(input), EXACT)
    return FUNCTIONS["sort"](input, 0).values


publish(msort)


def _quantile(name: str, ignore: bool) -> None:
    @op(f"{name}.sorted", "SqueezeBackward4")
    def row(input: Array, q: Array, interpolation: str, kept: tuple[int, ...]) -> Any:
        """Of elements sorted along the last dimension, with new dimensions of length 1 in their place."""
        last, nans = input.shape[-1] - 1, jnp.isnan(input)
        ranks = jnp.expand_dims(q, tuple(range(q.ndim, q.ndim + input.ndim - 1)))
        if ignore:
            ranks = jnp.maximum(ranks * (last - nans.sum(-1)), 0)
        else:
            ranks = jnp.where(nans.any(-1), last, ranks * last)

        def at(places: Any) -> Any:
            places = jnp.moveaxis(places.astype(np.int64).reshape(-1, *input.shape[:-1]), 0, -1)
            found = jnp.moveaxis(jnp.take_along_axis(input, places, -1), -1, 0)
            return jnp.expand_dims(found.reshape(ranks.shape), kept)

        if interpolation in _ROUNDED:
            return at(_ROUNDED[interpolation](ranks))
        below = jnp.floor(ranks)
        weights = jnp.full_like(ranks, 0.5) if interpolation == "midpoint" else ranks - below
        weights = jnp.expand_dims(weights.astype(input.dtype), kept)
        return between(at(below), at(jnp.ceil(ranks)), weights)

    def outer(
        input: Tensor,
        q: Any,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
        out: Tensor | None = None,
    ) -> Tensor:
        if out is not None:
            words = "quantile() out tensor must be same dtype as the input tensor"
            return store(
                name,
                out,
                (input,),
                lambda: outer(input, q, dim, keepdim, interpolation=interpolation),
                words,
            )
        _check_quantile(input, q, interpolation)
        dim = None if dim is None or not input.ndim else wrap_dim(dim, input.ndim)
        given = q if isinstance(q, Tensor) else input.new_tensor(float(q))
        of: Any = input
        flat = of.reshape(-1) if dim is None else FUNCTIONS["movedim"](input, dim, -1)
        dims = range(input.ndim) if dim is None else (dim,)
        kept = tuple([given.ndim + k for k in dims]) if keepdim and input.ndim else ()
        return row(FUNCTIONS["sort"](flat, -1).values, given, interpolation, kept)

    doc = "The numbers below which the parts `q` of the elements lie, as `torch.{name}`."
    publish(casts(named(outer, name, doc)))


def _check_quantile(input: Tensor, q: Any, interpolation: str) -> None:
    if not input.numel():
        raise RuntimeError("quantile() input tensor must be non-empty")
    if isinstance(q, Tensor):
        if q.ndim > 1:
            raise RuntimeError(f"quantile() q must be a scalar or 1D tensor, but got {q.ndim}D")
        if q.dtype is not input.dtype:
            raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
    elif not 0 <= q <= 1:
        raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q}")
    if input.dtype not in (float32, float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    modes = ("linear", "lower", "higher", "midpoint", "nearest")
    if interpolation not in modes:
        raise RuntimeError(
            f"quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if isinstance(q, Tensor):
        known = elements(q.detach())
        if known is not None and not np.all((known >= 0) & (known <= 1)):
            raise RuntimeError("quantile() q values must be in the range [0, 1]")


_ROUNDED = {"lower": jnp.floor, "higher": jnp.ceil, "nearest": jnp.round}
_quantile("quantile", ignore=False)
_quantile("nanquantile", ignore=True)

# ------------------------------------------------------------------------------------------- counts and histograms


@op("bincount.length", "NotImplemented")
def _counted(input: Index, length: int) -> Any:
    return jnp.bincount(input.astype(np.int64), length=length).astype(np.int64)


@op("bincount.weights", "NotImplemented")
def _weighed(weights: Array, input: Index, length: int) -> Any:
    wide = weights.dtype if weights.dtype == np.float32 else np.float64
    return jnp.bincount(input.astype(np.int64), weights.astype(wide), length=length).astype(wide)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from zero on occurs; with `weights`, the sum of the weights of each."""
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if input.dtype.is_floating_point or input.dtype.is_complex or input.dtype.name == "bool":
        raise NotImplementedError(
            f"\"bincount_cpu\" not implemented for '{input.dtype.scalar_type}'"
        )
    array = np.asarray(concrete(input._array(), DYNAMIC_SHAPE.format("bincount")))
    if array.ndim != 1 or (array < 0).any():
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and tuple(weights.shape) != array.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    length = max(minlength, int(array.max()) + 1 if array.size else 0)
    if weights is None:
        return _counted(input, length)
    return without_derivative("bincount", lambda: _weighed(weights, input, length), weights)


publish(bincount)


def _bins_of(x: Any, low: Any, high: Any, bins: int) -> Any:
    """The bin of each element, or `bins` for one outside."""
    at = ((x - low) * (bins / (high - low))).astype(np.int64)
    at = jnp.where(at >= bins, bins - 1, at)
    return jnp.where((x >= low) & (x <= high), at, bins)


def _range_of(x: Any, low: Any, high: Any, widened: float) -> tuple[Any, Any]:
    """The range of a histogram: the data's if `low` equals `high`; an empty one is widened on both sides."""
    if low == high:
        low, high = (x.min(), x.max()) if x.size else (low, low + 1)
    low, high = jnp.asarray(low, x.dtype), jnp.asarray(high, x.dtype)
    same = low == high
    return jnp.where(same, low - widened, low), jnp.where(same, high + widened, high)


@op(
    "histc",
    "HistcBackward0",
    out=EXACT,
    refuses=(no_kernel("biuc", "histogram_cpu"),),
    prepare=lambda input, bins, low, high: _check_histc(input, bins, low, high),
)
def histc(input: Array, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements lie in each of equal bins from `min` to `max`; from the smallest to the largest if these are equal."""
    x = jax.lax.stop_gradient(input.reshape(-1))
    at = _bins_of(x, *_range_of(x, min, max, 1), bins)
    return jnp.bincount(at, length=bins + 1)[:bins].astype(input.dtype)


def _check_histc(input: Tensor, bins: int, low: float, high: float) -> Any:
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    _check_range("histc", low, high)
    if low == high:
        _check_finite("histc: range of", input)
    return [input.detach(), bins, low, high]  # as in PyTorch, counts have no gradient


def _check_range(name: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"torch.{name}: range of [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError(f"torch.{name}: max must be larger than min")


def _check_finite(what: str, input: Tensor) -> None:
    """Check that the elements, from which a histogram takes its range, have one.

    Raises:
        RuntimeError: one is infinite or NaN.
    """
    array = elements(input)
    if array is not None and array.size and not np.isfinite(array).all():
        low, high = array.min(), array.max()
        raise RuntimeError(f"torch.{what} [{low:g}, {high:g}] is not finite")


_HISTOGRAM = return_type("histogram", ("hist", "bin_edges"))


def _bin_of(edges: Any, x: Any) -> Any:
    """The number of each element's bin; the number of bins for one that lies in none."""
    n = edges.shape[0] - 1
    at = jnp.searchsorted(edges, x, side="right") - 1
    at = jnp.where(x == edges[-1], n - 1, at)
    return jnp.where((x < edges[0]) | (x > edges[-1]) | jnp.isnan(x), n, at)


@op("histogram.edges", "NotImplemented")
def _histogram(edges: Array, input: Array, weight: Array, density: bool) -> Any:
    x, n = input.reshape(-1), edges.shape[0] - 1
    at = _bin_of(edges, x)
    counts = jnp.zeros(n + 1, input.dtype).at[at].add(jnp.broadcast_to(weight.reshape(-1), x.shape))
    counts = counts[:n]
    return counts / (counts.sum() * jnp.diff(edges)) if density else counts


@op("histogram.range", "NotImplemented")
def _edges(input: Array, bins: int, low: float, high: float) -> Any:
    first, last = _range_of(input.reshape(-1), low, high, 0.5)
    return jnp.linspace(first, last, bins + 1, dtype=input.dtype)


def _edges_of(k: int, input: Tensor, bins: Any, limits: Any) -> Tensor:
    """The edges of the bins in dimension k: the given ones, or some that lie evenly in the limits or in the data."""
    if isinstance(bins, Tensor):
        if bins.dtype is not input.dtype:
            raise RuntimeError(
                f"torch.histogramdd(): input tensor and bins tensors should have the same dtype, but got input with dtype "
                f"{input.dtype.scalar_type} and bins with dtype {bins.dtype.scalar_type}"
            )
        return bins.detach()
    if bins <= 0:
        raise RuntimeError(
            f"torch.histogramdd(): bins must be > 0, but got {bins} for dimension {k}"
        )
    low, high = map(float, limits)
    if low == high:
        _check_finite(f"histogramdd: dimension {k}'s range", input)
    if low > high:
        raise RuntimeError(
            "torch.histogramdd(): min should not exceed max, but got min "
            f"{low:g} max {high:g} for dimension {k}"
        )
    return _edges(input.detach(), int(bins), low, high)


def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: Any = None,
) -> Any:
    """How many elements lie in each bin, and the bins' edges.

    Args:
        input: the elements.
        bins: the number of equal bins, or the edges, in order.
        range: the first and the last edge; those of the data if None.
        weight: the weight of each element.
        density: whether to divide by the sum and by the widths.
    """
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"histogramdd\" not implemented for '{input.dtype.scalar_type}'"
        )
    if weight is not None and tuple(weight.shape) != tuple(input.shape):
        raise RuntimeError(
            "torch.histogramdd(): if weight tensor is provided it should have the same shape as the input tensor excluding its innermost dimension, got input with shape "
            f"{[input.numel(), 1]} and weight with shape {list(weight.shape)}"
        )
    edges = _edges_of(0, input, bins, (0.0, 0.0) if range is None else range)
    given = input.new_ones(1) if weight is None else weight.detach()

    def counted() -> Any:
        parts = edges, input.detach(), converted(given, input.dtype)
        return _HISTOGRAM(_histogram(*parts, density), edges)

    made = without_derivative("histogram", counted, input, weight, bins)
    return _stored("histogram", made, (input,), out)


publish(histogram)

_HISTOGRAMDD = return_type("histogramdd", ("hist", "bin_edges"))


@op("histogramdd.edges", "NotImplemented")
def _histogramdd(edges: Arrays, input: Array, weight: Array, density: bool) -> Any:
    shape = [each.shape[0] - 1 for each in edges]
    at = [_bin_of(each, input[..., k].reshape(-1)) for k, each in enumerate(edges)]
    inside = functools.reduce(jnp.logical_and, [a < n for a, n in zip(at, shape, strict=True)])
    place = jnp.where(inside, jnp.ravel_multi_index(at, shape, mode="clip"), math.prod(shape))
    weights = jnp.broadcast_to(weight.reshape(-1), place.shape)
    counts = jnp.zeros(math.prod(shape) + 1, input.dtype).at[place].add(weights)[:-1].reshape(shape)
    if not density:
        return counts
    widths = functools.reduce(jnp.multiply.outer, [jnp.diff(each) for each in edges])
    return counts / (counts.sum() * widths)


def histogramdd(
    input: Tensor,
    bins: Any,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """How many points lie in each bin of several dimensions, and the bins' edges.

    Args:
        input: (..., dimensions), the points.
        bins: for each dimension the number of equal bins, or the edges, in order; or one number for all.
        range: the first and the last edge of each dimension, one after another; those of the data if None.
        weight: the weight of each point.
        density: whether to divide by the sum and by the volumes.
    """
    if input.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    count = input.shape[-1]
    wanted = [bins] * count if isinstance(bins, int) else list(bins)
    if len(wanted) != count:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input."
        )
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"histogramdd\" not implemented for '{input.dtype.scalar_type}'"
        )
    limits = [0.0] * (2 * count) if range is None else [float(each) for each in range]
    if len(limits) != 2 * count:
        raise RuntimeError(
            f"torch.histogramdd: for a {count}-dimensional histogram range should have {2 * count} elements, but got "
            f"{len(limits)}"
        )
    if weight is not None and tuple(weight.shape) != tuple(input.shape[:-1]):
        raise RuntimeError(
            "torch.histogramdd(): if weight tensor is provided it should have the same shape as the input tensor excluding its "
            f"innermost dimension, got input with shape {list(input.shape)} and weight with shape {list(weight.shape)}"
        )
    edges = [
        _edges_of(k, input[..., k], each, limits[2 * k : 2 * k + 2])
        for k, each in enumerate(wanted)
    ]
    given = input.new_ones(1) if weight is None else weight.detach()

    def counted() -> Any:
        parts = edges, input.detach(), converted(given, input.dtype)
        return _HISTOGRAMDD(_histogramdd(*parts, density), tuple(edges))

    return without_derivative("histogramdd", counted, input, weight, bins)


publish(histogramdd, method=False)

# ------------------------------------------------------------------------------------------- covariance


def _check_cov(input: Tensor, correction: int, fweights: Any, aweights: Any) -> None:
    if input.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    if input.dtype.name == "bool":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    count = input.numel() if input.ndim < 2 else input.shape[1]
    for name, each, kinds in (("fweights", fweights, "iu"), ("aweights", aweights, "fV")):
        if each is None:
            continue
        if each.ndim > 1:
            raise RuntimeError(
                f"cov(): expected {name} to have one or fewer dimensions but got {name} with {each.ndim} dimensions"
            )
        if each.dtype.numpy_dtype.kind not in kinds:
            kind = "integral" if name == "fweights" else "floating point"
            raise RuntimeError(
                f"cov(): expected {name} to have {kind} dtype but got {name} with {each.dtype.scalar_type} dtype"
            )
        known = elements(each.detach())
        if known is not None and (known < 0).any():
            raise RuntimeError(f"cov(): {name} cannot be negative")
        if each.numel() != count:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the input but got {each.numel()} != {count}"
            )


@op("cov.plain", "SqueezeBackward0")
def _plain_cov(input: Array, correction: int) -> Any:
    x = input if jnp.issubdtype(input.dtype, jnp.inexact) else input.astype(np.float32)
    x = x.reshape(1, -1) if x.ndim < 2 else x
    n = x.shape[1]
    centred = x - (x.mean(1, keepdims=True) if n else 0)
    total = jnp.matmul(centred, jnp.conj(centred).T, precision=jax.lax.Precision.HIGHEST)
    return jnp.squeeze(total / max(n - correction, 0))


@op("cov.weights", "SqueezeBackward0")
def _weighted_cov(input: Array, weights: Array, total: Array, norm: Array) -> Any:
    x = input.reshape(1, -1) if input.ndim < 2 else input
    weights = weights.astype(x.dtype)
    mean = (x * weights).sum(1, keepdims=True) / total
    centred = x - mean
    product = jnp.matmul(
        centred * weights, jnp.conj(centred).T, precision=jax.lax.Precision.HIGHEST
    )
    return jnp.squeeze(product / norm)


def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """The covariances of variables.

    Args:
        input: the variables in rows, the observations in columns.
        correction: how much less than the number of observations the sums are divided by.
        fweights: how often each observation counts.
        aweights: the importance of each observation.
    """
    _check_cov(input, correction, fweights, aweights)
    if fweights is None and aweights is None:
        observations = input.shape[-1] if input.ndim else 1
        _warn_of_freedom(observations - correction)
        return _plain_cov(input, correction)
    x = (
        input
        if input.dtype.is_floating_point or input.dtype.is_complex
        else converted(input, float32)
    )
    parts: Any = x
    real = (parts.real if x.dtype.is_complex else parts).dtype
    weights: Any = converted((fweights if aweights is None else aweights).reshape(-1), real)  # type: ignore[union-attr]
    if fweights is not None and aweights is not None:
        weights = fweights.reshape(-1) * weights
    total = weights.sum()
    norm = total - correction
    if aweights is not None and correction:
        norm = total - correction * (weights * aweights).sum() / total
    known = elements(norm)
    if known is not None:
        _warn_of_freedom(float(known))
    return _weighted_cov(x, weights, total, norm.clamp(min=0))


def _warn_of_freedom(norm: float) -> None:
    if norm <= 0:
        warn(
            "cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of observations."
        )


def corrcoef(input: Tensor) -> Tensor:
    """The correlation coefficients of variables: in rows, the observations in columns."""
    if input.ndim > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    found: Any = cov(input)
    if not found.ndim:
        return found / found
    spread = found.diagonal()
    spread = (spread.real if spread.dtype.is_complex else spread).sqrt()
    made = found / spread[:, None] / spread
    if made.dtype.is_complex:
        return FUNCTIONS["complex"](made.real.clip(-1, 1), made.imag.clip(-1, 1))
    return made.clip(-1, 1)


publish(cov)
publish(corrcoef)
