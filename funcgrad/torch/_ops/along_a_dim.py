"""Ops along one dimension: the largest and the smallest, sorting, running sums, softmax, variance and norms."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Op, record
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.pointwise import FUNCTIONS as POINTWISE
from funcgrad.torch._ops.pointwise import absolute
from funcgrad.torch._ops.refusals import refusing
from funcgrad.torch._tensor.in_place import watch
from funcgrad.torch._tensor.operands import call, laid_out
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import bool_, dtype, int64

# ------------------------------------------------------------------------------------------- the JAX functions


def _along(x: Any, indices: Any, dim: int) -> Any:
    return jnp.take_along_axis(x, indices, dim) if x.ndim else x


def _extreme(argument: Callable[..., Any]) -> Callable[..., Any]:
    def of(dim: int, keepdim: bool) -> Callable[[Any], Any]:
        def function(x: Any) -> tuple[Any, Any]:
            if not x.ndim:
                return x, jnp.zeros((), np.int64)
            indices = jnp.expand_dims(argument(x, dim).astype(np.int64), dim)
            values = jnp.take_along_axis(x, indices, dim)
            return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))

        return function

    return of


def _argument(argument: Callable[..., Any]) -> Callable[..., Any]:
    return lambda dim, keepdim: (
        lambda x: (
            argument(x, axis=dim, keepdims=keepdim).astype(np.int64)
            if x.ndim
            else jnp.zeros((), np.int64)
        )
    )


def _sort(dim: int, descending: bool) -> Callable[[Any], Any]:
    def function(x: Any) -> tuple[Any, Any]:
        if not x.ndim:
            return x, jnp.zeros((), np.int64)
        indices = jnp.argsort(x, dim, stable=True, descending=descending).astype(np.int64)
        return _along(x, indices, dim), indices

    return function


def _top(count: int, dim: int, largest: bool) -> Callable[[Any], Any]:
    sort = _sort(dim, largest)

    def function(x: Any) -> tuple[Any, Any]:
        values, indices = sort(x)
        if not x.ndim:
            return values, indices
        cut = partial(jax.lax.slice_in_dim, start_index=0, limit_index=count, axis=dim)
        return cut(values), cut(indices)

    return function


def _running(function: Callable[..., Any]) -> Callable[..., Any]:
    def of(dim: int, stored: np.dtype) -> Callable[[Any], Any]:
        return lambda x: function(x.astype(stored), axis=dim) if x.ndim else x.astype(stored)

    return of


def _soft(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda dim, stored: (
        lambda x: (
            function(x.astype(stored), axis=dim)
            if x.ndim
            else function(x.astype(stored)[None], axis=0)[0]
        )
    )


def _spread(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda dims, correction, keepdim: (
        lambda x: function(x, axis=dims, ddof=correction, keepdims=keepdim)
    )


def _root(total: Any) -> Any:
    """The square root, with its slope at zero taken as zero, as PyTorch does."""
    return jnp.where(total == 0, 0, jnp.sqrt(jnp.where(total == 0, 1, total)))


def _norm(order: float, dims: tuple[int, ...] | None, keepdim: bool) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        if order == 2:
            total = jnp.sum(jnp.real(x * jnp.conj(x)), axis=dims, keepdims=keepdim)
            return _root(total)
        size = absolute(x)
        if order == np.inf:
            return jnp.max(size, axis=dims, keepdims=keepdim)
        if order == -np.inf:
            return jnp.min(size, axis=dims, keepdims=keepdim)
        if order == 0:
            return jnp.sum(size != 0, axis=dims, keepdims=keepdim).astype(size.dtype)
        if order == 1:
            return jnp.sum(size, axis=dims, keepdims=keepdim)
        total = jnp.sum(size**order, axis=dims, keepdims=keepdim)
        return jnp.where(total == 0, 0, jnp.where(total == 0, 1, total) ** (1 / order))

    return function


_FUNCTIONS: dict[str, Callable[..., Callable[..., Any]]] = {
    "ArgmaxBackward0": _argument(jnp.argmax),
    "ArgminBackward0": _argument(jnp.argmin),
    "CumprodBackward0": _running(jnp.cumprod),
    "CumsumBackward0": _running(jnp.cumsum),
    "LinalgVectorNormBackward0": _norm,
    "LogSoftmaxBackward0": _soft(jax.nn.log_softmax),
    "LogcumsumexpBackward0": _running(jax.lax.cumlogsumexp),
    "MaxBackward0": _extreme(jnp.argmax),
    "MaxBackward1": lambda: jnp.max,
    "MinBackward0": _extreme(jnp.argmin),
    "MinBackward1": lambda: jnp.min,
    "SoftmaxBackward0": _soft(jax.nn.softmax),
    "SortBackward0": _sort,
    "StdBackward0": _spread(lambda x, **options: _root(jnp.var(x, **options))),
    "TopkBackward0": _top,
    "VarBackward0": _spread(jnp.var),
}


@lru_cache(maxsize=2048)
def _op(label: str, *static: Any) -> Op:
    name = label.split("Backward")[0].lower()
    check = refusing(_REFUSED_AS.get(name, name) if name not in ("max", "min") else label)
    return Op(name, _FUNCTIONS[label](*static), label=label, check=check)


# What `refusals` calls these ops.
_REFUSED_AS = {"logsoftmax": "log_softmax", "sort": "Sort"}


# ------------------------------------------------------------------------------------------- largest and smallest


class _Found(NamedTuple):
    values: Tensor
    indices: Tensor


def _found(name: str) -> type[_Found]:
    """What `torch.return_types` has for an op."""

    def show(self: _Found) -> str:
        return f"torch.return_types.{name}(\nvalues={self.values},\nindices={self.indices})"

    return type(name, (_Found,), {"__slots__": (), "__repr__": show})


def _saving_indices(found: type[_Found], values: Tensor, indices: Tensor) -> _Found:
    """Values with the indices from which PyTorch takes the derivative."""
    watch(values._node, indices._storage)
    return found(values, indices)


def _saving_result(op: Op, input: Tensor, *, arguments: bool) -> Tensor:
    """The result of an op whose derivative PyTorch takes from the result, and from the argument if `arguments`."""
    result = tensor_of(*record(op, (input,)))
    watch(result._node, result._storage, arguments=arguments)
    return result


def _extremes(name: str, label: str, elementwise: str) -> Callable[..., Any]:
    found = _found(name)

    def function(
        input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None
    ) -> Any:
        if isinstance(dim, Tensor) or other is not None:
            return POINTWISE[elementwise](input, dim if other is None else other)
        if not input.numel() and (dim is None or not input.shape[wrap_dim(dim, input.ndim)]):
            raise (RuntimeError if dim is None else IndexError)(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim "
                "with the 'dim' argument."
                if dim is None
                else f"{name}(): Expected reduction dim {dim} to have non-zero size."
            )
        if dim is None:
            return _saving_result(_op(f"{label}1"), input, arguments=True)
        made = call(_op(f"{label}0", wrap_dim(dim, input.ndim), keepdim), input)
        return _saving_indices(found, *made)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The {name} of all elements, or along `dim` with its index, or of two tensors, as `torch.{name}`."
    return function


def _arguments(name: str, label: str) -> Callable[..., Tensor]:
    def function(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        if not input.numel() and dim is None:
            raise IndexError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
            )
        along = None if dim is None else wrap_dim(dim, input.ndim)
        return tensor_of(*record(_op(label, along, keepdim), (input,)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The index of what `{name[3:]}` finds, as `torch.{name}`."
    return function


# ------------------------------------------------------------------------------------------- sorting


_Sorted, _Top = _found("sort"), _found("topk")


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> _Found:
    """The elements along a dimension in order, and where each came from."""
    made = call(_op("SortBackward0", wrap_dim(dim, input.ndim), descending), input)
    return _saving_indices(_Sorted, *[laid_out(each, input) for each in made])


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Where the elements along a dimension come from when they are put in order."""
    return sort(input.detach(), dim, descending).indices


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> _Found:
    """The `k` largest elements along a dimension, or the smallest, and where they are."""
    along = wrap_dim(dim, input.ndim)
    if not 0 <= k <= (input.shape[along] if input.ndim else 1):
        raise RuntimeError("selected index k out of range")
    return _saving_indices(_Top, *call(_op("TopkBackward0", k, along, largest), input))


