"""The ops that give views: PyTorch's signatures, the JAX function of each, and the name of its graph node."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, wraps
from itertools import accumulate
from operator import index
from typing import Any

import jax.numpy as jnp
from jax import lax

from funcgrad.engine import Op, local, record
from funcgrad.torch import geometry as geometries
from funcgrad.torch.conversions import CLONE
from funcgrad.torch.dtypes import Size
from funcgrad.torch.geometry import Geometry, infer_size, wrap_dim
from funcgrad.torch.strided import layout, reader
from funcgrad.torch.tensor import Tensor, tensor_of
from funcgrad.torch.view_storage import ViewStorage, data_pointer, memory_of, place, view_of
from funcgrad.torch.view_tensor import as_strided as as_strided_op
from funcgrad.torch.view_tensor import geometry, made_now, make_view, make_views, view_tensor

# ------------------------------------------------------------------------------------------- the JAX functions


def _slice(dim: int, length: int, step: int) -> Callable[[Any, Any], Any]:
    reach = (length - 1) * step + 1 if length else 0

    def function(x: Any, start: Any) -> Any:
        block = lax.dynamic_slice_in_dim(x, start, reach, dim)
        return block if step == 1 else lax.slice_in_dim(block, 0, reach, step, dim)

    return function


def _split(sizes: tuple[int, ...], dim: int) -> Callable[[Any], Any]:
    ends = list(accumulate(sizes))
    return lambda x: tuple(
        [lax.slice_in_dim(x, end - n, end, axis=dim) for n, end in zip(sizes, ends, strict=True)]
    )


def _unfold(dim: int, size: int, step: int) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        of = geometries.contiguous(x.shape)
        read = reader(layout(x.shape, geometries.unfold(of, dim, size, step)))
        return read(x, jnp.int32(0))

    return function


def _reshape(size: tuple[int, ...]) -> Callable[[Any], Any]:
    return lambda x: x.reshape(size)


_SHAPED: Callable[..., Any] = _reshape


def _exchange(a: int, b: int) -> Callable[[Any], Any]:
    return lambda x: x.swapaxes(a, b) if x.ndim else x


def _strided(view: Geometry) -> Callable[[Any], Any]:
    return lambda x: reader(layout(x.shape, view))(x, jnp.int32(view.offset))


FUNCTION_OF: dict[str, Callable[..., Any]] = {
    "AsStridedBackward1": _strided,
    "AliasBackward0": lambda: lambda x: x,
    "DiagonalBackward0": lambda offset, dim1, dim2: lambda x: jnp.diagonal(x, offset, dim1, dim2),
    "ExpandBackward0": lambda size: lambda x: jnp.broadcast_to(x, size),
    "PermuteBackward0": lambda dims: lambda x: x.transpose(dims),
    "ReshapeAliasBackward0": _SHAPED,
    "SelectBackward0": lambda dim: lambda x, at: lax.dynamic_index_in_dim(x, at, dim, False),
    "SliceBackward0": _slice,
    "SplitBackward0": _split,
    "SplitWithSizesBackward0": _split,
    "SqueezeBackward0": _SHAPED,
    "SqueezeBackward1": _SHAPED,
    "SqueezeBackward2": _SHAPED,
    "SqueezeBackward3": _SHAPED,
    "SqueezeBackward4": _SHAPED,
    "SqueezeBackward5": _SHAPED,
    "TBackward0": lambda: lambda x: x.transpose(),
    "TBackward1": lambda: lambda x: x.transpose(),
    "TransposeBackward0": _exchange,
    "TransposeBackward1": _exchange,
    "UnbindBackward0": lambda dim: (
        lambda x: tuple([lax.index_in_dim(x, k, dim, False) for k in range(x.shape[dim])])
    ),
    "UnfoldBackward0": _unfold,
    "UnsafeViewBackward0": _SHAPED,
    "UnsqueezeBackward0": _SHAPED,
    "UnsqueezeBackward1": _SHAPED,
    "ViewBackward0": _SHAPED,
}


@lru_cache(maxsize=4096)
def op(label: str, *static: Any) -> Op:
    """The op with this node name and these static arguments."""
    name = label.split("Backward")[0].lower()
    return Op(name, FUNCTION_OF[label](*static), label=label, counted=1, constants_from=1)


# ------------------------------------------------------------------------------------------- shapes


def ints(given: Sequence[Any]) -> tuple[int, ...]:
    """Numbers given one by one or as one sequence."""
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = given[0]
    return tuple([index(each) for each in given])


def view(input: Tensor, *shape: Any) -> Tensor:
    """The same elements under another shape.

    Raises:
        RuntimeError: there are not as many elements, or their strides do not allow it.

    >>> import funcgrad.torch as torch
    >>> x = torch.zeros(4)
    >>> x.view(2, -1)[0] = 1
    >>> x
    tensor([1., 1., 0., 0.])
    """
    if not shape:
        raise TypeError(
            "view() received an invalid combination of arguments - got (), but expected one of:\n"
            " * (torch.dtype dtype)\n * (tuple of ints size)\n"
        )
    size = infer_size(ints(shape), input.numel())
    made = geometries.view(geometry(input), size)
    if made is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return make_view(input, made, op("ViewBackward0", size))


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements under another shape: a view where strides allow it, else a copy."""
    size = infer_size(ints(shape), input.numel())
    of = geometry(input)
    made = geometries.view(of, size)
    if made is not None:
        label = "ViewBackward0" if of.is_contiguous else "ReshapeAliasBackward0"
        return make_view(input, made, op(label, size))
    copied = tensor_of(*record(CLONE, (input,)))
    return tensor_of(*record(op("UnsafeViewBackward0", size), (copied,)))


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """The same elements under the shape of another tensor."""
    return view(input, other.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """As `reshape`, to the shape of another tensor."""
    return reshape(input, other.shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Several dimensions as one."""
    size = tuple(input.shape)
    start, end = wrap_dim(start_dim, len(size)), wrap_dim(end_dim, len(size))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not size:
        return reshape(input, 1)
    if start == end:
        return input
    return reshape(input, *size[:start], Size(size[start : end + 1]).numel(), *size[end + 1 :])


def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return view(contiguous(input), -1)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension as several."""
    size = tuple(input.shape)
    dim, wanted = wrap_dim(dim, len(size)), ints(sizes)
    try:
        parts = infer_size(wanted, size[dim])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(wanted)} don't multiply up to the size of dim {dim} ({size[dim]}) in the "
            "input tensor"
        ) from None
    return view(input, *size[:dim], *parts, *size[dim + 1 :])


