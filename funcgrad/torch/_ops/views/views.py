"""The ops that give one view: PyTorch's signatures, checks and geometry. Their JAX functions and nodes are in `rows`."""

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

from funcgrad.engine import local, record
from funcgrad.torch._memory import geometry as geometries
from funcgrad.torch._memory.constants import index_variable
from funcgrad.torch._memory.geometry import Geometry, infer_size, wrap_dim
from funcgrad.torch._memory.slices import as_strided as as_strided_op
from funcgrad.torch._memory.storages import ViewStorage, view_of
from funcgrad.torch._ops.conversions import contiguous
from funcgrad.torch._ops.views import rows
from funcgrad.torch._ops.views.complaining import complaining
from funcgrad.torch._ops.views.dtype import view_dtype
from funcgrad.torch._tensor.kinds import Ints, is_int, refusal
from funcgrad.torch._tensor.rebasing import CLONE
from funcgrad.torch._tensor.registry import FUNCTIONS, publish_all
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._tensor.view import geometry, made_now, view_tensor
from funcgrad.torch._types import dtypes
from funcgrad.torch._types.size import Size, ints
from funcgrad.torch._types.variadic import one_by_one, variadic
from funcgrad.torch._types.warning import warn

# ------------------------------------------------------------------------------------------- shapes


@variadic("size", "shape")
def view(input: Tensor, *shape: Any, dtype: Any = None) -> Tensor:
    """The same elements under another shape, or the same bits as elements of another dtype.

    Raises:
        RuntimeError: the shape has another number of elements, or the strides do not allow it.

    >>> import funcgrad.torch as torch
    >>> x = torch.zeros(4)
    >>> x.view(2, -1)[0] = 1
    >>> x
    tensor([1., 1., 0., 0.])
    """
    if dtype is not None:
        shape = (dtype, *shape)
    if not shape or isinstance(shape[0], (dtypes.dtype, type)):
        if len(shape) == 1:
            return view_dtype(input, dtypes.as_dtype(shape[0]))
        given = ", ".join(
            "torch.dtype" if isinstance(each, dtypes.dtype) else type(each).__name__
            for each in shape
        )
        raise TypeError(
            f"view() received an invalid combination of arguments - got ({given}), but expected one of:\n"
            " * (torch.dtype dtype)\n * (tuple of ints size)\n"
        )
    size = infer_size(ints(shape), input.numel())
    made = geometries.view(geometry(input), size)
    if made is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return rows.VIEW.view(input, made, size)


@variadic("shape")
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements under another shape: a view if the strides allow it, else a copy."""
    size = infer_size(ints(shape, "reshape(): argument 'shape'"), input.numel())
    of = geometry(input)
    made = geometries.view(of, size)
    if made is not None:
        row = rows.VIEW if of.is_contiguous else rows.RESHAPE_ALIAS
        return row.view(input, made, size)
    copied = tensor_of(*record(CLONE, (input,)))
    return tensor_of(*record(rows.UNSAFE_VIEW.op(size), (copied,)))


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
    dim, wanted = wrap_dim(dim, len(size)), ints(sizes, "unflatten(): argument 'sizes'")
    try:
        parts = infer_size(wanted, size[dim])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(wanted)} don't multiply up to the size of dim {dim} ({size[dim]}) in the "
            "input tensor"
        ) from None
    return view(input, *size[:dim], *parts, *size[dim + 1 :])


def squeezed(of: Geometry, dim: Any) -> tuple[Geometry, int]:
    """The squeezed geometry, and the number of PyTorch's form: no `dim` (0), one (1) or several (2)."""
    ndim = len(of.size)
    if dim is None:
        return geometries.squeeze(of, range(ndim)), 0
    if isinstance(dim, (tuple, list)):
        return geometries.squeeze(of, [wrap_dim(each, ndim) for each in dim]), 2
    return geometries.squeeze(of, [wrap_dim(index(dim), ndim)]), 1


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """The tensor without its dimensions of length 1, or only without the ones that `dim` names."""
    made, form = squeezed(geometry(input), dim)
    return rows.SQUEEZE[form].view(input, made, made.size)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """The tensor with a new dimension of length 1 at `dim`."""
    of = geometry(input)
    made = geometries.unsqueeze(of, wrap_dim(index(dim), len(of.size) + 1))
    return rows.UNSQUEEZE.view(input, made, made.size)


