"""Ops along dimensions: the largest and the smallest, sorting, running sums, softmax, variance and norms."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import FunctionNode, Variable, local
from funcgrad.torch._ops.conversions import to
from funcgrad.torch._ops.out import CASTS, EXACT, store
from funcgrad.torch._ops.pointwise import absolute
from funcgrad.torch._ops.row import (
    WIDE,
    Array,
    Dim,
    Dims,
    DType,
    Refusal,
    Row,
    accumulating,
    named,
    no_kernel,
    op,
    wrapped_dims,
)
from funcgrad.torch._ops.slopes import choosing
from funcgrad.torch._tensor.kinds import NOT_GIVEN
from funcgrad.torch._tensor.operands import plain_number
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import dtype
from funcgrad.torch._types.warning import warn

# ------------------------------------------------------------------------------------------- largest and smallest


def check_no_keepdim(name: str, keepdim: bool) -> None:
    """Check that a reduction of all elements was not asked to keep a dimension.

    Raises:
        TypeError: it was.
    """
    if keepdim:
        raise TypeError(f"{name}() takes `keepdim` only with `dim`")


def _no_complex(name: str) -> Refusal:
    return Refusal("c", RuntimeError, f"{name}(): does not support complex input")


def _found_at(argument: Callable[..., Any], x: Any, dim: int, keepdim: bool) -> tuple[Any, Any]:
    if not x.ndim:
        return x, jnp.zeros((), np.int64)
    indices = jnp.expand_dims(argument(x, dim).astype(np.int64), dim)
    values = jnp.take_along_axis(x, indices, dim)
    return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))


def _check_not_empty(name: str, input: Tensor, dim: int | None, *_: Any) -> None:
    if input.numel() or (dim is not None and input.shape[dim]):
        return
    if dim is None:
        raise (IndexError if name.startswith("arg") else RuntimeError)(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the "
            "'dim' argument."
        )
    raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")


def _extreme(
    name: str, largest: Callable[..., Any], argument: Callable[..., Any], other: str
) -> None:
    """Declare `max` or `min`: of all elements, along a dimension, or of two tensors."""
    node, chosen = f"{name.capitalize()}Backward", choosing(largest)

    @op(
        f"{name}.all",
        f"{node}1",
        saves="self result",
        accumulates=True,
        refuses=(no_kernel("c", f"{name}_all"),),
        prepare=lambda input: _check_not_empty(name, input, None),
    )
    def of_all(input: Array) -> Any:
        return chosen(input)

    @op(
        f"{name}.dim",
        f"{node}0",
        saves="indices",
        refuses=(_no_complex(name),),
        prepare=partial(_check_not_empty, name),
        out=EXACT,
        returns=("values", "indices"),
    )
    def along(input: Array, dim: Dim, keepdim: bool = False) -> Any:
        return _found_at(argument, input, dim, keepdim)

    def function(
        input: Tensor,
        dim: int | Tensor = NOT_GIVEN,
        keepdim: bool = False,
        *,
        other: Tensor | None = None,
        out: Any = None,
    ) -> Any:
        if isinstance(dim, Tensor) or other is not None:
            if keepdim is not False:
                raise TypeError(
                    f"{name}() takes two tensors, or a tensor and a dimension with `keepdim`"
                )
            return FUNCTIONS[elementwise](input, dim if other is None else other, out=out)
        if dim is not NOT_GIVEN:
            return along(input, dim, keepdim, out=out)
        check_no_keepdim(name, keepdim)
        if out is not None:
            return store(name, out, (input,), lambda: of_all(input))
        return of_all(input)

    elementwise = other
    doc = f"The {name} of all elements, or along `dim` with its index, or of two tensors, as `torch.{name}`."
    publish(named(function, name, doc))


_extreme("max", jnp.max, jnp.argmax, "maximum")
_extreme("min", jnp.min, jnp.argmin, "minimum")


def _argument(name: str, argument: Callable[..., Any]) -> None:
    @op(
        name,
        f"{name.capitalize()}Backward0",
        refuses=(
            _no_complex(name),
            Refusal("b", RuntimeError, f"{name}(): does not support bool input"),
        ),
        prepare=partial(_check_not_empty, name),
        out=EXACT,
    )
    def function(input: Array, dim: Dim = None, keepdim: bool = False) -> Any:
        if not input.ndim:
            return jnp.zeros((), np.int64)
        return argument(input, axis=dim, keepdims=keepdim).astype(np.int64)


_argument("argmax", jnp.argmax)
_argument("argmin", jnp.argmin)

# ------------------------------------------------------------------------------------------- sorting


def _sorted(x: Any, dim: int, descending: bool, count: int | None = None) -> tuple[Any, Any]:
    if not x.ndim:
        return x, jnp.zeros((), np.int64)
    indices = jnp.argsort(x, dim, stable=True, descending=descending).astype(np.int64)
    indices = jax.lax.slice_in_dim(indices, 0, count, axis=dim)
    return jnp.take_along_axis(x, indices, dim), indices


_NOT_SORTED = Refusal("c", RuntimeError, " Sort does not support complex dtypes on CPU")
_NO_TOP = (
    Refusal("c", RuntimeError, " topk does not support complex dtypes on CPU"),
    Refusal("b", RuntimeError, "topk does not support bool dtypes on CPU"),
)


@op(
    "sort",
    "SortBackward0",
    saves="indices",
    refuses=(_NOT_SORTED,),
    laid_out=EXACT,
    out=EXACT,
    returns=("values", "indices"),
)
def sort(input: Array, dim: Dim = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order along a dimension, and the index that each came from."""
    return _sorted(input, dim, descending)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort the elements along a dimension."""
    return sort(input.detach(), dim, descending).indices


publish(argsort)


def _check_count(input: Tensor, k: int, dim: int, *_: Any) -> None:
    if not 0 <= k <= (input.shape[dim] if input.ndim else 1):
        raise RuntimeError("selected index k out of range")


@op(
    "topk",
    "TopkBackward0",
    saves="indices",
    refuses=_NO_TOP,
    prepare=_check_count,
    out=EXACT,
    returns=("values", "indices"),
)
def topk(input: Array, k: int, dim: Dim = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The `k` largest elements along a dimension, or the smallest, and their indices."""
    return _sorted(input, dim, largest, k)


