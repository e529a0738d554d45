"""Ops that gather or put elements by masks and by index tensors. One row an op."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, local
from funcgrad.engine.values import unknown
from funcgrad.torch._levels.refusals import DYNAMIC_SHAPE, MASK_SELECTED
from funcgrad.torch._memory.geometry import permute, wrap_dim
from funcgrad.torch._memory.storages import view_of
from funcgrad.torch._ops.conversions import converted, to
from funcgrad.torch._ops.index_put import added, fill_repeated, first_outside, place_of_mask, put
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.row import PROMOTED, Array, Dim, Factor, Index, Indices, Operand, op
from funcgrad.torch._ops.undifferentiable import without_derivative
from funcgrad.torch._ops.views.splitting import unbind
from funcgrad.torch._ops.views.views import expand, reshape
from funcgrad.torch._tensor.operands import check_broadcast, laid_out
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, concrete, place, tensor_of, without_history
from funcgrad.torch._tensor.view import geometry
from funcgrad.torch._types.dtypes import bool_, int32, int64, kernel_name, uint8
from funcgrad.torch._types.numbers import check_fits, kind_of
from funcgrad.torch._types.warning import warn

# ------------------------------------------------------------------------------------------- where


def _check_where(a: Aval, b: Aval, condition: Aval) -> None:
    check_broadcast(a, b)
    check_broadcast(condition, Aval(np.broadcast_shapes(a.shape, b.shape), a.dtype))


@op("where.self", "WhereBackward0", dtype=PROMOTED, check=_check_where, fits=False)
def _where(condition: Index, input: Operand, other: Operand) -> Any:
    return jnp.where(condition, input, other)


def where(
    condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None
) -> Any:
    """`input` where the condition holds, `other` elsewhere. With the condition alone: the indices where it holds.

    >>> import funcgrad.torch as torch
    >>> x = torch.tensor([-1.0, 2.0])
    >>> torch.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if not isinstance(condition, Tensor):
        raise TypeError(
            f"where(): argument 'condition' (position 1) must be Tensor, not {kind_of(condition)}"
        )
    if input is None and other is None:
        return _nonzero("where", condition, True)
    if out is not None:
        given = (condition, input, other)
        words = "Expected out type to be {Wanted} but got {Given}"
        return store("where", out, given, lambda: where(condition, input, other), words)
    if condition.dtype is uint8:
        warn(
            "where received a uint8 condition tensor. This behavior is deprecated and will be removed in a future version "
            "of PyTorch. Use a boolean condition instead."
        )
        condition = to(condition, bool_)
    if condition.dtype is not bool_:
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype.scalar_type}"
        )
    result = _where(condition, input, other)
    return laid_out(result, *[x for x in (condition, input, other) if isinstance(x, Tensor)])


def _method_where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """The tensor where the condition holds, `other` elsewhere."""
    return where(condition, self, other)


publish(where, method=False)
publish(_method_where, "where", function=False)


# ------------------------------------------------------------------------------------------- places that are not zero


def nonzero(input: Tensor, *, as_tuple: bool = False, out: Tensor | None = None) -> Any:
    """The indices of elements that are not zero: one a row, or one tensor for each dimension."""
    if out is not None:
        words = (
            "nonzero: Expected out tensor to have scalar type {Wanted} but got scalar type{Given}"
        )
        return store("nonzero", out, (input,), lambda: nonzero(input), words)
    return _nonzero("nonzero", input, as_tuple)


def argwhere(input: Tensor) -> Tensor:
    """The indices of elements that are not zero, one a row."""
    return _nonzero("nonzero", input, False)


def _nonzero(called: str, input: Tensor, as_tuple: bool) -> Any:
    array = np.asarray(concrete(input._array(), DYNAMIC_SHAPE.format(called)))
    places = np.nonzero(array) if array.ndim else np.nonzero(array.reshape(1))
    columns = np.stack(places) if array.ndim else np.zeros((0, len(places[0])), np.int64)
    held = tensor_of(place(columns))
    # In PyTorch's memory, the indices of one dimension lie side by side.
    rows = without_history(view_of(held._storage, permute(geometry(held), (1, 0))))
    if not as_tuple:
        return rows
    return unbind(rows, 1) if array.ndim else (tensor_of(place(places[0])),)


