"""Sums, means and the like: ops that take dimensions away. One row an op."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine.trace import record_one
from funcgrad.torch._ops.out import store
from funcgrad.torch._ops.row import (
    BOOL,
    INEXACT,
    SAME,
    WIDE,
    Array,
    Refusal,
    Row,
    arguments_of,
    named,
    no_kernel,
    wrapped_dims,
)
from funcgrad.torch._tensor.in_place import watch
from funcgrad.torch._tensor.operands import remember
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import bool_, dtype, int64

Dims = int | tuple[int, ...] | list[int] | None


def reduction(
    name: str,
    function: Callable[..., Any],
    nodes: tuple[str, str],
    rule: str,
    *,
    saves: str = "",
    refuses: tuple[Refusal, ...] = (),
) -> None:
    """Declare a reduction.

    Args:
        name: PyTorch's.
        function: the JAX function of (x, axis, keepdims).
        nodes: the graph node's name over all dimensions, and over some.
        rule: of dtypes: `WIDE`, `INEXACT`, `SAME` or `BOOL`.
        saves, refuses: as `Row` has them.
    """

    def reduce(input: Array, dim: Any, keepdim: bool, stored: np.dtype | None) -> Any:
        if stored is not None:
            input = input.astype(stored)
        axis = None if dim is None or input.ndim == 0 else dim
        # float16 and bfloat16 accumulate in float32, in JAX as in PyTorch.
        return function(input, axis=axis, keepdims=keepdim)

    facts: Any = {
        "dtype": rule,
        "saves": saves,
        "refuses": refuses,
        "out": True,
    }
    over_all, over_dims = (
        Row(title, node, reduce, arguments_of(reduce), kind=kind, **facts)
        for title, node, kind in zip(
            (name, f"{name}.dim"), nodes, ("reduction", "reduction along"), strict=True
        )
    )
    publish(
        named(
            _function(over_all, over_dims),
            name,
            f"Over the dimensions `dim` (all of them if None), as `torch.{name}`.",
        )
    )


def _stored(row: Row, input: Tensor, wanted: dtype | None) -> dtype | None:
    """The dtype to convert to before reducing; None: as it is."""
    if wanted is not None:
        return wanted
    given = input.dtype
    inexact = given.is_floating_point or given.is_complex
    if row.dtype is WIDE and not inexact:
        return int64
    if row.dtype is BOOL:
        return bool_
    if row.dtype is INEXACT and not inexact:
        raise RuntimeError(
            f"{row.title}(): could not infer output dtype. Input dtype must be either a floating point or complex "
            f"dtype. Got: {given.scalar_type}"
        )
    return None


def _function(over_all: Row, over_dims: Row) -> Callable[..., Tensor]:
    plain_op, saves_result = over_all.op(None, False, None), "result" in over_all.watches
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
            return store(
                over_all.title, out, (input,), lambda: reduce(input, dim, keepdim, dtype=dtype)
            )
        if dim is None and dtype is None and not keepdim and input._storage.value.aval in plain:
            result = tensor_of(*record_one(plain_op, input))
            if saves_result:
                watch(result._node, result._storage, arguments=True)
            return result
        stored = _stored(over_all, input, dtype)
        if stored is None:
            remember(plain, input._storage.value.aval, None)
        dims = wrapped_dims(dim, input.ndim)
        if not dims and (dim is not None or keepdim):
            dims = tuple(range(input.ndim))  # an empty list of dimensions means all of them
        row = over_all if dims is None else over_dims
        op = row.op(dims, keepdim, stored and stored.numpy_dtype)
        result = tensor_of(*record_one(op, input))
        if saves_result:
            watch(result._node, result._storage, arguments=True)
        return result

    return reduce


_BOTH = "self result"
reduction("sum", jnp.sum, ("SumBackward0", "SumBackward1"), WIDE)
reduction("mean", jnp.mean, ("MeanBackward0", "MeanBackward1"), INEXACT)
reduction("prod", jnp.prod, ("ProdBackward0", "ProdBackward1"), WIDE, saves=_BOTH)
reduction(
    "amax",
    jnp.max,
    ("AmaxBackward0",) * 2,
    SAME,
    saves=_BOTH,
    refuses=(no_kernel("c", "max_values_cpu"),),
)
reduction(
    "amin",
    jnp.min,
    ("AminBackward0",) * 2,
    SAME,
    saves=_BOTH,
    refuses=(no_kernel("c", "min_values_cpu"),),
)
reduction(
    "logsumexp", jax.scipy.special.logsumexp, ("LogsumexpBackward0",) * 2, INEXACT, saves=_BOTH
)
reduction("all", jnp.all, ("AllBackward0", "AllBackward1"), BOOL)
reduction("any", jnp.any, ("AnyBackward0", "AnyBackward1"), BOOL)
