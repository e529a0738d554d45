"""Gathering and putting elements at the places that index tensors and masks name."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Op, Storage, Value, local, record
from funcgrad.engine.derivatives import pushing
from funcgrad.engine.levels import all_elements
from funcgrad.engine.nodes import behind
from funcgrad.engine.values import unknown
from funcgrad.torch._levels.refusals import MASK, check_transformed
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.result_order import stored_like
from funcgrad.torch._ops.conversions import clone
from funcgrad.torch._tensor.in_place import check_no_overlap, in_place, writable
from funcgrad.torch._tensor.tensor import Tensor, concrete, place, tensor_of, without_history
from funcgrad.torch._tensor.view import geometry, written_view
from funcgrad.torch._types.dtypes import uint8
from funcgrad.torch._types.warning import warn

# The dtypes of masks, by PyTorch's and by NumPy's names.
MASKS = {"torch.bool", "torch.uint8", "bool", "uint8"}


def _places(tensor: Tensor, of: Geometry, dim: int) -> list[Tensor]:
    """The index tensors for `tensor`: itself, or for a mask the indices of its set places, one tensor for each dimension."""
    if str(tensor.dtype) not in MASKS:
        return [tensor]
    if tensor.dtype is uint8:
        warn(
            "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead."
        )
    _check_mask(tensor, of, dim)
    array = np.asarray(concrete(tensor._array(), MASK))
    return [place_of_mask(tensor, each) for each in np.nonzero(array)]


def _check_mask(mask: Tensor, of: Geometry, dim: int) -> None:
    """Check that a mask has the shape of the dimensions that it indexes, from `dim` on.

    Raises:
        IndexError: it has another.
    """
    shape = mask._storage.aval.shape
    if dim + len(shape) > len(of.size):
        raise IndexError(f"too many indices for tensor of dimension {len(of.size)}")
    for k, length in enumerate(shape):
        if of.size[dim + k] != length:
            raise IndexError(
                f"The shape of the mask {list(shape)} at index {k} does not match the shape of the indexed tensor "
                f"{list(of.size)} at index {dim + k}"
            )


class _MaskStorage(Storage):
    """The indices of a mask's set places along one dimension.

    Their version is the mask's: PyTorch saves the mask itself, so a change of the mask in place is the error.
    """

    __slots__ = ("mask",)

    def __init__(self, value: Value, mask: Storage) -> None:
        self.value, self.mask = value, mask

    @property
    def version(self) -> int:  # type: ignore[override]
        """The mask's version."""
        return self.mask.version

    def changed(self, version: int) -> tuple[Storage, int, int | None]:
        """The mask."""
        return self.mask, version, None


def place_of_mask(mask: Tensor, places: np.ndarray) -> Tensor:
    """The indices of a mask's set places along one dimension, as a tensor."""
    return without_history(_MaskStorage(place(places), mask._storage))


def _checked(of: Geometry, arrays: Sequence[Any]) -> tuple[tuple[int, ...], list[Tensor]]:
    """The indexed dimensions, and their index tensors."""
    found: dict[int, Tensor] = {}
    for dim, array in enumerate(arrays):
        if array is not None:
            tensor = array if isinstance(array, Tensor) else tensor_of(array)
            found.update(enumerate(_places(tensor, of, dim), dim))
    dims, tensors = tuple(found), list(found.values())
    shapes = [tuple(each.shape) for each in tensors]
    try:
        if len(shapes) > 1:
            np.broadcast_shapes(*shapes)
    except ValueError:
        listed = ", ".join(str(list(shape)) for shape in shapes)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {listed}"
        ) from None
    if not all(of.size[dim] for dim in dims) and 0 not in np.broadcast_shapes(*shapes):
        raise IndexError("index is out of bounds for dimension with size 0")
    return dims, tensors


def _is_mask(array: Any) -> bool:
    return array._storage.aval.dtype.kind == "b" if isinstance(array, Tensor) else False