def squeezed(of: Geometry, dim: Any) -> tuple[Geometry, int]:
    """The geometry without dimensions of length 1, and which of PyTorch's three forms `dim` asks for."""
    ndim = len(of.size)
    if dim is None:
        return geometries.squeeze(of, range(ndim)), 0
    if isinstance(dim, (tuple, list)):
        return geometries.squeeze(of, [wrap_dim(each, ndim) for each in dim]), 2
    return geometries.squeeze(of, [wrap_dim(index(dim), ndim)]), 1


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without its dimensions of length 1, or without those of them that `dim` names."""
    made, form = squeezed(geometry(input), dim)
    return make_view(input, made, op(f"SqueezeBackward{form}", made.size))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of length 1 put before `dim`."""
    of = geometry(input)
    made = geometries.unsqueeze(of, wrap_dim(index(dim), len(of.size) + 1))
    return make_view(input, made, op("UnsqueezeBackward0", made.size))


def expand(input: Tensor, *sizes: Any, implicit: bool = False) -> Tensor:
    """Dimensions of length 1 repeated without a copy, and new ones in front; -1 keeps a length.

    Raises:
        RuntimeError: a dimension has another length.
    """
    size = ints(sizes)
    if len(size) < input.ndim:
        raise RuntimeError(
            f"expand(torch.{input.dtype.scalar_type}Tensor{{{list(input.shape)}}}, size={list(size)}): the number of "
            f"sizes provided ({len(size)}) must be greater or equal to the number of dimensions in the tensor "
            f"({input.ndim})"
        )
    made = geometries.expand(geometry(input), size)
    return make_view(input, made, op("ExpandBackward0", made.size))


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """As `expand`, to the shape of another tensor."""
    return expand(input, other.shape)


# ------------------------------------------------------------------------------------------- order of dimensions


