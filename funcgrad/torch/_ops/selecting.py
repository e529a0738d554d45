"""Ops that choose elements by masks and by index tensors: gathered from a tensor, or put into one."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.engine import Aval, Op, Variable, record
from funcgrad.engine.values import is_tracer
from funcgrad.torch._levels.refusals import DYNAMIC_SHAPE, MASK_SELECTED
from funcgrad.torch._memory.geometry import permute, wrap_dim
from funcgrad.torch._memory.storages import view_of
from funcgrad.torch._ops.index_put import first_outside, place_of_mask
from funcgrad.torch._ops.selection_ops import selection_op
from funcgrad.torch._ops.views.splitting import unbind
from funcgrad.torch._ops.views.views import expand
from funcgrad.torch._tensor.in_place import in_place, writable
from funcgrad.torch._tensor.operands import check_broadcast, laid_out, promoted, stored_number
from funcgrad.torch._tensor.tensor import Tensor, concrete, place, tensor_of, without_history
from funcgrad.torch._tensor.view import geometry
from funcgrad.torch._types.dtypes import bool_, dtype, int64, kernel_name


def _operand(value: Any, to: dtype) -> Variable:
    return value if isinstance(value, Tensor) else stored_number(value, Aval((), to.numpy_dtype))


# ------------------------------------------------------------------------------------------- masks


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, `other` elsewhere; with the condition alone, where it holds.

    >>> import funcgrad.torch as torch
    >>> x = torch.tensor([-1.0, 2.0])
    >>> torch.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if input is None and other is None:
        return _nonzero("where", condition, True)
    if condition.dtype is not bool_:
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype.scalar_type}"
        )
    to = promoted((input, other))
    arguments = (_operand(input, to), _operand(other, to), condition)
    result = tensor_of(*record(selection_op("WhereBackward0", to.numpy_dtype), arguments))
    return laid_out(result, condition, *arguments[:2])


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of elements that are not zero: one a row, or one tensor for each dimension."""
    return _nonzero("nonzero", input, as_tuple)


def _nonzero(called: str, input: Tensor, as_tuple: bool) -> Any:
    array = np.asarray(concrete(input._array(), DYNAMIC_SHAPE.format(called)))
    places = np.nonzero(array) if array.ndim else np.nonzero(array.reshape(1))
    columns = np.stack(places) if array.ndim else np.zeros((0, len(places[0])), np.int64)
    held = tensor_of(place(columns))
    # PyTorch has the indices of one dimension side by side in memory.
    rows = without_history(view_of(held._storage, permute(geometry(held), (1, 0))))
    if not as_tuple:
        return rows
    return unbind(rows, 1) if array.ndim else (tensor_of(place(places[0])),)


