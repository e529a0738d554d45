"""The order in memory of an elementwise op's result."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from funcgrad.engine import Storage, Value
from funcgrad.torch._memory.geometry import Geometry, Sizes
from funcgrad.torch._memory.storages import OrderedStorage, ViewStorage, geometry_of


@lru_cache(maxsize=4096)
def _result_strides(shape: Sizes, operands: tuple[tuple[Sizes, Sizes], ...]) -> Geometry | None:
    """PyTorch's geometry for the result of an elementwise op; None if it is contiguous.

    Algorithm: `TensorIteratorBase::reorder_dimensions`.
    """
    ndim = len(shape)
    broadcast = []
    for size, stride in operands:
        missing = ndim - len(size)
        steps = [
            0 if n == 1 and m != 1 else s
            for n, s, m in zip(size, stride, shape[missing:], strict=True)
        ]
        broadcast.append([0] * missing + steps)
    same = {size for size, _ in operands} == {shape}
    if same and len({stride for _, stride in operands}) == 1:
        given = Geometry(shape, operands[0][1])
        if given.is_dense:
            return None if given.is_contiguous else given

    def compared(a: int, b: int) -> int:
        for steps in broadcast:
            if steps[a] == 0 or steps[b] == 0:
                continue
            if steps[a] != steps[b]:
                return -1 if steps[a] < steps[b] else 1
            if shape[a] > shape[b]:
                return 1
        return 0

    order = list(range(ndim))[::-1]  # from the fastest
    for k in range(1, ndim):
        at = k
        for before in range(k - 1, -1, -1):
            comparison = compared(order[before], order[at])
            if comparison > 0:
                order[before], order[at] = order[at], order[before]
                at = before
            elif comparison < 0:
                break
    strides, step = [0] * ndim, 1
    for dim in order:
        strides[dim] = step
        step *= shape[dim]
    made = Geometry(shape, tuple(strides))
    return None if made.is_contiguous else made


def result_storage(value: Value, operands: Sequence[Any]) -> Storage | None:
    """The storage for a result with PyTorch's order in memory; None if a plain storage has this order.

    Args:
        value: the result.
        operands: the operands of the elementwise op.
    """
    shape = value.aval.shape
    if len(shape) < 2 or 0 in shape:
        return None
    given = [geometry_of(each._storage) for each in operands]
    return stored_like(value, [each[:2] for each in given if each.size])


def stored_like(value: Value, operands: Sequence[tuple[Sizes, Sizes]]) -> Storage | None:
    """As `result_storage`, with the operands' sizes and strides."""
    made = _result_strides(value.aval.shape, tuple(operands))
    return None if made is None else in_geometry(value, made)


def in_geometry(value: Value, made: Geometry) -> Storage:
    """The storage of a value that lies in memory in another order than its indices."""
    shape = value.aval.shape
    order = tuple(sorted(range(len(shape)), key=lambda k: (-made.stride[k], k)))
    source = OrderedStorage(value, made, order)
    return ViewStorage(source, source, made, value.aval, tuple([shape[k] for k in order]))