# ------------------------------------------------------------------------------------------- running, soft


def _running(name: str, node: str, function: Callable[..., Any], **facts: Any) -> Row:
    @op(name, node, saves="self result", out=CASTS, **facts)
    def along(input: Array, dim: Dim, *, dtype: DType = None) -> Any:
        x = input.astype(dtype)
        return accumulating(partial(function, axis=dim))(x) if x.ndim else x

    return along


def _soft(name: str, node: str, function: Callable[..., Any]) -> Row:
    kernel = no_kernel("iub", f"{name}_lastdim_kernel_impl")
    complex_ = no_kernel("c", f"{name}_lastdim_kernel_impl")

    @op(name, node, saves="result", refuses=(kernel, complex_), out=EXACT)
    def along(input: Array, dim: Dim, dtype: DType = None) -> Any:
        x = input.astype(dtype)
        soft = accumulating(partial(function, axis=dim if x.ndim else 0))
        return soft(x) if x.ndim else soft(x[None])[0]

    return along


_running("cumsum", "CumsumBackward0", jnp.cumsum, dtype=WIDE)
_running("cumprod", "CumprodBackward0", jnp.cumprod, dtype=WIDE)
_running(
    "logcumsumexp",
    "LogcumsumexpBackward0",
    jax.lax.cumlogsumexp,
    refuses=(no_kernel("iub", "logcumsumexp"),),
)
_soft("softmax", "SoftmaxBackward0", jax.nn.softmax)
_soft("log_softmax", "LogSoftmaxBackward0", jax.nn.log_softmax)

# ------------------------------------------------------------------------------------------- spread


def root(total: Any) -> Any:
    """The square root, with PyTorch's slope of zero at zero."""
    return jnp.where(total == 0, 0, jnp.sqrt(jnp.where(total == 0, 1, total)))


@op("var.correction", "VarBackward0", accumulates=True)
def _var(input: Array, dim: Dims, correction: Any, keepdim: bool) -> Any:
    return jnp.var(input, axis=dim, ddof=correction, keepdims=keepdim)


@op("std.correction", "StdBackward0", saves="self result", accumulates=True)
def _std(input: Array, dim: Dims, correction: Any, keepdim: bool) -> Any:
    return root(jnp.var(input, axis=dim, ddof=correction, keepdims=keepdim))


Some = bool | int | tuple[int, ...] | list[int] | None


def degrees(
    name: str, dim: Some, unbiased: bool, keepdim: bool, correction: float | None
) -> tuple[Any, float]:
    """The dimensions and the correction that a spread is asked for, in one of PyTorch's three forms.

    Raises:
        TypeError: the arguments are of several forms.
    """
    if isinstance(dim, bool):
        if unbiased is not NOT_GIVEN or keepdim or correction is not None:
            raise TypeError(f"{name}() takes `unbiased` alone, or after `dim`")
        return None, int(dim)
    if correction is None:
        return dim, 0 if unbiased is False else 1
    if unbiased is not NOT_GIVEN:
        raise TypeError(f"{name}() takes `unbiased` or `correction`, not both")
    return dim, correction


def check_freedom(name: str, shape: Any, dim: Any, correction: float) -> None:
    """Warn if no degree of freedom is left."""
    dims = wrapped_dims(dim, len(shape))
    shape = shape or (1,)
    reduced = range(len(shape)) if dims is None else dims
    count = math.prod([shape[k] for k in reduced])
    kept = math.prod([length for k, length in enumerate(shape) if k not in reduced])
    if (count if kept else 0) - correction <= 0:
        warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor (input "
            "numel divided by output numel)."
        )