def _check_mask(mask: Tensor, name: str) -> None:
    if mask.dtype is not bool_:
        raise RuntimeError(f"{name}: expected BoolTensor for mask")


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where a mask is set, in one dimension."""
    _check_mask(mask, "masked_select")
    check_broadcast(input._storage.value.aval, mask._storage.value.aval)
    shape = np.broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    array = np.asarray(concrete(mask._array(), MASK_SELECTED))
    places = np.nonzero(np.broadcast_to(array, shape or (1,)))
    arguments = (input, *[place_of_mask(mask, each) for each in places])
    return tensor_of(*record(selection_op("MaskedSelectBackward0", shape), arguments))


def _masked_fill(input: Tensor, mask: Tensor, value: Any) -> tuple[Op, tuple[Any, ...]]:
    if mask.dtype is not bool_:
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {kernel_name(mask.dtype)}"
        )
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.ndim} dimension(s)."
            )
        return selection_op("MaskedFillBackward1"), (value, mask)
    return selection_op("MaskedFillBackward0"), (_operand(value, input.dtype), mask)


def _masked_scatter_op(input: Tensor, mask: Tensor, source: Tensor) -> tuple[Op, tuple[Any, ...]]:
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{input.dtype.scalar_type} and {source.dtype.scalar_type}"
        )
    array = mask._array()
    if not is_tracer(array):
        count = np.broadcast_to(np.asarray(array), tuple(input.shape)).sum()
        if count > source.numel():
            raise RuntimeError("Number of elements of source < number of ones in mask")
    return selection_op("MaskedScatterBackward0"), (source, mask)


# ------------------------------------------------------------------------------------------- index tensors


def _check_index(index: Tensor, name: str) -> None:
    if index.dtype.name not in ("int32", "int64"):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")


def _check_bounds(
    index: Tensor, length: int, complain: Callable[[int], Exception], low: int = 0
) -> None:
    bad = first_outside(index, low, length)
    if bad is not None:
        raise complain(bad)


def _dimension_bounds(index: Tensor, dim: int, input: Tensor) -> None:
    length = input.shape[dim] if input.ndim else 1
    _check_bounds(
        index,
        length,
        lambda bad: RuntimeError(
            f"index {bad} is out of bounds for dimension {dim} with size {length}"
        ),
    )


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements that index tensors name along a dimension."""
    dim = wrap_dim(dim, input.ndim)
    _check_index(index, "gather")
    if max(index.ndim, 1) != max(input.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    for k, (n, m) in enumerate(zip(index.shape, input.shape, strict=False)):
        if k != dim and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {k} expected index {list(index.shape)} to be no larger than self "
                f"{list(input.shape)} apart from dimension {dim}"
            )
    _dimension_bounds(index, dim, input)
    return tensor_of(*record(selection_op("GatherBackward0", dim), (input, index)))


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements that indices name in the tensor as if it had one dimension."""
    if index.dtype is not int64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {index.dtype.scalar_type}"
        )
    length = input.numel()
    if not length and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    _check_bounds(
        index,
        length,
        lambda bad: IndexError(
            f"out of range: tried to access index {bad} on a tensor of {length} elements."
        ),
        low=-length,
    )
    return tensor_of(*record(selection_op("TakeBackward0"), (input, index)))


@lru_cache(maxsize=256)
def _wrapped(length: int) -> Op:
    return Op("wrap", lambda index: index % max(length, 1))


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with dimensions broadcast; over all elements without a dimension."""
    from funcgrad.torch._ops.views.views import reshape

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
    # PyTorch makes a copy of the indices, so they may be changed in place.
    length = input.shape[dim] if input.ndim else 1
    held = tensor_of(record(_wrapped(length), (without_history(indices._storage),))[0])
    return gather(expand(input, shapes[0]), dim, expand(held, shapes[1]))


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The places along a dimension that an index tensor names."""
    dim = wrap_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype.name not in ("int32", "int64"):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if not input.ndim and index.numel() != 1:
        raise RuntimeError(
            f"index_select(): Index to scalar can have only 1 value, got {index.numel()} value(s)"
        )
    length = input.shape[dim] if input.ndim else 1
    _check_bounds(
        index,
        length,
        lambda bad: (
            RuntimeError(f"INDICES element is out of DATA bounds, id={bad} axis_dim={length}")
            if dim
            else IndexError("index out of range in self")
        ),
    )
    if not index.ndim:
        index = expand(index, 1)
    return tensor_of(*record(selection_op("IndexSelectBackward0", dim), (input, index)))


def _scatter_op(
    name: str, label: str, input: Tensor, dim: int, index: Tensor, source: Any
) -> tuple[Op, tuple[Any, ...]]:
    dim = wrap_dim(dim, input.ndim)
    _check_index(index, name)
    if isinstance(source, Tensor):
        if source.dtype is not input.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
        if max(index.ndim, 1) != max(input.ndim, 1):
            raise RuntimeError(
                "Index tensor must have the same number of dimensions as self tensor"
            )
        if max(index.ndim, 1) != max(source.ndim, 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
        small = all(
            n <= m and (k == dim or n <= s)
            for k, (n, m, s) in enumerate(zip(index.shape, source.shape, input.shape, strict=False))
        )
        if not small:
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from dimension "
                f"{dim} and to be no larger size than src {list(source.shape)}"
            )
    _dimension_bounds(index, dim, input)
    return selection_op(label, dim), (_operand(source, input.dtype), index)


def _scatter_of(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None
) -> tuple[Op, tuple[Any, ...]]:
    source = value if src is None else src
    label = "ScatterBackward0" if isinstance(source, Tensor) else "ScatterBackward1"
    return _scatter_op("scatter", label, input, dim, index, source)


def _scatter_add_of(
    input: Tensor, dim: int, index: Tensor, src: Tensor
) -> tuple[Op, tuple[Any, ...]]:
    return _scatter_op("scatter", "ScatterAddBackward0", input, dim, index, src)


def _index_op(
    name: str, label: str, input: Tensor, dim: int, index: Tensor, source: Tensor, *more: Any
) -> tuple[Op, tuple[Any, ...]]:
    dim = wrap_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    if not index.ndim:
        index = expand(index, 1)
    length = input.shape[dim] if input.ndim else 1
    complaint = (
        (lambda bad: IndexError("index out of range in self"))
        if name == "index_add"
        else (
            lambda bad: IndexError(
                f"{name}(): index {bad} is out of bounds for dimension {dim} with size {length}"
            )
        )
    )
    low = 0
    if name == "index_fill_":  # the one that counts negative indices from the end
        low, complaint = (
            -length,
            lambda bad: IndexError(
                f"index {bad} is out of bounds for dimension {dim} with size {length}"
            ),
        )
    _check_bounds(index, length, complaint, low)
    return selection_op(label, dim), (source, index, *more)


def _index_add_of(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1
) -> tuple[Op, tuple[Any, ...]]:
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"index_add_(): self ({input.dtype.scalar_type}) and source ({source.dtype.scalar_type}) must have the same "
            "scalar type"
        )
    scale = stored_number(alpha, Aval((), input.dtype.numpy_dtype))
    return _index_op("index_add", "IndexAddBackward0", input, dim, index, source, scale)


def _index_copy_of(
    input: Tensor, dim: int, index: Tensor, source: Tensor
) -> tuple[Op, tuple[Any, ...]]:
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{input.dtype.scalar_type} and (source) {source.dtype.scalar_type}"
        )
    if index.dtype is not int64:
        raise RuntimeError(
            f"index_copy_(): Expected a long tensor for index, but got {index.dtype.scalar_type}"
        )
    return _index_op("index_copy_", "IndexCopyBackward0", input, dim, index, source)


def _index_fill_of(
    input: Tensor, dim: int, index: Tensor, value: Any
) -> tuple[Op, tuple[Any, ...]]:
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    if index.dtype is not int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    label = "IndexFillBackward1" if isinstance(value, Tensor) else "IndexFillBackward0"
    source: Any = _operand(value, input.dtype)
    return _index_op("index_fill_", label, input, dim, index, source)


# Ops that come as a copy and in place: what each records, from the arguments.
_PAIRS: dict[str, Callable[..., tuple[Op, tuple[Any, ...]]]] = {
    "index_add": _index_add_of,
    "index_copy": _index_copy_of,
    "index_fill": _index_fill_of,
    "masked_fill": _masked_fill,
    "masked_scatter": _masked_scatter_op,
    "scatter": _scatter_of,
    "scatter_add": _scatter_add_of,
}


def _pair(name: str, of: Callable[..., tuple[Op, tuple[Any, ...]]]) -> None:
    def copied(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        op, others = of(input, *args, **kwargs)
        return tensor_of(*record(op, (input, *others)))

    def stored(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        op, others = of(self, *args, **kwargs)
        writable(self, *others, name=stored.__name__)
        shapes: Sequence[Any] = [other._storage.value.aval.shape for other in others]
        if name.startswith("masked") and np.broadcast_shapes(
            tuple(self.shape), shapes[-1]
        ) != tuple(self.shape):
            raise RuntimeError(
                f"output with shape {list(self.shape)} doesn't match the broadcast shape "
                f"{list(np.broadcast_shapes(tuple(self.shape), shapes[-1]))}"
            )
        return in_place(op, self, *others)

    copied.__name__ = copied.__qualname__ = name
    copied.__doc__ = f"As `torch.{name}`."
    stored.__name__ = stored.__qualname__ = f"{name}_"
    stored.__doc__ = f"`{name}` stored in the tensor itself."
    FUNCTIONS[name] = METHODS[name] = copied
    METHODS[f"{name}_"] = stored


def _method_where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """The tensor where the condition holds, `other` elsewhere."""
    return where(condition, self, other)


FUNCTIONS: dict[str, Any] = {
    "argwhere": nonzero,
    "gather": gather,
    "index_select": index_select,
    "masked_select": masked_select,
    "nonzero": nonzero,
    "take": take,
    "take_along_dim": take_along_dim,
    "where": where,
}
METHODS: dict[str, Any] = {**FUNCTIONS, "where": _method_where}
for _name, _of in _PAIRS.items():
    _pair(_name, _of)