def _permuted(input: Tensor, dims: tuple[int, ...], label: str, *static: Any) -> Tensor:
    return make_view(input, geometries.permute(geometry(input), dims), op(label, *static))


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order."""
    wanted = ints(dims)
    if len(wanted) != input.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(wanted)}"
        )
    order = tuple([wrap_dim(dim, input.ndim) for dim in wanted])
    if len(set(order)) < len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return _permuted(input, order, "PermuteBackward0", order)


def exchanged(ndim: int, dim0: int, dim1: int) -> tuple[tuple[int, ...], int, int]:
    """The order of dimensions with two exchanged, and these two counted from the front."""
    a, b = wrap_dim(index(dim0), ndim), wrap_dim(index(dim1), ndim)
    order = list(range(ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return tuple(order), a, b


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    order, a, b = exchanged(input.ndim, dim0, dim1)
    return _permuted(input, order, "TransposeBackward0", a, b)


def alias(input: Tensor) -> Tensor:
    """A view of all of it."""
    return make_view(input, geometry(input), op("AliasBackward0"))


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector as it is."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return _permuted(input, tuple(range(input.ndim))[::-1], "TBackward0")


def _numpy_transpose(input: Tensor) -> Tensor:
    if input.ndim not in (0, 2):
        warnings.warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will "
            "throw an error in a future release. Consider `x.mT` to transpose batches of matrices or "
            "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.",
            UserWarning,
            stacklevel=2,
        )
    order = tuple(range(input.ndim))[::-1]
    return _permuted(input, order, "PermuteBackward0", order)


def _matrix_transpose(input: Tensor) -> Tensor:
    if input.ndim < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {input.ndim}-D tensor."
        )
    return transpose(input, -2, -1)


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to other places, the others kept in order."""
    sources = (source,) if isinstance(source, int) else tuple(source)
    destinations = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(sources) != len(destinations):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source "
            f"({list(sources)} dims) should contain the same number of dims as destination ({list(destinations)} dims)"
        )
    ndim = input.ndim
    came = [wrap_dim(each, ndim) for each in sources]
    went = [wrap_dim(each, ndim) for each in destinations]
    for dims, what, given in ((came, "source", sources), (went, "destination", destinations)):
        if len(set(dims)) < len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{what}` ({list(given)})")
    rest = iter([k for k in range(ndim) if k not in came])
    order = tuple([came[went.index(k)] if k in went else next(rest) for k in range(ndim)])
    return _permuted(input, order, "PermuteBackward0", order)


# ------------------------------------------------------------------------------------------- parts


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One place along a dimension, which goes away."""
    of = geometry(input)
    if not of.size:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim, at = wrap_dim(dim, len(of.size)), _index(index)
    length = of.size[dim]
    if not -length <= at < length:
        raise IndexError(
            f"select(): index {at} out of range for tensor of size {list(of.size)} at dimension {dim}"
        )
    return selected(input, dim, at % length)


def selected(input: Tensor, dim: int, at: int) -> Tensor:
    """`select` of what was checked."""
    made = geometries.select(geometry(input), dim, at)
    return make_view(input, made, op("SelectBackward0", dim), (at,))


def sliced(input: Tensor, dim: int, start: int, length: int, step: int) -> Tensor:
    """Every `step`-th place along a dimension, checked before."""
    made = geometries.slice_(geometry(input), dim, start, length, step)
    return make_view(input, made, op("SliceBackward0", dim, length, step), (start,))


_index = index


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """So many places along a dimension from `start`."""
    if not input.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    dim, at = wrap_dim(dim, input.ndim), index(start)
    size = input.shape[dim]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= at <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [-{size}, {size}], but got {at})"
        )
    at = at + size if at < 0 else at
    if at + length > size:
        raise RuntimeError(f"start ({at}) + length ({length}) exceeds dimension size ({size}).")
    return sliced(input, dim, at, length, 1)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The places where two dimensions have the same index, `offset` apart, as a last dimension."""
    a, b = wrap_dim(dim1, input.ndim), wrap_dim(dim2, input.ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    made = geometries.diagonal(geometry(input), offset, a, b)
    return make_view(input, made, op("DiagonalBackward0", offset, a, b))


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` places along a dimension, `step` apart, as a last dimension."""
    dim = wrap_dim(dimension, input.ndim)
    longest = input.shape[dim] if input.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > longest:
        raise RuntimeError(
            f"maximum size for tensor at dimension {dim} is {longest} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    made = geometries.unfold(geometry(input), dim, size, step)
    return make_view(input, made, op("UnfoldBackward0", dim, size, step))


def as_strided(
    input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """Any elements of the memory that a tensor's elements are in.

    Raises:
        RuntimeError: there is no such place in the memory.
    """
    made = strided_geometry(input, size, stride, storage_offset)
    # Its elements need not be among those of the input, so they come from the memory; only the node is the input's.
    around = input.storage
    storage = view_of(around, made)
    node, nr = None, 0
    if local.recorder.grad_enabled and input.node is not None:
        inside = (
            (around.layout, around.geometry.offset, "") if type(around) is ViewStorage else None
        )
        recorded = as_strided_op(storage.layout, inside)
        _, node, nr = record(recorded, (input, place(made.offset)))
    return view_tensor(input, storage, node, nr, made_now())


def strided_geometry(input: Tensor, size: Any, stride: Any, storage_offset: Any) -> Geometry:
    """The geometry asked for, checked to lie in the memory."""
    made = Geometry(
        tuple(size),
        tuple(stride),
        geometry(input).offset if storage_offset is None else storage_offset,
    )
    if len(made.size) != len(made.stride):
        raise RuntimeError("mismatch in length of strides and shape")
    itemsize = input.dtype.itemsize
    held = Size(memory_of(input.storage).value.aval.shape).numel() * itemsize
    if 0 not in made.size and made.end * itemsize > held:
        raise RuntimeError(
            f"setStorage: sizes {list(made.size)}, strides {list(made.stride)}, storage offset {made.offset}, and "
            f"itemsize {itemsize} requiring a storage size of {made.end * itemsize} are out of bounds for storage of "
            f"size {held}"
        )
    return made


# ------------------------------------------------------------------------------------------- several views


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All places along a dimension, as a tuple."""
    of = geometry(input)
    dim = wrap_dim(dim, len(of.size))
    if not of.size:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    if not of.size[dim]:
        return ()
    parts = [geometries.select(of, dim, k) for k in range(of.size[dim])]
    return make_views(input, parts, op("UnbindBackward0", dim))