@op("nonzero_static.of", "NotImplemented")
def _nonzero_static(input: Array, size: int, fill_value: int) -> Any:
    places = jnp.nonzero(input, size=size, fill_value=fill_value)
    return jnp.stack(places, 1).astype(np.int64)


def nonzero_static(
    input: Tensor, *, size: int, fill_value: int = -1, out: Tensor | None = None
) -> Any:
    """The indices of elements that are not zero, one a row: as many rows as asked for.

    Args:
        input: the tensor.
        size: how many rows there are; further indices are left out.
        fill_value: the elements of rows for which there is no index.
        out: a tensor of int64 for the result.
    """
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")

    def found() -> Tensor:
        if input.ndim == 0:
            return input.new_empty((size, 0), dtype=int64)
        return _nonzero_static(input.detach(), size, fill_value)

    if out is not None:
        words = "nonzero_static: Expected out tensor to have scalar type {Wanted} but got scalar type {Given}"
        return store("nonzero_static", out, (input,), found, words)
    return found()


publish(nonzero)
publish(nonzero_static)
publish(argwhere)

# ------------------------------------------------------------------------------------------- masks


@op("masked_select.places", "MaskedSelectBackward0", keeps=(0,))
def _masked_select(input: Array, places: Indices, shape: tuple[int, ...]) -> Any:
    return jnp.broadcast_to(input, shape)[places] if shape else input.reshape(1)[places[0]]


def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where a mask is set, in one dimension."""
    if out is not None:
        words = "masked_select(): self and result must have the same scalar type"
        return store("masked_select", out, (input, mask), lambda: masked_select(input, mask), words)
    if mask.dtype is not bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    check_broadcast(input._storage.aval, mask._storage.aval)
    shape = np.broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    array = np.asarray(concrete(mask._array(), MASK_SELECTED))
    places = np.nonzero(np.broadcast_to(array, shape or (1,)))
    indices = [place_of_mask(mask, each) for each in places]
    return _masked_select(input, indices, shape)


publish(masked_select)


def _check_fill(input: Tensor, mask: Tensor, value: Any) -> None:
    if mask.dtype is not bool_:
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {kernel_name(mask.dtype)}"
        )
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    if isinstance(value, Tensor) and value.dtype.is_complex and not input.dtype.is_complex:
        array = value._array()
        check_fits(1j if unknown(array) else array.item(), input.dtype.numpy_dtype)


def _fill_repeated(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    _check_fill(input, mask, value)
    return fill_repeated(
        "masked_fill_", input, [expand(mask, *input.shape)], _filling(input, value)
    )


def _filling(input: Tensor, value: Any) -> Tensor:
    """A number to fill a tensor with, as a tensor of its dtype."""
    if isinstance(value, Tensor):
        return converted(value, input.dtype)
    return input.new_full((), value)


@op(
    "masked_fill",
    "MaskedFillBackward1",
    node_of_number="MaskedFillBackward0",
    check=check_broadcast,
    prepare=_check_fill,
    in_place=True,
    repeated=_fill_repeated,
)
def masked_fill(input: Array, mask: Index, value: Operand) -> Any:
    """A copy of the tensor with a number where a mask is set."""
    if input.dtype == bool:
        value = value != 0
    real = jnp.iscomplexobj(value) and not jnp.iscomplexobj(input)
    return jnp.where(mask, (value.real if real else value).astype(input.dtype), input)


def _check_scattered(input: Tensor, mask: Tensor, source: Tensor) -> None:
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{input.dtype.scalar_type} and {source.dtype.scalar_type}"
        )
    if mask.dtype is uint8:
        warn(
            "masked_scatter_ received a mask with dtype torch.uint8, this behavior is now deprecated,please use a mask with "
            "dtype torch.bool instead."
        )
    if mask.dtype is not bool_:
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype.scalar_type}"
        )
    check_broadcast(mask._storage.aval, input._storage.aval)
    array = mask._array()
    if not unknown(array):
        shape = np.broadcast_shapes(array.shape, tuple(input.shape))
        count = np.broadcast_to(np.asarray(array), shape).sum()
        if count > source.numel():
            raise RuntimeError("Number of elements of source < number of ones in mask")


@op(
    "masked_scatter",
    "MaskedScatterBackward0",
    prepare=_check_scattered,
    in_place=True,
)
def masked_scatter(input: Array, mask: Index, source: Array) -> Any:
    """A copy of the tensor; where the mask is set, it takes the elements of `source` one after another."""
    mask, input = jnp.broadcast_arrays(mask, input)
    order = jnp.cumsum(mask.reshape(-1)) - 1
    chosen = source.reshape(-1)[jnp.clip(order, 0, max(source.size - 1, 0))]
    return jnp.where(mask, chosen.reshape(input.shape), input)


# ------------------------------------------------------------------------------------------- checks of indices


def check_bounds(
    index: Tensor, length: int, complain: Callable[[int], Exception], low: int = 0
) -> None:
    bad = first_outside(index, low, length)
    if bad is not None:
        raise complain(bad)


def _length(input: Tensor, dim: int) -> int:
    return input.shape[dim] if input.ndim else 1


def _out_of_bounds(error: type[Exception], dim: int, length: int, called: str = "") -> Any:
    return lambda bad: error(
        f"{called}index {bad} is out of bounds for dimension {dim} with size {length}"
    )


def check_index(name: str, input: Tensor, dim: int, index: Tensor) -> None:
    if index.dtype.name not in ("int32", "int64") and index.numel():
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")


def check_within(input: Tensor, dim: int, index: Tensor) -> None:
    length = _length(input, dim)
    check_bounds(index, length, _out_of_bounds(RuntimeError, dim, length))


def mesh(index: Any, dim: int) -> tuple[Any, ...]:
    """A key that uses `index` along `dim`, and each place's own position along the other dimensions."""
    return tuple(
        index
        if k == dim
        else jnp.arange(n).reshape([-1 if each == k else 1 for each in range(index.ndim)])
        for k, n in enumerate(index.shape)
    )