def _spread(name: str, row: Row) -> None:
    def function(
        input: Tensor,
        dim: Some = None,
        unbiased: bool = NOT_GIVEN,
        keepdim: bool = False,
        *,
        correction: float | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        dim, correction = degrees(name, dim, unbiased, keepdim, correction)
        if not (input.dtype.is_floating_point or input.dtype.is_complex):
            raise RuntimeError("std and var only support floating point and complex dtypes")
        check_freedom(name, input.shape, dim, correction)
        if out is not None:
            return store(name, out, (input,), lambda: row(input, dim, correction, keepdim))
        return row(input, dim, correction, keepdim)

    doc = (
        f"Over all elements or some dimensions, unbiased unless told otherwise, as `torch.{name}`."
    )
    publish(named(function, name, doc))


_spread("std", _std)
_spread("var", _var)

# ------------------------------------------------------------------------------------------- norms


def norm_along(input: Array, order: float, dim: Dims, keepdim: bool) -> Any:
    """The norm of an order above zero, infinite or zero, with PyTorch's slopes; JAX's function."""
    if order == 2:
        total = jnp.sum(jnp.real(input * jnp.conj(input)), axis=dim, keepdims=keepdim)
        return root(total)
    size = absolute(input)
    if order == np.inf:
        return jnp.max(size, axis=dim, keepdims=keepdim)
    if order == -np.inf:
        return jnp.min(size, axis=dim, keepdims=keepdim)
    if order == 0:
        return jnp.sum(size != 0, axis=dim, keepdims=keepdim).astype(size.dtype)
    if order == 1:
        return jnp.sum(size, axis=dim, keepdims=keepdim)
    powers = size**order
    if order < 1:  # an infinite slope at zero, for which PyTorch takes none
        zero = size == 0
        powers = jnp.where(zero, jax.lax.stop_gradient(powers), jnp.where(zero, 1, size) ** order)
    total = jnp.sum(powers, axis=dim, keepdims=keepdim)
    return jnp.where(total == 0, 0, jnp.where(total == 0, 1, total) ** (1 / order))


def _check_norm(input: Tensor, order: float, dim: tuple[int, ...] | None, keepdim: bool) -> None:
    """Check that a norm without an identity, such as a largest size, is of something.

    Raises:
        RuntimeError: it is not.
    """
    if input.numel() or not (order < 0 or order == np.inf):
        return
    empty = [k for k in dim or range(input.ndim) if input.shape[k] == 0]
    if empty:
        where = f"the dimension {empty[0]}because this dimension is empty and"
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {order:g} norm on "
            f"{'an empty tensor because' if dim is None else where} the operation does not have an identity"
        )


_norm = op("norm.order", "LinalgVectorNormBackward0", saves="self result", accumulates=True, flat=True, prepare=_check_norm)(norm_along)  # fmt: skip


def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The `p`-norm of all elements, or along dimensions.

    Raises:
        RuntimeError: the elements are integers.
    """
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{input.dtype.scalar_type}"
        )
    if out is not None:
        return store(
            "norm", out, (input,), lambda: norm(input, p, dim, keepdim, dtype=dtype), EXACT
        )
    if dtype is not None:
        input = to(input, dtype=dtype)
    p = plain_number(p, "linalg_vector_norm", "ord", 2)
    if p == "nuc":
        dims = tuple(range(input.ndim)) if dim is None else dim
        return FUNCTIONS["nuclear_norm"](input, dims, keepdim)
    order = 2.0 if p in ("fro", None) else float(p)
    if order == 0:
        return counted(LinalgVectorNormBackward0, lambda x: _norm(x, order, dim, keepdim), input)
    return _norm(input, order, dim, keepdim)


class _CountBackward(FunctionNode):
    """The node of a norm of order 0, which is a count. As in PyTorch, it passes no gradient on."""

    __slots__ = ()

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """No gradient."""
        return [None] * len(self.edges)


class LinalgVectorNormBackward0(_CountBackward):
    """The node of `norm` and `vector_norm`."""

    __slots__ = ()
    __module__ = "builtins"


class DistBackward0(_CountBackward):
    """The node of `dist`."""

    __slots__ = ()
    __module__ = "builtins"


def counted(kind: type[FunctionNode], count: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """A count of elements of the inputs, with a node of this kind if one of them requires grad."""
    edges = tuple([each._edge() for each in inputs if each.requires_grad])
    if not edges or not local.recorder.grad_enabled:
        return count(*inputs)
    result = count(*[each.detach() for each in inputs])
    result._node = kind(edges, (result._storage.aval,))
    return result


publish(norm)
