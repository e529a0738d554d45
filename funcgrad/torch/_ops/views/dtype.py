"""A tensor's bits as elements of another dtype: `Tensor.view(dtype)`."""

from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.storages import reinterpreted
from funcgrad.torch._tensor.tensor import Tensor, without_history
from funcgrad.torch._tensor.view import geometry
from funcgrad.torch._types.dtypes import dtype


def view_dtype(input: Tensor, to: dtype) -> Tensor:
    """The same bits as elements of another dtype. No gradient flows through the view.

    Raises:
        RuntimeError: the dtypes' sizes differ, and the sizes, strides or offset do not fit.
    """
    of = _regrouped(geometry(input), input.dtype, to)
    return without_history(reinterpreted(input._storage, of, to.numpy_dtype))


def _regrouped(of: Geometry, given: dtype, wanted: dtype) -> Geometry:
    """The view's geometry, counted in elements of the wanted dtype.

    Algorithm: `view_dtype` in https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/TensorConversions.cpp
    """
    if given.itemsize == wanted.itemsize:
        return of
    how = f"to view {given.scalar_type} as {wanted.scalar_type} (different element sizes)"
    if not of.size:
        raise RuntimeError(f"self.dim() cannot be 0 {how}")
    (*outer, last), (*steps, step) = of.size, of.stride
    if given.itemsize > wanted.itemsize:
        _check_neighbours(step, how)
        ratio = given.itemsize // wanted.itemsize
        strides = [each * ratio for each in steps]
        return Geometry((*outer, last * ratio), (*strides, 1), of.offset * ratio)
    ratio = wanted.itemsize // given.itemsize
    checked = [("size(-1)", last), ("storage_offset()", of.offset)]
    for what, count in checked:
        if count % ratio:
            raise RuntimeError(f"self.{what} must be divisible by {ratio} {how}, but got {count}")
    _check_neighbours(step, how)
    for dim, each in enumerate(steps):
        if each % ratio:
            raise RuntimeError(
                f"self.stride({dim}) must be divisible by {ratio} {how}, but got {each}"
            )
    strides = [each // ratio for each in steps]
    return Geometry((*outer, last // ratio), (*strides, 1), of.offset // ratio)


def _check_neighbours(step: int, how: str) -> None:
    """Check that the elements of the last dimension lie side by side.

    Raises:
        RuntimeError: they do not.
    """
    if step != 1:
        raise RuntimeError(f"self.stride(-1) must be 1 {how}, but got {step}")