# ------------------------------------------------------------------------------------------- running, soft, spread


def _stored(input: Tensor, wanted: dtype | None, integers: dtype | None) -> np.dtype:
    if wanted is not None:
        return wanted.numpy_dtype
    given = input.dtype
    inexact = given.is_floating_point or given.is_complex
    return (given if inexact or integers is None else integers).numpy_dtype


def _of_dim(
    name: str, label: str, integers: dtype | None, *, arguments: bool = True
) -> Callable[..., Tensor]:
    def function(input: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
        stored = _stored(input, dtype, integers)
        if integers is None and stored.kind in "iub":
            kind = bool_ if stored.kind == "b" else input.dtype
            kernel = {
                "softmax": "softmax_lastdim_kernel_impl",
                "log_softmax": "log_softmax_lastdim_kernel_impl",
            }
            raise NotImplementedError(
                f"\"{kernel.get(name, name)}\" not implemented for '{kind.scalar_type}'"
            )
        return _saving_result(
            _op(label, wrap_dim(dim, input.ndim), stored), input, arguments=arguments
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Along a dimension, as `torch.{name}`."
    return function


def _dims(input: Tensor, dim: Any) -> tuple[int, ...] | None:
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return None
    given = dim if isinstance(dim, (tuple, list)) else (dim,)
    dims = tuple([wrap_dim(each, input.ndim) for each in given])
    return dims if input.ndim else None


def _spreads(name: str, label: str) -> Callable[..., Tensor]:
    def function(
        input: Tensor,
        dim: Any = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Tensor:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if not (input.dtype.is_floating_point or input.dtype.is_complex):
            raise RuntimeError("std and var only support floating point and complex dtypes")
        if correction is None:
            correction = 0 if unbiased is False else 1
        static = (_dims(input, dim), correction, keepdim)
        if name == "var":
            return tensor_of(*record(_op(label, *static), (input,)))
        return _saving_result(_op(label, *static), input, arguments=True)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"Over all elements or some dimensions, unbiased unless told otherwise, as `torch.{name}`."
    )
    return function


def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
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
    order = 2.0 if p in ("fro", None) else float(p)
    static = (order, _dims(input, dim), keepdim)
    return _saving_result(_op("LinalgVectorNormBackward0", *static), input, arguments=True)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "argmax": _arguments("argmax", "ArgmaxBackward0"),
    "argmin": _arguments("argmin", "ArgminBackward0"),
    "argsort": argsort,
    "cumprod": _of_dim("cumprod", "CumprodBackward0", int64),
    "cumsum": _of_dim("cumsum", "CumsumBackward0", int64),
    "log_softmax": _of_dim("log_softmax", "LogSoftmaxBackward0", None, arguments=False),
    "logcumsumexp": _of_dim("logcumsumexp", "LogcumsumexpBackward0", None),
    "max": _extremes("max", "MaxBackward", "maximum"),
    "min": _extremes("min", "MinBackward", "minimum"),
    "norm": norm,
    "softmax": _of_dim("softmax", "SoftmaxBackward0", None, arguments=False),
    "sort": sort,
    "std": _spreads("std", "StdBackward0"),
    "topk": topk,
    "var": _spreads("var", "VarBackward0"),
}
METHODS = FUNCTIONS
