"""The ops that give several views of one tensor, such as `split` and iteration."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from operator import index
from typing import Any

import numpy as np

from funcgrad.torch._memory import geometry as geometries
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.views.complaining import complaining
from funcgrad.torch._ops.views.rows import SPLIT, SPLIT_WITH_SIZES, UNBIND, ViewRow
from funcgrad.torch._ops.views.views import sliced
from funcgrad.torch._tensor.kinds import is_int, is_ints, refusal
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.view import geometry, make_views
from funcgrad.torch._types.variadic import one_by_one


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All places along a dimension, as a tuple."""
    of = geometry(input)
    dim = wrap_dim(dim, len(of.size))
    if not of.size:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    if not of.size[dim]:
        return ()
    parts = [geometries.select(of, dim, k) for k in range(of.size[dim])]
    return make_views(input, parts, UNBIND.op(dim))


def iterate(self: Tensor) -> Iterator[Tensor]:
    """The places along the first dimension."""
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(unbind(self))


def _parts(input: Tensor, sizes: Sequence[int], dim: int, row: ViewRow) -> tuple[Tensor, ...]:
    of = geometry(input)
    ends = list(accumulate(sizes))
    parts = [geometries.slice_(of, dim, end - n, n, 1) for n, end in zip(sizes, ends, strict=True)]
    return make_views(input, parts, row.op(tuple(sizes), dim))


def split(input: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of one size along a dimension, the last one possibly smaller; or parts of the listed sizes."""
    if isinstance(split_size_or_sections, (tuple, list)):
        return split_with_sizes(input, split_size_or_sections, dim)
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if not is_int(split_size_or_sections):
        raise refusal("split", "split_size", 2, "int", split_size_or_sections)
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
    return _parts(input, sizes, dim, SPLIT)


def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of the sizes listed along a dimension."""
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if not is_ints(split_sizes):
        raise refusal("split_with_sizes", "split_sizes", 2, "tuple of ints", split_sizes)
    dim, sizes = wrap_dim(dim, input.ndim), list(map(index, split_sizes))
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
    return _parts(input, sizes, dim, SPLIT_WITH_SIZES)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of one size along a dimension, the last one possibly smaller."""
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    length = input.shape[wrap_dim(dim, input.ndim)]
    size = (length + chunks - 1) // chunks
    if not size and not length:
        return split_with_sizes(input, [0] * chunks, dim)
    return split(input, size, dim)


def _cuts(indices_or_sections: Any, indices: Any, sections: Any) -> Any:
    """The indices or the count of sections, given by one of PyTorch's three names."""
    given = [x for x in (indices_or_sections, indices, sections) if x is not None]
    if len(given) != 1:
        raise TypeError("expected one of 'indices', 'sections' and 'indices_or_sections'")
    return given[0]


def tensor_split(
    input: Tensor,
    indices_or_sections: Any = None,
    dim: int = 0,
    *,
    indices: Any = None,
    sections: Any = None,
) -> tuple[Tensor, ...]:
    """A number of parts along a dimension, as equal as possible; or the parts between the listed indices."""
    indices_or_sections = _cuts(indices_or_sections, indices, sections)
    if not input.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim = wrap_dim(dim, input.ndim)
    length = input.shape[dim]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, (int, np.integer)):
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
    def function(
        input: Tensor, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None
    ) -> tuple[Tensor, ...]:
        indices_or_sections = _cuts(indices_or_sections, indices, sections)
        if input.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, but got a "
                f"tensor with {input.ndim} dimensions!"
            )
        along = dim if dim_of_vector is None or input.ndim > 1 else dim_of_vector
        if isinstance(indices_or_sections, (int, np.integer)):
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


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "chunk": chunk,
    "dsplit": _stacked("dsplit", 3, 2),
    "hsplit": _stacked("hsplit", 1, 1, 0),
    "split": split,
    "split_with_sizes": split_with_sizes,
    "tensor_split": tensor_split,
    "unbind": unbind,
    "vsplit": _stacked("vsplit", 2, 0),
}
FUNCTIONS = complaining(_FUNCTIONS)
_METHODS = {name: one_by_one(_FUNCTIONS[name]) for name in ("dsplit", "hsplit", "vsplit")}
publish_all(FUNCTIONS, {**FUNCTIONS, **complaining({**_METHODS, "__iter__": iterate})})
