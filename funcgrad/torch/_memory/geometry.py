"""The geometry of a tensor: size, stride and offset, and their change by each view op.

It has only Python numbers. The rules, and the errors for a view that does not exist, are PyTorch's.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

Sizes = tuple[int, ...]


class Geometry(NamedTuple):
    """An element's place in memory is `offset + sum(index * stride)`, counted in elements."""

    size: Sizes
    stride: Sizes
    offset: int = 0

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie one after another in the order of their indices."""
        expected = 1
        for size, stride in zip(reversed(self.size), reversed(self.stride), strict=True):
            if size != 1:
                if stride != expected:
                    return not all(self.size)
                expected *= size
        return True

    @property
    def repeats(self) -> bool:
        """Whether several elements share a place in memory, as after `expand`."""
        return any(
            size > 1 and stride == 0 for size, stride in zip(self.size, self.stride, strict=True)
        )

    @property
    def is_dense(self) -> bool:
        """Whether the elements fill a block of memory, each place once."""
        if 0 in self.size:
            return True
        expected = 1
        for stride, size in sorted(
            (stride, size) for size, stride in zip(self.size, self.stride, strict=True) if size != 1
        ):
            if stride != expected:
                return False
            expected *= size
        return True

    def same_places(self, other: "Geometry") -> bool:
        """Whether another geometry of the same size has the same places. Strides of dimensions of length 1 do not count."""
        return all(
            a == b or n == 1 for n, a, b in zip(self.size, self.stride, other.stride, strict=True)
        )

    @property
    def end(self) -> int:
        """The place after the last element."""
        if 0 in self.size:
            return self.offset
        return (
            self.offset + 1 + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        )


@lru_cache(maxsize=4096)
def contiguous(size: Sizes) -> Geometry:
    """The geometry of a tensor that is not a view."""
    strides = []
    step = 1
    for length in reversed(size):
        strides.append(step)
        step *= max(length, 1)
    return Geometry(size, tuple(reversed(strides)))


def wrap_dim(dim: int, ndim: int) -> int:
    """A dimension counted from the front.

    Raises:
        TypeError: it is a bool.
        IndexError: the dimension is out of range.
    """
    if type(dim) is bool:
        raise TypeError("argument 'dim' must be int, not bool")
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})"
        )
    return dim % bound


def _replaced(of: Sizes, dim: int, *by: int) -> Sizes:
    return (*of[:dim], *by, *of[dim + 1 :])


def select(of: Geometry, dim: int, index: int) -> Geometry:
    """One place along a dimension; the dimension is dropped. `dim` and `index` must be counted from the front."""
    return Geometry(
        _replaced(of.size, dim), _replaced(of.stride, dim), of.offset + index * of.stride[dim]
    )


def slice_(of: Geometry, dim: int, start: int, length: int, step: int) -> Geometry:
    """Every `step`-th place along a dimension from `start`."""
    return Geometry(
        _replaced(of.size, dim, length),
        _replaced(of.stride, dim, of.stride[dim] * step),
        of.offset + start * of.stride[dim],
    )


def permute(of: Geometry, dims: Sizes) -> Geometry:
    """The dimensions in another order."""
    return Geometry(
        tuple([of.size[dim] for dim in dims]), tuple([of.stride[dim] for dim in dims]), of.offset
    )


def squeeze(of: Geometry, dims: Sequence[int]) -> Geometry:
    """The geometry without the dimensions in `dims` that have length 1."""
    kept = [k for k in range(len(of.size)) if k not in dims or of.size[k] != 1]
    return Geometry(
        tuple([of.size[k] for k in kept]), tuple([of.stride[k] for k in kept]), of.offset
    )


def unsqueeze(of: Geometry, dim: int) -> Geometry:
    """The geometry with a new dimension of length 1 at `dim`."""
    step = of.size[dim] * of.stride[dim] if dim < len(of.size) else 1
    return Geometry(
        (*of.size[:dim], 1, *of.size[dim:]), (*of.stride[:dim], step, *of.stride[dim:]), of.offset
    )


def expand(of: Geometry, sizes: Sequence[int]) -> Geometry:
    """Dimensions of length 1 repeated, and new ones in front; -1 keeps a length.

    Raises:
        RuntimeError: a dimension has another length, or there are too few sizes.
    """
    had = len(of.size)
    if len(sizes) < had:
        raise RuntimeError(
            f"expand({{the number of sizes provided ({len(sizes)}) must be greater or equal to the number of "
            f"dimensions in the tensor ({had})}})"
        )
    size: list[int] = []
    stride: list[int] = []
    for k, wanted in reversed(list(enumerate(sizes))):
        old = k - (len(sizes) - had)
        length = 1 if old < 0 else of.size[old]
        step = of.stride[old] if old >= 0 else (size[-1] * stride[-1] if size else 0)
        if wanted == -1 and old >= 0:
            wanted = length
        elif wanted < 0:
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) isn't allowed in a leading, non-existing dimension {k}"
            )
        if wanted != length:
            if length != 1:
                raise RuntimeError(
                    f"The expanded size of the tensor ({wanted}) must match the existing size ({length}) at "
                    f"non-singleton dimension {k}.  Target sizes: {list(sizes)}.  Tensor sizes: {list(of.size)}"
                )
            step = 0
        size.append(wanted)
        stride.append(step)
    return Geometry(tuple(reversed(size)), tuple(reversed(stride)), of.offset)


def diagonal(of: Geometry, offset: int, dim1: int, dim2: int) -> Geometry:
    """The places where two dimensions have the same index, `offset` apart, as a last dimension."""
    rows, columns = of.size[dim1], of.size[dim2]
    length = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    start = of.offset
    if length:
        start += offset * of.stride[dim2] if offset >= 0 else -offset * of.stride[dim1]
    kept = [k for k in range(len(of.size)) if k not in (dim1, dim2)]
    return Geometry(
        (*[of.size[k] for k in kept], length),
        (*[of.stride[k] for k in kept], of.stride[dim1] + of.stride[dim2]),
        start,
    )


def unfold(of: Geometry, dim: int, size: int, step: int) -> Geometry:
    """Windows of `size` places along a dimension, `step` apart, as a last dimension."""
    if not of.size:
        return Geometry((size,), (1,), of.offset)
    windows = (of.size[dim] - size) // step + 1
    return Geometry(
        (*_replaced(of.size, dim, windows), size),
        (*_replaced(of.stride, dim, of.stride[dim] * step), of.stride[dim]),
        of.offset,
    )


def infer_size(shape: Sequence[int], count: int) -> Sizes:
    """A shape for `count` elements, with its -1 replaced by the inferred length.

    Raises:
        RuntimeError: the shape does not fit, or has more than one -1.
    """
    given = list(shape)
    unknown = [k for k, length in enumerate(given) if length == -1]
    if len(unknown) > 1:
        raise RuntimeError("only one dimension can be inferred")
    for length in given:
        if length < -1:
            raise RuntimeError(f"invalid shape dimension {length}")
    known = prod(length for length in given if length != -1)
    if unknown:
        if known == 0 and count == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {given} because the unspecified dimension size -1 "
                "can be any value and is ambiguous"
            )
        if known and count % known == 0:
            given[unknown[0]] = count // known
            return tuple(given)
    elif known == count:
        return tuple(given)
    raise RuntimeError(f"shape '{given}' is invalid for input of size {count}")


def view(of: Geometry, size: Sizes) -> Geometry | None:
    """The same places under another shape with the same number of elements; None if no strides describe it.

    Algorithm: PyTorch's `at::detail::computeStride`.
    """
    if 0 in of.size:
        return of if size == of.size else Geometry(size, contiguous(size).stride, of.offset)
    if not of.size:
        return Geometry(size, (1,) * len(size), of.offset)
    stride = [0] * len(size)
    at = len(size) - 1
    chunk_base = of.stride[-1]
    in_tensor = in_view = 1
    for k in range(len(of.size) - 1, -1, -1):
        in_tensor *= of.size[k]
        if k == 0 or (of.size[k - 1] != 1 and of.stride[k - 1] != in_tensor * chunk_base):
            while at >= 0 and (in_view < in_tensor or size[at] == 1):
                stride[at] = in_view * chunk_base
                in_view *= size[at]
                at -= 1
            if in_view != in_tensor:
                return None
            if k > 0:
                chunk_base = of.stride[k - 1]
                in_tensor = in_view = 1
    return Geometry(size, tuple(stride), of.offset) if at == -1 else None