def iterate(self: Tensor) -> Iterator[Tensor]:
    """Its places along the first dimension."""
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(unbind(self))


def _parts(input: Tensor, sizes: Sequence[int], dim: int, label: str) -> tuple[Tensor, ...]:
    of = geometry(input)
    ends = list(accumulate(sizes))
    parts = [geometries.slice_(of, dim, end - n, n, 1) for n, end in zip(sizes, ends, strict=True)]
    return make_views(input, parts, op(label, tuple(sizes), dim))


def split(input: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of so many places along a dimension, the last maybe shorter; or of the sizes listed."""
    if isinstance(split_size_or_sections, (tuple, list)):
        return split_with_sizes(input, split_size_or_sections, dim)
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim, size = wrap_dim(dim, input.ndim), index(split_size_or_sections)
    length = input.shape[dim]
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    if size == 0 and length:
        raise RuntimeError(
            f"split_size can only be 0 if dimension size is 0, but got dimension size of {length}"
        )
    count = max((length + size - 1) // size, 1) if size else 1
    sizes = [size] * (count - 1) + [length - size * (count - 1)]
    return _parts(input, sizes, dim, "SplitBackward0")


def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of the sizes listed along a dimension."""
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim, sizes = wrap_dim(dim, input.ndim), list(split_sizes)
    length = input.shape[dim]
    if any(size < 0 for size in sizes):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={sizes}"
        )
    if sum(sizes) != length:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size at dimension {dim}), "
            f"but got split_sizes={sizes}"
        )
    return _parts(input, sizes, dim, "SplitWithSizesBackward0")


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most so many parts of equal size along a dimension, the last maybe shorter."""
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    length = input.shape[wrap_dim(dim, input.ndim)]
    size = (length + chunks - 1) // chunks
    if not size and not length:
        return split_with_sizes(input, [0] * chunks, dim)
    return split(input, size, dim)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """So many parts along a dimension, as equal as can be; or cut at the indices listed."""
    if not input.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim = wrap_dim(dim, input.ndim)
    length = input.shape[dim]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
        small, large = divmod(length, sections)
        cuts = [k * small + min(k, large) for k in range(1, sections)]
    else:
        cuts = [index(each) for each in indices_or_sections]
    parts, start = [], 0
    for end in (*cuts, length):
        first, last, _ = slice(start, end).indices(length)
        parts.append(sliced(input, dim, first, max(last - first, 0), 1))
        start = end
    return tuple(parts)


def _stacked(name: str, least: int, dim: int, dim_of_vector: int | None = None) -> Any:
    def function(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        if input.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, but got a "
                f"tensor with {input.ndim} dimensions!"
            )
        along = dim if dim_of_vector is None or input.ndim > 1 else dim_of_vector
        if isinstance(indices_or_sections, int):
            count, length = indices_or_sections, input.shape[along]
            if count == 0 or length % count:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {along}, but the size of the dimension {length} "
                    f"is not divisible by the split_size {count}!"
                )
        return tensor_split(input, indices_or_sections, along)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`tensor_split` along a fixed dimension, as `torch.{name}`."
    return function


# ------------------------------------------------------------------------------------------- memory


def contiguous(input: Tensor) -> Tensor:
    """The tensor itself where its elements lie in memory in order, else a copy."""
    return input if geometry(input).is_contiguous else tensor_of(*record(CLONE, (input,)))


def stride(self: Tensor, dim: int | None = None) -> Any:
    """How far apart in memory neighbours along each dimension are, or along one."""
    strides = geometry(self).stride
    if dim is None:
        return strides
    if not strides:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return strides[wrap_dim(dim, len(strides))]


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the very same places of the same memory."""
    return memory_of(self.storage) is memory_of(tensor.storage) and geometry(self) == geometry(
        tensor
    )