def _check_ranges(of: Geometry, dims: tuple[int, ...], tensors: Sequence[Tensor]) -> None:
    if any(of.size[dim] == 0 for dim in dims) and all(each.numel() for each in tensors):
        raise IndexError("index is out of bounds for dimension with size 0")
    # The places of a mask are inside.
    if all(isinstance(each._storage, _MaskStorage) for each in tensors):
        return
    if 0 in _gathered_shape(of.size, dims, tensors):
        return  # no element is gathered
    for position, (dim, tensor) in enumerate(zip(dims, tensors, strict=True)):
        check_range(tensor, of.size[dim], position)


def check_range(tensor: Tensor, length: int, dim: int) -> None:
    """Check that indices are in range. Indices with unknown values, such as tracers, pass.

    Raises:
        IndexError: an index is out of range.
    """
    bad = first_outside(tensor, -length, length)
    if bad is not None:
        raise IndexError(f"index {bad} is out of bounds for dimension {dim} with size {length}")


def first_outside(tensor: Tensor, low: int, high: int) -> int | None:
    """The first element outside `[low, high)`; inside `vmap`, the whole batch is searched.

    The result is None if there is none, or if the values are not known.
    """
    array = elements_to_check(tensor)
    if array is None:
        return None
    elements = array.reshape(-1)
    outside = (elements < low) | (elements >= high)
    return int(elements[outside][0]) if outside.any() else None


def elements_to_check(tensor: Tensor) -> np.ndarray | None:
    """The elements, for an error that depends on them; inside `vmap`, those of the whole batch. None if they are not known."""
    value = behind(tensor._storage.read())
    if value.array is None and local.recorder.watch is not None:
        return None  # reading the values would keep `torch.compile` from compiling
    array = all_elements(value)
    return None if unknown(array) else np.asarray(array)