# ------------------------------------------------------------------------------------------- gather, take


def _check_gather(input: Tensor, dim: int, index: Tensor, sparse_grad: bool) -> None:
    check_index("gather", input, dim, index)
    if not index.numel():
        return
    if max(index.ndim, 1) != max(input.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    for k, (n, m) in enumerate(zip(index.shape, input.shape, strict=False)):
        if k != dim and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {k} expected index {list(index.shape)} to be no larger than self "
                f"{list(input.shape)} apart from dimension {dim}"
            )
    check_within(input, dim, index)


@op("gather", "GatherBackward0", keeps=(0,), prepare=_check_gather, out=EXACT)
def gather(input: Array, dim: Dim, index: Index, *, sparse_grad: bool = False) -> Any:
    """The elements that an index tensor names along a dimension."""
    if not index.size:
        return jnp.zeros(index.shape, input.dtype)
    if not index.ndim:
        return input.reshape(-1)[index]
    return input[mesh(index, dim)] if input.ndim else input.reshape(1)[index]


def _check_take(input: Tensor, index: Tensor) -> None:
    if index.dtype is not int64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {index.dtype.scalar_type}"
        )
    length = input.numel()
    if not length and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    check_bounds(
        index,
        length,
        lambda bad: IndexError(
            f"out of range: tried to access index {bad} on a tensor of {length} elements."
        ),
        low=-length,
    )


@op(
    "take",
    "TakeBackward0",
    keeps=(0,),
    prepare=_check_take,
    out="take(): self and out expected to have the same dtype, but got self.dtype = {Wanted} and out.dtype = {Given}",
)
def take(input: Array, index: Index) -> Any:
    """The elements that indices name in the flattened tensor."""
    return input.reshape(-1)[index]


@op("wrap.length", "NotImplemented")
def _wrapped(index: Array, length: int) -> Any:
    return index % max(length, 1)