def data_ptr(self: Tensor) -> int:
    """A number that tells where the first element is: equal for tensors that share it."""
    return data_pointer(self.storage, self.dtype.itemsize)


class UntypedStorage:
    """The memory of a tensor, as far as identity and size go."""

    def __init__(self, of: Tensor) -> None:
        self._memory = memory_of(of.storage)
        self._itemsize = of.dtype.itemsize

    def data_ptr(self) -> int:
        """A number that tells which memory this is."""
        return data_pointer(self._memory, self._itemsize)

    def nbytes(self) -> int:
        """How many bytes it has."""
        return Size(self._memory.value.aval.shape).numel() * self._itemsize

    size = nbytes


def _complaining(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose first argument complains first: PyTorch looks at its place in the graph before anything else."""

    @wraps(function)
    def wrapper(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(input, *args, **kwargs)
        except Exception:
            if isinstance(input, Tensor) and local.recorder.grad_enabled:
                input.node  # noqa: B018
            raise

    return wrapper


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "as_strided": as_strided,
    "broadcast_to": lambda input, size: expand(input, size),
    "chunk": chunk,
    "diagonal": diagonal,
    "dsplit": _stacked("dsplit", 3, 2),
    "flatten": flatten,
    "hsplit": _stacked("hsplit", 1, 1, 0),
    "movedim": movedim,
    "moveaxis": movedim,
    "narrow": narrow,
    "permute": permute,
    "ravel": ravel,
    "reshape": reshape,
    "select": select,
    "split": split,
    "split_with_sizes": split_with_sizes,
    "squeeze": squeeze,
    "swapaxes": transpose,
    "swapdims": transpose,
    "t": t,
    "tensor_split": tensor_split,
    "transpose": transpose,
    "unbind": unbind,
    "unflatten": unflatten,
    "unsqueeze": unsqueeze,
    "vsplit": _stacked("vsplit", 2, 0),
}
_METHODS: dict[str, Any] = {
    **_FUNCTIONS,
    "__iter__": iterate,
    "T": property(_numpy_transpose),
    "mT": property(_matrix_transpose),
    "contiguous": contiguous,
    "data_ptr": data_ptr,
    "nelement": lambda self: self.numel(),
    "ndimension": lambda self: self.ndim,
    "is_floating_point": lambda self: self.dtype.is_floating_point,
    "is_complex": lambda self: self.dtype.is_complex,
    "element_size": lambda self: self.dtype.itemsize,
    "expand": expand,
    "expand_as": expand_as,
    "is_contiguous": lambda self: geometry(self).is_contiguous,
    "is_set_to": is_set_to,
    "reshape_as": reshape_as,
    "storage_offset": lambda self: geometry(self).offset,
    "stride": stride,
    "unfold": unfold,
    "untyped_storage": UntypedStorage,
    "view": view,
    "view_as": view_as,
}
FUNCTIONS = {name: _complaining(function) for name, function in _FUNCTIONS.items()}
METHODS: dict[str, Any] = {
    name: method if isinstance(method, property) else _complaining(method)
    for name, method in _METHODS.items()
}