def _at(dims: tuple[int, ...], arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The index tensors as a key for a JAX array."""
    key: list[Any] = [slice(None)] * (dims[-1] + 1)
    for dim, array in zip(dims, arrays, strict=True):
        key[dim] = array
    return tuple(key)


def _gathered_shape(
    size: Sequence[int], dims: tuple[int, ...], tensors: Sequence[Any]
) -> tuple[int, ...]:
    """The shape of the gathered elements.

    The index tensors' shape stands in place of the indexed dimensions, or in front if these are not adjacent.
    """
    shapes = {tuple(each.shape) for each in tensors}
    own = np.broadcast_shapes(*shapes) if len(shapes) > 1 else min(shapes)
    first = dims[0] if dims[-1] - dims[0] == len(dims) - 1 else 0
    rest = [n for k, n in enumerate(size) if k not in dims]
    return (*rest[:first], *own, *rest[first:])


@lru_cache(maxsize=1024)
def _reading(dims: tuple[int, ...]) -> Op:
    # Indices are saved even if they are empty, so that backward has something to free.
    return Op(
        "index",
        lambda x, *arrays: x[_at(dims, arrays)],
        label="IndexBackward0",
        counted=1,
        saves=(-1,),
    )


def read_at(input: Tensor, arrays: Sequence[Any]) -> Tensor:
    """The elements at the places that index tensors name, one for each dimension or None."""
    dims, tensors = _checked(geometry(input), arrays)
    _check_ranges(geometry(input), dims, tensors)
    result = tensor_of(*record(_reading(dims), (input, *tensors)))
    if input._storage.is_part:
        _lay_out(result, geometry(input), dims, tensors)
    return result


def _lay_out(result: Tensor, of: Geometry, dims: tuple[int, ...], tensors: Sequence[Any]) -> None:
    """Lay out gathered elements as PyTorch does: in the order of the input, whose indexed dimensions count for nothing.

    Algorithm: `restride_src` and `reshape_indexer` in PyTorch's `TensorAdvancedIndexing.cpp`.
    """
    storage = result._storage
    shape = storage.aval.shape
    if not storage.is_plain or type(storage.read()) is not Value or len(shape) < 2 or 0 in shape:
        return
    first = dims[0] if dims[-1] - dims[0] == len(dims) - 1 else 0
    sizes = enumerate(zip(of.size, of.stride, strict=True))
    rest = [0 if n == 1 else step for k, (n, step) in sizes if k not in dims]
    own = len(shape) - len(rest)
    after = len(rest) - first
    source = (shape, (*rest[:first], *[0] * own, *rest[first:]))
    indices = []
    for each in tensors:
        at = geometry(each)
        flat = each._storage.aval.dtype == bool
        size, stride = (shape[first : first + 1], (1,)) if flat else (at.size, at.stride)
        indices.append(((*size, *[1] * after), (*stride, *[0] * after)))
    made = stored_like(storage.read(), [source, *indices])
    if made is not None:
        result._storage = made


def put(dims: tuple[int, ...], x: Any, value: Any, *arrays: Any) -> Any:
    """`x` with `value` put at the places that index arrays name."""
    if pushing.get():
        return x.at[_at(dims, arrays)].set(value)
    return _put(dims, x, value, *arrays)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _put(dims: tuple[int, ...], x: Any, value: Any, *arrays: Any) -> Any:
    return x.at[_at(dims, arrays)].set(value)


@_put.defjvp
def _put_jvp(dims: tuple[int, ...], primals: Any, tangents: Any) -> Any:
    # The last of several values for one place stays. PyTorch gives the gradient of the place to each value.
    x, value, *arrays = primals
    along_x, along_value, *_ = tangents
    at = _at(dims, arrays)
    kept = jnp.ones(x.shape, bool).at[at].set(False)
    return _put(dims, x, value, *arrays), jnp.where(kept, along_x, 0) + jnp.zeros_like(along_x).at[
        at
    ].add(along_value)


def added(x: Any, at: Any, value: Any) -> Any:
    """A copy of an array with values added at places; a bool is then whether any of them is."""
    return x.at[at].max(value) if x.dtype == bool else x.at[at].add(value)


@lru_cache(maxsize=1024)
def _scatter(dims: tuple[int, ...], accumulate: bool) -> Op:
    def function(x: Any, value: Any, *arrays: Any) -> Any:
        if accumulate:
            return added(x, _at(dims, arrays), value)
        shape = _gathered_shape(x.shape, dims, arrays)
        return put(dims, x, jnp.broadcast_to(value, shape), *arrays)

    return Op("index_put", function, label="IndexPutBackward0", counted=2, saves=(-1,))


@lru_cache(maxsize=1024)
def _scatter_in_memory(of: Geometry, dims: tuple[int, ...], accumulate: bool) -> Op:
    """`_scatter` for an expanded view, whose elements share places. It writes to the memory that the view spans."""
    places = sum(
        (
            np.arange(n).reshape((-1,) + (1,) * (len(of.size) - dim - 1)) * step
            for dim, (n, step) in enumerate(zip(of.size, of.stride, strict=True))
        ),
        start=np.zeros(of.size, np.int32),
    )
    into = _scatter((0,), accumulate).function

    def function(memory: Any, value: Any, *arrays: Any) -> Any:
        return into(memory, value, jnp.asarray(places)[_at(dims, arrays)])

    return Op("index_put", function, label="IndexPutBackward0", counted=2, saves=(-1,))


@lru_cache(maxsize=1024)
def _fill(dim: int) -> Op:
    """`_scatter` of one value at a mask's set places, from `dim` on. No place is looked up, so the shapes do not change."""

    def function(x: Any, value: Any, mask: Any) -> Any:
        after = x.ndim - dim - mask.ndim
        return jnp.where(mask.reshape(mask.shape + (1,) * after), value.reshape(()), x)

    return Op("index_put", function, label="IndexPutBackward0", counted=2, saves=(-1,))


def check_same_dtype(target: Tensor, value: Tensor) -> None:
    """Check that the target and the value have the same dtype.

    Raises:
        RuntimeError: the dtypes differ.
    """
    if value.dtype is not target.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{target.dtype.scalar_type} for the destination and {value.dtype.scalar_type} for the source."
        )


