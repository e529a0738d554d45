"""The elements of a view are read from its memory's array at once, without tracing: by exact arithmetic of places."""

from math import prod

import numpy as np
import pytest

from funcgrad.engine import Aval
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.layouts import layout_of
from funcgrad.torch._memory.storages import read_op


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize(
    ("shape", "geometry"),
    [
        ((4, 3), ((3,), (1,), 6)),  # a row
        ((4, 3), ((4,), (3,), 2)),  # a column
        ((4, 3), ((12,), (1,), 0)),  # all of them
        ((4, 3), ((5,), (1,), 4)),  # a range across rows
        ((4, 3), ((2, 3), (0, 1), 3)),  # a repeated row
        ((2, 3, 4), ((4, 2), (1, 12), 4)),  # a block, turned
        ((3, 4), ((2, 2), (5, 2), 1)),  # every second one, nested
        ((3, 4), ((3, 3), (1, 2), 2)),  # windows that overlap
        ((3, 4), ((2, 0), (4, 1), 12)),  # none, from the end
        ((), ((3,), (0,), 0)),  # a number, repeated
    ],
)
def test_a_view_of_an_array_is_read_by_its_strides(shape, geometry, order):
    size, stride, offset = geometry
    memory = np.arange(prod(shape), dtype=np.float32).reshape(shape, order="C")
    memory = np.asarray(memory, order=order)
    places = offset + sum(
        (step * along for step, along in zip(stride, np.indices(size), strict=True)),
        np.zeros(size, int),
    )
    op = read_op(layout_of(shape, Geometry(size, stride, offset)))
    avals = (Aval(shape, memory.dtype), Aval((), np.dtype(np.int32)))
    found = op.numpy_kernel(avals)(memory, np.int32(offset))
    assert op.types(avals) == (Aval(size, memory.dtype),)
    assert found.shape == size
    assert found.dtype == memory.dtype
    np.testing.assert_array_equal(found, memory.ravel(order="C")[places])