def take_along_dim(
    input: Tensor, indices: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """`gather` with the other dimensions broadcast; without `dim`, over the flattened tensors."""
    if out is not None:
        given = (input, indices)
        return store("take_along_dim", out, given, lambda: take_along_dim(input, indices, dim))
    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1))
    if indices.dtype is not int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{indices.dtype.scalar_type}"
        )
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    dim = wrap_dim(dim, input.ndim)
    shapes = []
    for one, two in ((input.shape, indices.shape), (indices.shape, input.shape)):
        other = list(two)
        other[dim] = 1
        shape = list(
            np.broadcast_shapes(
                tuple([1 if k == dim else n for k, n in enumerate(one)]), tuple(other)
            )
        )
        shape[dim] = one[dim]
        shapes.append(shape)
    # PyTorch copies the indices, so the caller may change them in place before backward.
    held = _wrapped(without_history(indices._storage), _length(input, dim))
    return gather(expand(input, shapes[0]), dim, expand(held, shapes[1]))


publish(take_along_dim)


def _check_select(input: Tensor, dim: int, index: Tensor) -> Any:
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype.name not in ("int32", "int64"):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if not input.ndim and index.numel() != 1:
        raise RuntimeError(
            f"index_select(): Index to scalar can have only 1 value, got {index.numel()} value(s)"
        )
    length = _length(input, dim)
    check_bounds(
        index,
        length,
        lambda bad: (
            RuntimeError(f"INDICES element is out of DATA bounds, id={bad} axis_dim={length}")
            if dim
            else IndexError("index out of range in self")
        ),
    )
    return [input, dim, index if index.ndim else expand(index, 1)]


@op(
    "index_select",
    "IndexSelectBackward0",
    prepare=_check_select,
    out="index_select(): self and result must have the same scalar type",
)
def index_select(input: Array, dim: Dim, index: Index) -> Any:
    """The places along a dimension that an index tensor names."""
    return jnp.take(input, index, dim) if input.ndim else input


# ------------------------------------------------------------------------------------------- scatter


def check_scatter(input: Tensor, dim: int, index: Tensor, src: Any) -> None:
    check_index("scatter", input, dim, index)
    if isinstance(src, Tensor) and src.dtype is not input.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not index.numel():
        return
    if not isinstance(src, Tensor):
        if max(index.ndim, 1) != max(input.ndim, 1):
            raise RuntimeError(
                "Index tensor must have the same number of dimensions as self tensor"
            )
        sizes = zip(index.shape, input.shape, strict=False)
        if any(n > m and k != dim for k, (n, m) in enumerate(sizes)):
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from dimension {dim}"
            )
    else:
        for other, name in ((input, "self"), (src, "src")):
            if max(index.ndim, 1) != max(other.ndim, 1):
                raise RuntimeError(
                    f"Index tensor must have the same number of dimensions as {name} tensor"
                )
        small = all(
            n <= m and (k == dim or n <= s)
            for k, (n, m, s) in enumerate(zip(index.shape, src.shape, input.shape, strict=False))
        )
        if not small:
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from dimension "
                f"{dim} and to be no larger size than src {list(src.shape)}"
            )
    check_within(input, dim, index)


def corner(source: Any, index: Any) -> Any:
    return source[tuple([slice(0, n) for n in index.shape])]


@op(
    "scatter.src",
    "ScatterBackward0",
    node_of_number="ScatterBackward1",
    prepare=check_scatter,
    in_place=True,
    disjoint=True,
    out=EXACT,
)
def _scatter(input: Array, dim: Dim, index: Index, src: Operand) -> Any:
    if not index.size:
        return input
    if not input.ndim:
        return src.reshape(()).astype(input.dtype)
    src = jnp.broadcast_to(src, index.shape) if not src.ndim else corner(src, index)
    places = jnp.broadcast_arrays(*mesh(index, dim))
    return put(tuple(range(input.ndim)), input, src, *places)


