"""Sums, means and the like, as a table: ops that take dimensions away."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from funcgrad.engine import Op
from funcgrad.engine.trace import record_one
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.out import store
from funcgrad.torch._ops.refusals import refusing
from funcgrad.torch._tensor.in_place import watch
from funcgrad.torch._tensor.operands import remember
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import bool_, dtype, int64

Dims = int | tuple[int, ...] | list[int] | None

INTEGRAL_TO_INT64 = "int64"  # bools and integers are summed in int64
FLOATING = "floating"  # only floating point and complex
SAME = "same"
BOOL = "bool"


class Row(NamedTuple):
    """A reduction: name, JAX function of (x, axis, keepdims), node names over all and over some dimensions, dtype rule.

    `saves_result`: PyTorch's derivative needs the argument and the result; see `watch`.
    """

    name: str
    function: Callable[..., Any]
    label: str
    label_of_dims: str
    kind: str
    saves_result: bool = False


ROWS = (
    Row("sum", jnp.sum, "SumBackward0", "SumBackward1", INTEGRAL_TO_INT64),
    Row("mean", jnp.mean, "MeanBackward0", "MeanBackward1", FLOATING),
    Row("prod", jnp.prod, "ProdBackward0", "ProdBackward1", INTEGRAL_TO_INT64, True),
    Row("amax", jnp.max, "AmaxBackward0", "AmaxBackward0", SAME, True),
    Row("amin", jnp.min, "AminBackward0", "AminBackward0", SAME, True),
    Row(
        "logsumexp",
        jax.scipy.special.logsumexp,
        "LogsumexpBackward0",
        "LogsumexpBackward0",
        FLOATING,
        True,
    ),
    Row("all", jnp.all, "AllBackward0", "AllBackward1", BOOL),
    Row("any", jnp.any, "AnyBackward0", "AnyBackward1", BOOL),
)


@lru_cache(maxsize=1024)
def _op(row: Row, dims: tuple[int, ...] | None, keepdim: bool, stored: dtype | None) -> Op:
    def reduce(x: Any) -> Any:
        if stored is not None:
            x = x.astype(stored.numpy_dtype)
        axis = None if dims is None or x.ndim == 0 else dims
        # float16 and bfloat16 accumulate in float32, in JAX as in PyTorch.
        return row.function(x, axis=axis, keepdims=keepdim)

    label = row.label if dims is None else row.label_of_dims
    return Op(row.name, reduce, label=label, check=refusing(row.name))


def _stored(row: Row, input: Tensor, wanted: dtype | None) -> dtype | None:
    """The dtype to convert to before reducing; None: as it is."""
    if wanted is not None:
        return wanted
    given = input.dtype
    inexact = given.is_floating_point or given.is_complex
    if row.kind == INTEGRAL_TO_INT64 and not inexact:
        return int64
    if row.kind == BOOL:
        return bool_
    if row.kind == FLOATING and not inexact:
        raise RuntimeError(
            f"{row.name}(): could not infer output dtype. Input dtype must be either a floating point or complex "
            f"dtype. Got: {given.scalar_type}"
        )
    return None


def _function(row: Row) -> Callable[..., Tensor]:
    over_all, saves_result = _op(row, None, False, None), row.saves_result
    plain: dict[Any, None] = {}

    def reduce(
        input: Tensor,
        dim: Dims = None,
        keepdim: bool = False,
        *,
        dtype: dtype | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        if out is not None:
            return store(row.name, out, (input,), lambda: reduce(input, dim, keepdim, dtype=dtype))
        if dim is None and dtype is None and not keepdim and input._storage.value.aval in plain:
            result = tensor_of(*record_one(over_all, input))
            if saves_result:
                watch(result._node, result._storage, arguments=True)
            return result
        stored = _stored(row, input, dtype)
        if stored is None:
            remember(plain, input._storage.value.aval, None)
        dims = None
        if dim is not None:
            wanted = (dim,) if isinstance(dim, int) else tuple(dim)
            dims = tuple(wrap_dim(each, input.ndim) for each in wanted)
            if len(set(dims)) < len(dims):
                twice = next(each for each in dims if dims.count(each) > 1)
                raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
        if not dims and (dim is not None or keepdim):
            dims = tuple(range(input.ndim))  # an empty list of dimensions means all of them
        result = tensor_of(*record_one(_op(row, dims, keepdim, stored), input))
        if saves_result:
            watch(result._node, result._storage, arguments=True)
        return result

    reduce.__name__ = reduce.__qualname__ = row.name
    reduce.__doc__ = f"Over the dimensions `dim` (all of them if None), as `torch.{row.name}`."
    return reduce


FUNCTIONS = {row.name: _function(row) for row in ROWS}
METHODS = FUNCTIONS