@variadic("size")
def expand(input: Tensor, *sizes: Any, implicit: bool = False) -> Tensor:
    """Dimensions of length 1 repeated without a copy, and new ones in front; -1 keeps a length.

    Raises:
        RuntimeError: a dimension has another length.
    """
    size = ints(sizes, "expand(): argument 'size'")
    if len(size) < input.ndim:
        raise RuntimeError(
            f"expand(torch.{input.dtype.scalar_type}Tensor{{{list(input.shape)}}}, size={list(size)}): the number of "
            f"sizes provided ({len(size)}) must be greater or equal to the number of dimensions in the tensor "
            f"({input.ndim})"
        )
    made = geometries.expand(geometry(input), size)
    return rows.EXPAND.view(input, made, made.size)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """As `expand`, to the shape of another tensor."""
    return expand(input, other.shape)


# ------------------------------------------------------------------------------------------- order of dimensions


@variadic("dims")
def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order."""
    wanted = ints(dims, "permute(): argument 'dims'")
    if len(wanted) != input.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(wanted)}"
        )
    order = tuple([wrap_dim(dim, input.ndim) for dim in wanted])
    if len(set(order)) < len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return rows.PERMUTE(input, order)


def exchanged(ndim: int, dim0: int, dim1: int) -> tuple[tuple[int, ...], int, int]:
    """The order of dimensions with two exchanged, and both dimensions counted from the front."""
    a, b = wrap_dim(index(dim0), ndim), wrap_dim(index(dim1), ndim)
    order = list(range(ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return tuple(order), a, b


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    order, a, b = exchanged(input.ndim, dim0, dim1)
    made = geometries.permute(geometry(input), order)
    return rows.TRANSPOSE.view(input, made, a, b)


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """As `transpose`, with NumPy's names."""
    return transpose(input, axis0, axis1)


def alias(input: Tensor) -> Tensor:
    """A view of the whole tensor."""
    return rows.ALIAS(input)


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector stays as it is."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return rows.T(input)


def _numpy_transpose(input: Tensor) -> Tensor:
    if input.ndim not in (0, 2):
        warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will "
            "throw an error in a future release. Consider `x.mT` to transpose batches of matrices or "
            "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor."
        )
    elif not input.ndim:
        warn("Tensor.T is deprecated on 0-D tensors. This function is the identity in these cases.")
    order = tuple(range(input.ndim))[::-1]
    return rows.PERMUTE(input, order)


def _matrix_transpose(name: str, conjugate: bool) -> Callable[[Tensor], Tensor]:
    def function(input: Tensor) -> Tensor:
        if name == "H" and input.ndim not in (0, 2):
            also = " For batches of matrices, consider using tensor.mH" if input.ndim > 2 else ""
            raise RuntimeError(
                f"tensor.H is only supported on matrices (2-D tensors). Got {input.ndim}-D tensor.{also}"
            )
        if name != "H" and input.ndim == 1:
            raise RuntimeError(
                f"tensor.{name} is only supported on matrices or batches of matrices. Got {input.ndim}-D tensor."
            )
        if conjugate and input.dtype.is_complex:
            input = FUNCTIONS["conj"](input)
        if not input.ndim:
            then = (
                "Consider using x.conj()."
                if conjugate
                else "This function is the identity in these cases."
            )
            what = name if name.endswith(")") else f"Tensor.{name}"
            warn(f"{what} is deprecated on 0-D tensors. {then}")
            return input
        return transpose(input, -2, -1)

    return function