@op(
    "scatter.reduce",
    "NotImplemented",
    prepare=lambda *given: check_scatter(*given[:4]),
    in_place=True,
    disjoint=True,
    out=EXACT,
)
def _scatter_reduced(input: Array, dim: Dim, index: Index, src: Operand, reduce: str) -> Any:
    if not index.size:
        return input
    src = jnp.broadcast_to(src, index.shape) if not src.ndim else corner(src, index)
    places = input.reshape(1) if not input.ndim else input
    at = mesh(index.reshape(src.shape), dim) if input.ndim else index.reshape(1)
    values = src.astype(input.dtype)
    if reduce == "add":
        made = added(places, at, values)
    else:
        made = places.at[at].min(values) if values.dtype == bool else places.at[at].multiply(values)
    return made.reshape(input.shape)


def _check_reduce(reduce: Any, src: Any) -> None:
    """Check `scatter`'s way to join elements, and warn of it as PyTorch does.

    Raises:
        RuntimeError: there is no such way.
    """
    if isinstance(src, Tensor):
        warn(
            "The reduce argument of torch.scatter with Tensor src is deprecated and will be removed in a future PyTorch "
            "release. Use torch.scatter_reduce instead for more reduction options."
        )
    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")


def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """A copy of the tensor with the elements of `src` at the places that `index` names along a dimension.

    Args:
        input: the tensor.
        dim: the dimension.
        index: the places, integers.
        src, value: the elements, or one number for all.
        reduce: "add" or "multiply", to join the elements with those that are there; it has no derivative.
        out: the tensor to store the result in.
    """
    given = value if src is None else src
    if reduce is None:
        return _scatter(input, dim, index, given, out=out)
    _check_reduce(reduce, given)
    return without_derivative(
        "scatter",
        lambda: _scatter_reduced(input, dim, index, given, reduce, out=out),
        input,
        given,
    )


def scatter_(
    self: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    """`scatter`, stored in the tensor itself.

    Raises:
        RuntimeError: a gradient is wanted of it with `reduce`, which has no derivative.
    """
    given = value if src is None else src
    if reduce is None:
        return _scatter.stored(self, dim, index, given)
    _check_reduce(reduce, given)
    wants = self.requires_grad or (isinstance(given, Tensor) and given.requires_grad)
    if wants and local.recorder.grad_enabled:
        raise RuntimeError("derivative for aten::scatter_ is not implemented")
    return _scatter_reduced.stored(self, dim, index, given, reduce)


publish(scatter)
publish(scatter_, function=False)


@op(
    "scatter_add",
    "ScatterAddBackward0",
    prepare=check_scatter,
    in_place=True,
    disjoint=True,
    out=EXACT,
)
def scatter_add(input: Array, dim: Dim, index: Index, src: Array) -> Any:
    """A copy of the tensor with the elements of `src` added at the places that `index` names along a dimension."""
    if not index.size:
        return input
    if not input.ndim:
        return input + src.reshape(())
    return added(input, mesh(index, dim), corner(src, index))


# ------------------------------------------------------------------------------------------- places along a dimension


def vector(name: str, index: Tensor) -> Tensor:
    if index.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    return index if index.ndim else expand(index, 1)


def check_slices(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """Check that an index tensor names a place of the input for each slice of `source`; returns it as a vector.

    Raises:
        RuntimeError, IndexError: the shapes or the dtypes do not fit, or an index is out of range.
    """
    index = vector(name, index)
    if index.dtype not in (int32, int64):
        raise RuntimeError(
            f"{name}(): Expected dtype int32/int64 for index but got: {index.dtype.scalar_type}"
        )
    sizes, given = list(input.shape), list(source.shape)
    if index.numel() != (given[dim] if dim < len(given) else 1):
        raise RuntimeError(
            f"{name}(): Number of indices ({index.numel()}) should be equal to source.size(dim): "
            f"({given[dim] if given else 1}), for dim: {dim}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}(): self ({input.dtype.scalar_type}) and source ({source.dtype.scalar_type}) must have the same "
            "scalar type"
        )
    same = sizes[:dim] + sizes[dim + 1 :] == given[:dim] + given[dim + 1 :]
    if input.ndim and not (same and len(sizes) == len(given)):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{sizes} source.shape = {given}"
        )
    check_bounds(index, _length(input, dim), lambda bad: IndexError("index out of range in self"))
    return index


def _check_add(input: Tensor, dim: int, index: Tensor, source: Tensor, alpha: Any) -> Any:
    return [input, dim, check_slices("index_add_", input, dim, index, source), source, alpha]


@op(
    "index_add",
    "IndexAddBackward0",
    keeps=(1,),
    prepare=_check_add,
    in_place=True,
    disjoint=True,
    out=EXACT,
)
def index_add(input: Array, dim: Dim, index: Index, source: Array, *, alpha: Factor = 1) -> Any:
    """A copy of the tensor with the elements of `source` added at the places that `index` names along a dimension."""
    if not input.ndim:
        return input + source.reshape(()) * alpha
    return added(input, (*[slice(None)] * dim, index), source * alpha)


def _check_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Any:
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{input.dtype.scalar_type} and (source) {source.dtype.scalar_type}"
        )
    if index.dtype is not int64:
        raise RuntimeError(
            f"index_copy_(): Expected a long tensor for index, but got {index.dtype.scalar_type}"
        )
    index, length = vector("index_copy_", index), _length(input, dim)
    if input.ndim and source.ndim:
        slices = [list(x.shape[:dim]) + list(x.shape[dim + 1 :]) for x in (input, source)]
        if slices[0] != slices[1]:
            raise RuntimeError(
                "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
                f"{' '.join(map(str, slices[0]))} at dimension {dim} and source slice shape: "
                f"{' '.join(map(str, slices[1]))} at dimension 0."
            )
        if index.numel() != source.shape[dim]:
            raise IndexError(
                f"index_copy_(): Number of indices ({index.numel()}) should be equal to source.size(dim) "
                f"({source.shape[dim]})"
            )
    check_bounds(index, length, _out_of_bounds(IndexError, dim, length, "index_copy_(): "))
    return [input, dim, index, source]


