"""Along a dimension: running extremes, differences, and integrals by the trapezoidal rule."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.joining import cat
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.row import Array, Dim, no_kernel, op
from funcgrad.torch._ops.views.views import narrow, reshape
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor

# ------------------------------------------------------------------------------------------- running extremes


def _running(name: str, node: str, extreme: Callable[..., Any]) -> None:
    @op(
        name,
        node,
        saves="self indices",
        returns=("values", "indices"),
        out=EXACT,
        refuses=(no_kernel("c", f"{name}_cpu"),),
    )
    def along(input: Array, dim: Dim) -> Any:
        if not input.ndim:
            return input, jnp.zeros((), np.int64)
        x = jax.lax.stop_gradient(input)
        ordered = x.astype(np.int32) if x.dtype == bool else x
        best = extreme(ordered, dim)
        shape = [-1 if k == dim else 1 for k in range(x.ndim)]
        places = jnp.arange(x.shape[dim]).reshape(shape)
        # The last place of the running extreme, and of NaN once there is one.
        here = (ordered == best) | jnp.isnan(ordered)
        indices = jax.lax.cummax(jnp.where(here, places, 0), dim).astype(np.int64)
        return jnp.take_along_axis(input, indices, dim), indices

    along.function.__doc__ = (
        f"The running extreme along a dimension, as `torch.{name}`, and its index."
    )


_running("cummax", "CummaxBackward0", jax.lax.cummax)
_running("cummin", "CumminBackward0", jax.lax.cummin)

# ------------------------------------------------------------------------------------------- differences


def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The differences of neighbours along a dimension, taken `n` times.

    Args:
        input: the tensor.
        n: how often.
        dim: the dimension.
        prepend, append: put before and after the tensor first.
        out: the tensor to store in.
    """
    if out is not None:
        return store("diff", out, (input,), lambda: diff(input, n, dim, prepend, append))
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    dim = wrap_dim(dim, input.ndim)
    for each in (prepend, append):
        if each is None:
            continue
        if each.ndim != input.ndim:
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
        for k in range(input.ndim):
            if k != dim and each.shape[k] != input.shape[k]:
                raise RuntimeError(
                    f"diff expects the shape of tensor to prepend or append to match that of input except along the "
                    f"differencing dimension; input.size({k}) = {input.shape[k]}, but got tensor.size({k}) = {each.shape[k]}"
                )
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if not n:
        return input.clone()  # nothing is put before or after it
    parts = [each for each in (prepend, input, append) if each is not None]
    made: Any = cat(parts, dim) if len(parts) > 1 else input
    for _ in range(min(n, made.shape[dim])):
        length = made.shape[dim] - 1
        pair: list[Any] = [narrow(made, dim, start, length) for start in (1, 0)]
        later, earlier = pair
        made = later ^ earlier if made.dtype.name == "bool" else later - earlier
    return made


publish(diff)


@op("gradient.along", "CatBackward0")
def _gradient(input: Array, spacing: Array, dim: int, edge_order: int) -> Any:
    x = jnp.moveaxis(input, dim, 0)
    steps = spacing.reshape(-1, *[1] * (x.ndim - 1)) if spacing.ndim else None
    if steps is None:
        middle = (x[2:] - x[:-2]) / (2 * spacing)
        first, last = (x[1] - x[0]) / spacing, (x[-1] - x[-2]) / spacing
        if edge_order == 2:
            first = (-3 * x[0] + 4 * x[1] - x[2]) / (2 * spacing)
            last = (3 * x[-1] - 4 * x[-2] + x[-3]) / (2 * spacing)
    else:
        h = steps[1:] - steps[:-1]
        a, b = h[:-1], h[1:]
        middle = (
            -b / (a * (a + b)) * x[:-2] + (b - a) / (a * b) * x[1:-1] + a / (b * (a + b)) * x[2:]
        )
        first, last = (x[1] - x[0]) / h[0], (x[-1] - x[-2]) / h[-1]
        if edge_order == 2:
            a, b = h[0], h[1]
            first = (
                -(2 * a + b) / (a * (a + b)) * x[0]
                + (a + b) / (a * b) * x[1]
                - a / (b * (a + b)) * x[2]
            )
            a, b = h[-2], h[-1]
            last = (
                b / (a * (a + b)) * x[-3]
                - (a + b) / (a * b) * x[-2]
                + (2 * b + a) / (b * (a + b)) * x[-1]
            )
    return jnp.moveaxis(jnp.concatenate([first[None], middle, last[None]]), 0, dim)


