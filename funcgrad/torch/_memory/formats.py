"""`layout` and `memory_format`: PyTorch's names for the order of elements in memory."""

from typing import Any

from funcgrad.torch._memory.geometry import Geometry, Sizes


class _Name:
    """A value with only a name; there is one instance for each name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        """PyTorch's spelling."""
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        """Copy and unpickle to the same instance, found in this module by name."""
        return self.name


class layout(_Name):
    """The kind of a tensor's storage. A sparse tensor has dense ones for its parts."""

    __slots__ = ()


class memory_format(_Name):
    """The order of a tensor's dimensions in memory.

    Behaviour: https://pytorch.org/docs/stable/tensor_attributes.html#torch-memory-format
    """

    __slots__ = ()


strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
sparse_csc = layout("sparse_csc")
sparse_bsr = layout("sparse_bsr")
sparse_bsc = layout("sparse_bsc")
jagged = layout("jagged")
preserve_format = memory_format("preserve_format")
contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")

RANKS = {channels_last: 4, channels_last_3d: 5}


def check_format(name: str, wanted: Any) -> None:
    """Check that the argument `memory_format` is a memory format.

    Raises:
        TypeError: it is not.
    """
    if wanted is not None and not isinstance(wanted, memory_format):
        raise TypeError(
            f"{name}(): argument 'memory_format' must be torch.memory_format, not {type(wanted).__name__}"
        )


def geometry_in(wanted: memory_format | None, size: Sizes) -> Geometry | None:
    """The geometry of a tensor in a format; None if it is contiguous.

    Raises:
        RuntimeError: the format is one of tensors of another rank.

    >>> geometry_in(channels_last, (2, 3, 4, 5)).stride
    (60, 1, 15, 3)
    """
    rank = RANKS.get(wanted)  # type: ignore[arg-type]
    if rank is None:
        return None
    if len(size) != rank:
        raise RuntimeError(f"required rank {rank} tensor to use {wanted.name} format")  # type: ignore[union-attr]
    strides, step = [0] * rank, 1
    for dim in (1, *range(rank - 1, 1, -1), 0):
        strides[dim] = step
        step *= max(size[dim], 1)
    return Geometry(size, tuple(strides))


def suggested_format(of: Geometry) -> memory_format:
    """The format that a tensor's elements lie in; contiguous if its strides fit several formats, or none.

    >>> suggested_format(Geometry((2, 3, 4, 5), (60, 1, 15, 3)))
    torch.channels_last

    Source: `is_channels_last_strides_2d_s4` in PyTorch's `c10/core/MemoryFormat.h`.
    """
    rank = len(of.size)
    found = next((each for each, n in RANKS.items() if n == rank), None)
    if found is None or of.stride[1] == 0:
        return contiguous_format
    least = 0
    for dim in (1, *range(rank - 1, 1, -1), 0):
        size, stride = of.size[dim], of.stride[dim]
        if size == 0 or stride < least or (dim == 0 and least == of.stride[1]):
            return contiguous_format
        least = stride * size
    return found
