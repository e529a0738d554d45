"""The rows of the view ops: a JAX function, from which the derivative is taken, and the view's geometry.

A view reads its elements through its geometry, so the JAX function runs only if a graph is recorded. A row is named after
its node's op. The functions that users call are in `views`, `splitting` and `reshaped_in_place`.
"""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import jax.numpy as jnp
from jax import lax

from funcgrad.torch._memory import geometry as geometries
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.layouts import layout_of, reader
from funcgrad.torch._ops.row import Array, Factor, Role, Row, arguments_of
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.view import geometry, make_view


class ViewRow(Row):
    """The row of a view op.

    Its JAX function takes the input, then the static arguments, then the places along dimensions (`Factor`). Places are
    inputs of the program, so another place needs no new program.
    """

    def __init__(
        self,
        name: str,
        node: str,
        function: Callable[..., Any],
        of: Callable[..., Geometry] | None = None,
    ) -> None:
        """Declare a view op.

        Args:
            name: PyTorch's name of the op; several rows may share it.
            node: the graph node's name, which no other row has.
            function: the JAX function.
            of: gives the view's geometry from the input's geometry and the function's numbers.
        """
        super().__init__(f"{name}.{node}", node, function, arguments_of(function), kind="view")
        self.of = of
        self.places = sum(each.role is Role.FACTOR for each in self.arguments)

    def __call__(self, input: Tensor, *numbers: Any) -> Tensor:
        """The view of a tensor for these numbers, which the caller has checked."""
        return self.view(input, self.of(geometry(input), *numbers), *numbers)  # type: ignore[misc]

    def view(self, input: Tensor, made: Geometry, *numbers: Any) -> Tensor:
        """The view of a tensor with this geometry."""
        count = len(numbers) - self.places
        return make_view(input, made, self.op(*numbers[:count]), numbers[count:])


def view_row(
    name: str, node: str, of: Callable[..., Geometry] | None = None
) -> Callable[[Callable[..., Any]], ViewRow]:
    """Declare the row of a view op by its JAX function; see `ViewRow`."""
    return lambda function: ViewRow(name, node, function, of)


# ------------------------------------------------------------------------------------------- shapes


def _shaped(input: Array, size: tuple[int, ...]) -> Any:
    return input.reshape(size)


VIEW = view_row("view", "ViewBackward0")(_shaped)
RESHAPE_ALIAS = view_row("_reshape_alias", "ReshapeAliasBackward0")(_shaped)
UNSAFE_VIEW = view_row("_unsafe_view", "UnsafeViewBackward0")(_shaped)
UNSQUEEZE, UNSQUEEZE_IN_PLACE = (
    view_row("unsqueeze", f"UnsqueezeBackward{k}")(_shaped) for k in range(2)
)
# `squeeze` without a dimension, with one and with several; then the same in place.
SQUEEZE = tuple(view_row("squeeze", f"SqueezeBackward{k}")(_shaped) for k in range(6))


@view_row("expand", "ExpandBackward0")
def EXPAND(input: Array, size: tuple[int, ...]) -> Any:
    """Dimensions of length 1 repeated."""
    return jnp.broadcast_to(input, size)


# ------------------------------------------------------------------------------------------- order of dimensions


@view_row("alias", "AliasBackward0", lambda of: of)
def ALIAS(input: Array) -> Any:
    """The whole tensor."""
    return input


@view_row("permute", "PermuteBackward0", geometries.permute)
def PERMUTE(input: Array, dims: tuple[int, ...]) -> Any:
    """The dimensions in another order."""
    return input.transpose(dims)


def _exchanged(input: Array, dim0: int, dim1: int) -> Any:
    return input.swapaxes(dim0, dim1) if input.ndim else input


def _transposed(input: Array) -> Any:
    return input.transpose()


def _reversed(of: Geometry) -> Geometry:
    return geometries.permute(of, tuple(range(len(of.size)))[::-1])


TRANSPOSE, TRANSPOSE_IN_PLACE = (
    view_row("transpose", f"TransposeBackward{k}")(_exchanged) for k in range(2)
)
T, T_IN_PLACE = (view_row("t", f"TBackward{k}", _reversed)(_transposed) for k in range(2))

# ------------------------------------------------------------------------------------------- parts


@view_row("select", "SelectBackward0", geometries.select)
def SELECT(input: Array, dim: int, index: Factor) -> Any:
    """One place along a dimension; the dimension is dropped."""
    return lax.dynamic_index_in_dim(input, index, dim, False)


def _sliced(of: Geometry, dim: int, length: int, step: int, start: int) -> Geometry:
    return geometries.slice_(of, dim, start, length, step)


@view_row("slice", "SliceBackward0", _sliced)
def SLICE(input: Array, dim: int, length: int, step: int, start: Factor) -> Any:
    """Every `step`-th place along a dimension."""
    reach = (length - 1) * step + 1 if length else 0
    block = lax.dynamic_slice_in_dim(input, start, reach, dim)
    return block if step == 1 else lax.slice_in_dim(block, 0, reach, step, dim)


@view_row("diagonal", "DiagonalBackward0", geometries.diagonal)
def DIAGONAL(input: Array, offset: int, dim1: int, dim2: int) -> Any:
    """The places where two dimensions have the same index."""
    return jnp.diagonal(input, offset, dim1, dim2)


@view_row("unfold", "UnfoldBackward0", geometries.unfold)
def UNFOLD(input: Array, dim: int, size: int, step: int) -> Any:
    """Windows along a dimension."""
    made = geometries.unfold(geometries.contiguous(input.shape), dim, size, step)
    return reader(layout_of(input.shape, made))(input, jnp.int32(0))


@view_row("as_strided", "AsStridedBackward1")
def AS_STRIDED_IN_PLACE(input: Array, view: Geometry) -> Any:
    """Any places of the input's memory."""
    return reader(layout_of(input.shape, view))(input, jnp.int32(view.offset))


# ------------------------------------------------------------------------------------------- several views


@view_row("unbind", "UnbindBackward0")
def UNBIND(input: Array, dim: int) -> Any:
    """All places along a dimension."""
    return tuple([lax.index_in_dim(input, k, dim, False) for k in range(input.shape[dim])])


def _split(input: Array, sizes: tuple[int, ...], dim: int) -> Any:
    ends = list(accumulate(sizes))
    parts = zip(sizes, ends, strict=True)
    return tuple([lax.slice_in_dim(input, end - n, end, axis=dim) for n, end in parts])


SPLIT = view_row("split", "SplitBackward0")(_split)
SPLIT_WITH_SIZES = view_row("split_with_sizes", "SplitWithSizesBackward0")(_split)