def index_put(target: Tensor, arrays: Sequence[Any], value: Tensor, accumulate: bool) -> Tensor:
    """Put elements at the places that index tensors name, in place."""
    given = [each for each in arrays if each is not None]
    single = not accumulate and value.numel() == 1 and len(given) == 1
    if single and isinstance(given[0], Tensor) and given[0].dtype.name == "uint8":
        raise RuntimeError(
            "masked_fill_ only supports boolean masks, but got mask with dtype unsigned char"
        )
    masked = single and _is_mask(given[0])
    if masked:
        value = clone(value)  # PyTorch fills here, so the value may share the target's memory
    writable(target, value, repeats=True, name="index_put_")
    of = geometry(target)
    if of.repeats:
        _warn_of_repeats("index_put_", "indices] = tensor")
        if masked:
            _warn_of_repeats("masked_fill_", "mask] = scalar")
    if masked and value.ndim < 2 and given[0].ndim and not of.repeats:
        dim = next(k for k, each in enumerate(arrays) if each is not None)
        _check_mask(given[0], of, dim)
        check_no_overlap(target, value, whole=True)
        if local.recorder.levels:
            check_transformed(target, [given[0]], "index_put_")
        if value.ndim:
            check_same_dtype(target, value)
        return in_place(_fill(dim), target, value, given[0])
    dims, tensors = _checked(of, arrays)
    for each in (*tensors, value):
        check_no_overlap(target, each, whole=True)
    if local.recorder.levels:
        check_transformed(target, tensors, "index_put_")
    if value.ndim:
        check_same_dtype(target, value)
    shape = _gathered_shape(geometry(target).size, dims, tensors)
    sizes = tuple(value.shape)
    if len(sizes) > len(shape) or any(
        n not in (1, m) for n, m in zip(sizes[::-1], shape[::-1], strict=False)
    ):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(sizes)} cannot be broadcast to indexing result of shape "
            f"{list(shape)}"
        )
    _check_ranges(of, dims, tensors)
    if of.repeats:
        return _put_in_memory(of, target, dims, value, tensors, accumulate)
    return in_place(_scatter(dims, accumulate), target, value, *tensors)


def _warn_of_repeats(name: str, form: str) -> None:
    warn(
        f"Use of {name} on expanded tensors is deprecated. Please clone() the tensor before performing this "
        f"operation. This also applies to advanced indexing e.g. tensor[{form}"
    )


def _put_in_memory(
    of: Geometry, target: Tensor, dims: Any, value: Tensor, tensors: Any, accumulate: bool
) -> Tensor:
    """Put elements at places of a tensor some of whose elements are one place in memory."""
    memory = written_view(target, Geometry((of.end - of.offset,), (1,), of.offset))
    in_place(_scatter_in_memory(of._replace(offset=0), dims, accumulate), memory, value, *tensors)
    return target


def fill_repeated(name: str, target: Tensor, arrays: Sequence[Any], value: Tensor) -> Tensor:
    """Put one number at the places of an expanded tensor that index tensors or a mask name, with PyTorch's warning."""
    writable(target, repeats=True, name=name)
    _warn_of_repeats(name, "mask] = scalar")
    of = geometry(target)
    dims, tensors = _checked(of, arrays)
    return _put_in_memory(of, target, dims, clone(value), tensors, False)


def put_in_copy(input: Tensor, arrays: Sequence[Any], values: Tensor, accumulate: bool) -> Tensor:
    """`index_put` on a copy."""
    of = geometry(input)
    dims, tensors = _checked(of, arrays)
    _check_ranges(of, dims, tensors)
    return tensor_of(*record(_scatter(dims, accumulate), (input, values, *tensors)))
