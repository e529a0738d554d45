"""Sums, means and the like: ops that reduce dimensions. One row an op."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine.ops import remember
from funcgrad.engine.unrolled import record_one
from funcgrad.torch._ops import casting
from funcgrad.torch._ops.out import CASTS, store
from funcgrad.torch._ops.row import (
    BOOL,
    FLOAT,
    HALF,
    INEXACT,
    SAME,
    WIDE,
    Array,
    Refusal,
    Row,
    accumulating,
    arguments_of,
    named,
    no_kernel,
    wrapped_dims,
)
from funcgrad.torch._ops.slopes import sharing
from funcgrad.torch._tensor.in_place import watch
from funcgrad.torch._tensor.kinds import NOT_GIVEN, refusal
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import (
    as_dtype,
    bool_,
    dtype,
    get_default_dtype,
    int64,
    uint8,
)

Dims = int | tuple[int, ...] | list[int] | None


def reduction(
    name: str,
    function: Callable[..., Any],
    nodes: tuple[str, str],
    rule: str,
    *,
    saves: str = "",
    refuses: tuple[Refusal, ...] = (),
    out: str = CASTS,
    of_nothing: bool = True,
    accumulates: bool = True,
    needs_dim: bool = False,
    keeps_named: bool = False,
) -> None:
    """Declare a reduction.

    Args:
        name: PyTorch's name.
        function: the JAX function of (x, axis, keepdims).
        nodes: the graph node's names: over all dimensions, and over some.
        rule: the dtype rule: `WIDE`, `INEXACT`, `FLOAT`, `SAME` or `BOOL`.
        saves, refuses, out: as in `Row`.
        of_nothing: whether no elements have a reduction, such as a sum of zero.
        accumulates: whether float16 and bfloat16 are computed in float32.
        needs_dim: whether the dimensions have to be named.
        keeps_named: whether they have to be named if they are kept.
    """

    def reduce(input: Array, dim: Any, keepdim: bool, stored: np.dtype | None) -> Any:
        if stored is not None:
            input = input.astype(stored)
        axis = None if dim is None or input.ndim == 0 else dim
        if not of_nothing:
            _check_some(name, input.shape, axis)
        along = partial(function, axis=axis, keepdims=keepdim)
        made = (accumulating(along) if accumulates else along)(input)
        # JAX widens small integers; PyTorch wraps around in the requested dtype.
        if rule is BOOL:
            return made.astype(np.uint8) if input.dtype == np.uint8 else made
        return made.astype(input.dtype)

    facts: Any = {"dtype": rule, "saves": saves, "refuses": refuses, "out": out}
    over_all, over_dims = (
        Row(title, node, reduce, arguments_of(reduce), kind=table, **facts)
        for title, node, table in zip(
            (name, f"{name}.dim"), nodes, ("reduction", "reduction along"), strict=True
        )
    )
    doc = f"Over the dimensions `dim` (all of them if None), as `torch.{name}`."
    publish(named(_function(over_all, over_dims, needs_dim, keeps_named), name, doc))


def _check_some(name: str, shape: tuple[int, ...], dims: tuple[int, ...] | None) -> None:
    if dims is None and 0 in shape:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the "
            "'dim' argument."
        )
    for dim in dims or ():
        if not shape[dim]:
            raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")


def _stored(row: Row, input: Tensor, wanted: dtype | None) -> dtype | None:
    """The dtype to convert to before the reduction; None if there is nothing to convert."""
    given = input.dtype if wanted is None else as_dtype(wanted)
    inexact = given.is_floating_point or given.is_complex
    if row.dtype is INEXACT and not inexact:
        which = "Input" if wanted is None else "Optional"
        raise RuntimeError(
            f"{row.title}(): could not infer output dtype. {which} dtype must be either a floating point or complex "
            f"dtype. Got: {given.scalar_type}"
        )
    if wanted is not None:
        return given
    if row.dtype is WIDE and not inexact:
        return int64
    if row.dtype is FLOAT and not inexact:
        return get_default_dtype()
    if row.dtype is BOOL and given is not uint8:
        return bool_
    return None


def _function(
    over_all: Row, over_dims: Row, needs_dim: bool, keeps_named: bool
) -> Callable[..., Tensor]:
    plain_op, saves_result = over_all.op(None, False, None), "result" in over_all.watches
    plain: dict[Any, None] = {}
    unnamed: Any = NOT_GIVEN if keeps_named else None

    def reduce(
        input: Tensor,
        dim: Dims = unnamed,
        keepdim: bool = False,
        *,
        dtype: dtype | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        if dim is NOT_GIVEN:
            if keepdim:
                raise TypeError(f"{over_all.title}(): `keepdim` needs `dim`, which may be None")
            dim = None
        if dim is None and needs_dim:
            raise refusal(over_all.title, "dim", 2, "tuple of ints", dim)
        if dtype is not None and over_all.dtype not in (WIDE, INEXACT):
            raise TypeError(f"{over_all.title}() got an unexpected keyword argument 'dtype'")
        if out is not None:
            return store(
                over_all.title,
                out,
                (input,),
                lambda: reduce(input, dim, keepdim, dtype=dtype),
                over_all.out,
            )
        if over_all.cast and casting.now.dtype is not None:
            (input,) = casting.cast(over_all.title, (input,))
        storage = input._storage
        aval = (storage.value or storage).aval
        if dim is None and dtype is None and not keepdim and aval in plain:
            result = tensor_of(*record_one(plain_op, input))
            if saves_result:
                watch(result._node, result._storage, arguments=True)
            return result
        stored = _stored(over_all, input, dtype)
        if stored is None:
            remember(plain, aval, None)
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


def _mean(x: Any, axis: Any, keepdims: bool) -> Any:
    """The sum divided by the count, in one rounding.

    XLA multiplies by the reciprocal of a count that it knows. In float64 that rounds to the same; and the reciprocal of a
    power of two is exact.
    """
    total = jnp.sum(x, axis=axis, keepdims=keepdims)
    dims = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    count = math.prod([x.shape[k] for k in dims])
    if isinstance(count, int) and count.bit_count() == 1:
        return total / count
    return (total.astype(np.promote_types(x.dtype, np.float64)) / count).astype(x.dtype)


def _logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    """In half precision every step is rounded, as in PyTorch: a sum beyond the range is infinite."""
    if x.dtype not in HALF:
        return jax.scipy.special.logsumexp(x, axis, keepdims=keepdims)
    made = _rounded_logsumexp(x, axis)
    return made if keepdims else jnp.squeeze(made, axis)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _rounded_logsumexp(x: Any, axis: Any) -> Any:
    most = jnp.max(x, axis, keepdims=True)
    most = jnp.where(jnp.isfinite(most), most, 0)
    total = accumulating(partial(jnp.sum, axis=axis, keepdims=True))(jnp.exp(x - most))
    return jnp.log(total) + most


@_rounded_logsumexp.defjvp
def _(axis: Any, primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    made = _rounded_logsumexp(x, axis)
    parts = jnp.exp(x - jnp.where(made == -jnp.inf, 0, made))
    return made, (t * parts).sum(axis, keepdims=True)


_BOTH = "self result"
_SAME_OUT = "Expected the dtype for input and out to match, but got {Wanted} for input's dtype and {Given} for out's dtype."
_BOOL_OUT = "{name} only supports bool tensor for result, got: {{Given}}"
reduction("sum", jnp.sum, ("SumBackward0", "SumBackward1"), WIDE, keeps_named=True)
reduction("mean", _mean, ("MeanBackward0", "MeanBackward1"), INEXACT, keeps_named=True)
reduction("prod", jnp.prod, ("ProdBackward0", "ProdBackward1"), WIDE, saves=_BOTH, keeps_named=True)
reduction(
    "amax",
    sharing(jnp.max),
    ("AmaxBackward0",) * 2,
    SAME,
    saves=_BOTH,
    refuses=(no_kernel("c", "max_values_cpu"),),
    out=_SAME_OUT,
    of_nothing=False,
)
reduction(
    "amin",
    sharing(jnp.min),
    ("AminBackward0",) * 2,
    SAME,
    saves=_BOTH,
    refuses=(no_kernel("c", "min_values_cpu"),),
    out=_SAME_OUT,
    of_nothing=False,
)
reduction(
    "logsumexp",
    _logsumexp,
    ("LogsumexpBackward0",) * 2,
    FLOAT,
    saves=_BOTH,
    accumulates=False,
    needs_dim=True,
)
reduction(
    "all",
    jnp.all,
    ("AllBackward0", "AllBackward1"),
    BOOL,
    out=_BOOL_OUT.format(name="all"),
)
reduction(
    "any",
    jnp.any,
    ("AnyBackward0", "AnyBackward1"),
    BOOL,
    out=_BOOL_OUT.format(name="any"),
)