@op(
    "index_copy",
    "IndexCopyBackward0",
    keeps=(1,),
    prepare=_check_copy,
    in_place=True,
    disjoint=True,
    out=EXACT,
)
def index_copy(input: Array, dim: Dim, index: Index, source: Array) -> Any:
    """A copy of the tensor with the elements of `source` at the places that `index` names along a dimension."""
    if not input.ndim:
        return source.reshape(())
    moved = put((0,), jnp.moveaxis(input, dim, 0), jnp.moveaxis(source, dim, 0), index)
    return jnp.moveaxis(moved, 0, dim)


def _check_index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Any:
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    if index.dtype is not int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    index, length = vector("index_fill_", index), _length(input, dim)
    # Unlike the other ops, `index_fill` counts negative indices from the end.
    check_bounds(index, length, _out_of_bounds(IndexError, dim, length), -length)
    if isinstance(value, Tensor) and value.dtype.is_complex and not input.dtype.is_complex:
        raise RuntimeError(
            "index_fill_(): Converting complex Scalar to non-complex type is not supported"
        )
    return [input, dim, index, value]


def _fill_places_repeated(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    dim = wrap_dim(dim, input.ndim)
    _, _, places, _ = _check_index_fill(input, dim, index, value)
    return fill_repeated("index_fill_", input, [None] * dim + [places], _filling(input, value))


@op(
    "index_fill",
    "IndexFillBackward1",
    node_of_number="IndexFillBackward0",
    prepare=_check_index_fill,
    laid_out=True,
    in_place=True,
    repeated=_fill_places_repeated,
)
def index_fill(input: Array, dim: Dim, index: Index, value: Operand) -> Any:
    """A copy of the tensor with a number at the places that `index` names along a dimension."""
    # A mask, so that a place named twice counts once in the value's gradient.
    length = input.shape[dim] if input.ndim else 1
    mask = jnp.zeros(length, bool).at[index].set(True)
    shape = [length if k == dim else 1 for k in range(input.ndim)]
    return jnp.where(mask.reshape(shape), value.astype(input.dtype), input)
