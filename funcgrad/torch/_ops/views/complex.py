"""Views of complex tensors as real ones and of real ones as complex, and their real and imaginary parts."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from funcgrad.engine import Op
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._ops.casting import casts
from funcgrad.torch._ops.conversions import copy_, fill_, type_name
from funcgrad.torch._ops.views.views import select
from funcgrad.torch._tensor.operands import NUMBERS
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.view import geometry, make_reinterpreted
from funcgrad.torch._types.numbers import kind_of

_AS_REAL = Op(
    "view_as_real", lambda x: jnp.stack([x.real, x.imag], -1), label="ViewAsRealBackward0"
)
_AS_COMPLEX = Op(
    "view_as_complex", lambda x: lax.complex(x[..., 0], x[..., 1]), label="ViewAsComplexBackward0"
)


def view_as_real(input: Tensor) -> Tensor:
    """Complex elements as pairs of their real and imaginary parts, in a last dimension.

    Raises:
        RuntimeError: the elements are real.
    """
    if not input.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    of = geometry(input)
    made = Geometry((*of.size, 2), (*[2 * step for step in of.stride], 1), 2 * of.offset)
    part = np.zeros((), input.dtype.numpy_dtype).real.dtype
    return make_reinterpreted(input, made, part, _AS_REAL)


@casts
def view_as_complex(input: Tensor) -> Tensor:
    """Complex elements from pairs of real and imaginary parts in the last dimension.

    Raises:
        RuntimeError: the last dimension is not of length 2, or the pairs do not lie in memory as complex numbers do.
    """
    if input.dtype.name not in ("float32", "float64"):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: "
            f"{input.dtype.scalar_type}"
        )
    of = geometry(input)
    if not of.size:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if of.size[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if of.stride[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(step % 2 for step in of.stride[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if of.offset % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    made = Geometry(of.size[:-1], tuple([step // 2 for step in of.stride[:-1]]), of.offset // 2)
    whole = np.result_type(input.dtype.numpy_dtype, np.complex64)
    return make_reinterpreted(input, made, whole, _AS_COMPLEX)


def real(input: Tensor) -> Tensor:
    """The real parts, as a view; a real tensor is returned itself."""
    return select(view_as_real(input), -1, 0) if input.dtype.is_complex else input


def imag(input: Tensor) -> Tensor:
    """The imaginary parts, as a view.

    Raises:
        RuntimeError: the elements are real.
    """
    if not input.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return select(view_as_real(input), -1, 1)


def _set(part: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Any], None]:
    """The setter of a part, which writes in place."""

    def assign(self: Tensor, value: Any) -> None:
        target = part(self)
        if isinstance(value, Tensor):
            copy_(target, value)
        elif isinstance(value, NUMBERS):
            fill_(target, value)
        else:
            raise TypeError(f"can't assign a {kind_of(value)} to a {type_name(target)}")

    return assign


publish_all(
    {
        "imag": imag,
        "real": real,
        "view_as_complex": view_as_complex,
        "view_as_real": view_as_real,
    },
    {"imag": property(imag, _set(imag)), "real": property(real, _set(real))},
)