def movedim(input: Tensor, source: Ints, destination: Ints) -> Tensor:
    """The tensor with some dimensions moved; the other dimensions keep their order."""
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
    return rows.PERMUTE(input, order)


# ------------------------------------------------------------------------------------------- parts


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One place along a dimension; the dimension is dropped."""
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
    """`select` with arguments that the caller has checked."""
    return rows.SELECT(input, dim, at)


def sliced(input: Tensor, dim: int, start: int, length: int, step: int) -> Tensor:
    """Every `step`-th place along a dimension, with arguments that the caller has checked."""
    return rows.SLICE(input, dim, length, step, start)


_index = index


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` places along a dimension from `start` on."""
    if not input.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, Tensor) and (start.ndim or start.dtype.numpy_dtype.kind not in "iu"):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    if not is_int(start):
        raise refusal("narrow", "start", 3, "int", start)
    dim, at = wrap_dim(dim, input.ndim), index(start)
    size = input.shape[dim]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= at <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {at})"
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
    return rows.DIAGONAL(input, offset, a, b)


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
    return rows.UNFOLD(input, dim, size, step)


def as_strided(
    input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """A view of any elements of the tensor's memory.

    Raises:
        RuntimeError: an element would lie outside the memory.
    """
    made = strided_geometry(input, size, stride, storage_offset)
    # The view may have elements that the input does not have. So it reads the memory; only the node follows the input.
    around = input._storage
    storage = view_of(around, made)
    node, nr = None, 0
    if local.recorder.grad_enabled and input._current_node() is not None:
        inside = (
            (around.layout, around.geometry.offset, "") if isinstance(around, ViewStorage) else None
        )
        recorded = as_strided_op(storage.layout, inside)
        _, node, nr = record(recorded, (input, index_variable(made.offset)))
    return view_tensor(input, storage, node, nr, made_now())


def strided_geometry(input: Tensor, size: Any, stride: Any, storage_offset: Any) -> Geometry:
    """The requested geometry, checked to lie in the memory."""
    made = Geometry(
        tuple(size),
        tuple(stride),
        geometry(input).offset if storage_offset is None else storage_offset,
    )
    if len(made.size) != len(made.stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(step < 0 for step in made.stride):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(made.stride)}"
        )
    if any(n < 0 for n in made.size):
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(made.size)} and strides={list(made.stride)}"
        )
    if made.offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {made.offset}")
    itemsize = input.dtype.itemsize
    held = Size(input._storage.memory.aval.shape).numel() * itemsize
    if 0 not in made.size and made.end * itemsize > held:
        raise RuntimeError(
            f"setStorage: sizes {list(made.size)}, strides {list(made.stride)}, storage offset {made.offset}, and "
            f"itemsize {itemsize} requiring a storage size of {made.end * itemsize} are out of bounds for storage of "
            f"size {held}"
        )
    return made


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "adjoint": _matrix_transpose("adjoint()", True),
    "as_strided": as_strided,
    "broadcast_to": expand,
    "diagonal": diagonal,
    "flatten": flatten,
    "movedim": movedim,
    "moveaxis": movedim,
    "narrow": narrow,
    "permute": permute,
    "ravel": ravel,
    "reshape": reshape,
    "select": select,
    "squeeze": squeeze,
    "swapaxes": swapaxes,
    "swapdims": transpose,
    "t": t,
    "transpose": transpose,
    "unflatten": unflatten,
    "unsqueeze": unsqueeze,
}
_METHODS: dict[str, Any] = {
    **_FUNCTIONS,
    "T": property(_numpy_transpose),
    "H": property(_matrix_transpose("H", True)),
    "mH": property(_matrix_transpose("mH", True)),
    "mT": property(_matrix_transpose("mT", False)),
    "expand": expand,
    "expand_as": expand_as,
    "reshape_as": reshape_as,
    "squeeze": one_by_one(squeeze),
    "unfold": unfold,
    "view": view,
    "view_as": view_as,
}
publish_all(complaining(_FUNCTIONS), complaining(_METHODS))