def gradient(
    input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """The derivatives of sampled values along dimensions, by differences.

    Args:
        input: the values.
        spacing: the distance of the samples: one number for all dimensions, or a number or the coordinates for each.
        dim: the dimensions; all if None.
        edge_order: 1 or 2, the order of the differences at the ends.
    """
    spacing = 1 if spacing is None else spacing
    dims = (
        list(range(input.ndim))
        if dim is None
        else [dim]
        if not isinstance(dim, (list, tuple))
        else list(dim)
    )
    if isinstance(spacing, (list, tuple)):
        if len(spacing) != len(dims):
            raise RuntimeError(
                f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to '{len(dims)}', "
                f"but got a list of length '{len(spacing)}'"
            )
        each_spacing = list(spacing)
    else:
        each_spacing = [spacing] * len(dims)
    for each in each_spacing:
        if isinstance(each, Tensor) and each.device != input.device:
            raise RuntimeError(
                "torch.gradient expected each tensor to be on the same device, but got devices "
                f"{input.device} and {each.device}!"
            )
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    dims = [wrap_dim(each, input.ndim) for each in dims]
    if len(set(dims)) < len(dims):
        twice = next(each for each in dims if dims.count(each) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    for each in dims:
        if input.shape[each] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
    if input.dtype.name == "bool" or input.dtype.name == "uint8":
        raise RuntimeError(
            f"torch.gradient does not support {'Bool' if input.dtype.name == 'bool' else 'uint8'} input."
        )
    exact: Any = input if input.dtype.is_floating_point or input.dtype.is_complex else input.float()
    made = []
    for each, step in zip(dims, each_spacing, strict=True):
        if isinstance(step, Tensor):
            if step.ndim == 1 and step.shape[0] != input.shape[each]:
                raise RuntimeError(
                    f"torch.gradient expected each element of spacing to be a scalar or a 1-D tensor with the length of the "
                    f"dimension, but got {step.shape[0]}"
                )
            given = step.to(exact.dtype) if not step.dtype.is_complex else step
        else:
            given = exact.new_tensor(step)
        made.append(_gradient(exact, given, each, edge_order))
    return tuple(made)


publish(gradient, method=False)

# ------------------------------------------------------------------------------------------- trapezoids


def _areas(y: Tensor, x: Tensor | None, dx: Any, dim: int, name: str) -> Any:
    """The areas between neighbours along a dimension."""
    if y.dtype.name == "bool" or (x is not None and x.dtype.name == "bool"):
        raise RuntimeError(
            f"{name}: received a bool input for `{'y' if y.dtype.name == 'bool' else 'x'}`, but bool is not supported"
        )
    dim = wrap_dim(dim, y.ndim)
    length = y.shape[dim] - 1
    sums: Any = narrow(y, dim, 1, length) + narrow(y, dim, 0, length)
    if x is None:
        return sums * (dx / 2.0)
    widths: Any = x
    if x.ndim == 1:
        if x.shape[0] != y.shape[dim]:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        widths = reshape(x, *[-1 if k == dim else 1 for k in range(y.ndim)])
    elif x.ndim < y.ndim:
        widths = reshape(x, *[1] * (y.ndim - x.ndim), *x.shape)
    n = widths.shape[dim] - 1
    return (narrow(widths, dim, 1, n) - narrow(widths, dim, 0, n)) * sums / 2.0


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """The integral along a dimension by the trapezoidal rule, over the points `x`, or points `dx` apart."""
    if isinstance(x, (int, float)) and not isinstance(x, bool):
        x, dx = None, x
    dim = wrap_dim(dim, y.ndim)
    if y.ndim and not y.shape[dim]:
        return y.sum(dim) * 1.0
    return _areas(y, x, dx, dim, "trapezoid").sum(dim)


def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: Any = 1, dim: int = -1
) -> Tensor:
    """The running integral along a dimension by the trapezoidal rule."""
    return _areas(y, x, dx, dim, "cumulative_trapezoid").cumsum(dim)


publish(trapezoid, "trapezoid", "trapz", method=False)
publish(cumulative_trapezoid, method=False)
