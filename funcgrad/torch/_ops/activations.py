"""Activations: elementwise functions with numbers as arguments, most with a form that stores the result in place.

Where a function has a kink, the derivative there is PyTorch's: the side of a comparison decides, and equal numbers take no
half. NaN passes its gradient where PyTorch's comparisons let it pass.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval
from funcgrad.torch._ops.random_fills import drawn_by
from funcgrad.torch._ops.row import (
    Array,
    Dim,
    Index,
    Refusal,
    Row,
    arguments_of,
    named,
    no_kernel,
)
from funcgrad.torch._ops.slopes import sloped
from funcgrad.torch._random.generator import Generator, default_generator
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, place, tensor_of
from funcgrad.torch._types.dtypes import bfloat16, float32, float64
from funcgrad.torch._types.limits import finfo

_stop = jax.lax.stop_gradient


def _activation(
    name: str,
    node: str,
    *,
    node_in_place: str = "",
    saves: str = "self",
    saves_in_place: str = "",
    torch: bool = False,
    method: bool = False,
    in_place: bool = True,
    **facts: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare an activation by its JAX function; the function that users call takes `inplace` last.

    Args:
        name: PyTorch's name.
        node, node_in_place: the graph node's name, and its name if the result is stored in place.
        saves, saves_in_place: the node's saved tensors; see `Row`.
        torch: whether it is a function of `torch`, too, without `inplace`.
        method: whether it is a method of `Tensor`, too.
        in_place: whether it can be stored in place.
        facts: the row's other fields.
    """

    def declare(of: Callable[..., Any]) -> Callable[..., Any]:
        arguments = arguments_of(of)
        row = Row(name, node, of, arguments, saves=saves, **facts)
        stored = row
        if node_in_place:
            stored = Row(f"{name}.in_place", node_in_place, of, arguments, saves=saves_in_place or saves, **facts)  # fmt: skip

        def plain(*args: Any, **kwargs: Any) -> Tensor:
            return row(*args, **kwargs)

        def changed(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            return stored.stored(input, *args, **kwargs)

        def function(*args: Any, inplace: bool = False, **kwargs: Any) -> Tensor:
            if len(args) > len(arguments):
                args, inplace = args[:-1], args[-1]
            return changed(*args, **kwargs) if inplace else row(*args, **kwargs)

        signature = row.signature()
        plain.__signature__ = signature  # type: ignore[attr-defined]
        changed.__signature__ = signature  # type: ignore[attr-defined]
        doc = of.__doc__
        named(plain, name, doc)
        named(changed, f"{name}_", f"`{name}`, stored in the tensor itself.")
        if torch or method:
            publish(plain, name, function=torch, method=method)
        if torch and in_place:
            publish(changed, f"{name}_", method=False)
        if not in_place:
            return plain
        IN_PLACE[f"{name}_"] = changed
        flag = inspect.Parameter("inplace", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False)
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*signature.parameters.values(), flag]
        )
        return named(function, name, doc)

    return declare


# The forms that store in place, by name: `torch.nn.functional.elu_` and the like.
IN_PLACE: dict[str, Callable[..., Any]] = {}


def _no(kernel: str) -> tuple[Refusal, ...]:
    return (no_kernel("biuc", kernel),)


_NO_HARDTANH = (
    Refusal("b", RuntimeError, "Bool inputs not supported for hardtanh"),
    Refusal("c", NotImplementedError, "clamp is not supported for complex types"),
)
_OUT = "Found dtype {Given} but expected {Wanted}"
# Computed in float32 if the elements are in half precision.
_SMOOTH: dict[str, Any] = {"accumulates": True, "laid_out": True}
_STRAIGHT: dict[str, Any] = {"flat": True, "laid_out": True}


# ------------------------------------------------------------------------------------------- of straight pieces


def _bounded(x: Any, low: Any, high: Any) -> Any:
    kept = jnp.where(x < low, low, jnp.where(x > high, high, x))
    return jnp.where((x > low) & (x < high), x, _stop(kept))


def _check_bounds(input: Tensor, min_val: float, max_val: float) -> None:
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")


@_activation(
    "hardtanh", "HardtanhBackward0", prepare=_check_bounds, refuses=_NO_HARDTANH, **_STRAIGHT
)
def hardtanh(input: Array, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """The elements, with each one outside the bounds set to the nearer bound."""
    low, high = (np.asarray(bound).astype(input.dtype) for bound in (min_val, max_val))
    return _bounded(input, low, high)


@_activation("relu6", "HardtanhBackward0", refuses=_NO_HARDTANH, **_STRAIGHT)
def relu6(input: Array) -> Any:
    """The elements between 0 and 6, and the nearer bound for the others."""
    return _bounded(input, np.zeros((), input.dtype), np.asarray(6, input.dtype))


@_activation(
    "leaky_relu",
    "LeakyReluBackward0",
    accumulates=True,
    node_in_place="LeakyReluBackward1",
    saves_in_place="result",
    refuses=_no("leaky_relu_cpu"),
    **_STRAIGHT,
)
def leaky_relu(input: Array, negative_slope: float = 0.01) -> Any:
    """The positive elements, and the others times a slope."""
    return jnp.where(input > 0, input, input * negative_slope)


@_activation(
    "threshold",
    "ThresholdBackward0",
    node_in_place="ThresholdBackward1",
    torch=True,
    refuses=(no_kernel("bc", "threshold_cpu"),),
    **_STRAIGHT,
)
def threshold(input: Array, threshold: float, value: float) -> Any:
    """The elements above a threshold, and `value` for the others."""
    return jnp.where(input <= threshold, np.asarray(value).astype(input.dtype), input)


@_activation(
    "hardsigmoid",
    "HardsigmoidBackward0",
    accumulates=True,
    refuses=_no("hardsigmoid_cpu"),
    **_STRAIGHT,
)
def hardsigmoid(input: Array) -> Any:
    """`x / 6 + 1 / 2`, between 0 and 1."""
    return jnp.where((input > -3) & (input < 3), input + 3, _stop(jnp.clip(input + 3, 0, 6))) / 6


@_activation(
    "hardswish", "HardswishBackward0", accumulates=True, refuses=_no("hardswish_cpu"), laid_out=True
)
def hardswish(input: Array) -> Any:
    """`x * hardsigmoid(x)`."""
    outside = (input <= -3) | (input >= 3)
    inner = jnp.where(outside, 0, input)
    outer = jnp.where(input <= -3, _stop(input * 0), input)
    return jnp.where(outside, outer, inner * (inner + 3) / 6)


def _zero_or_nan(x: Any) -> Any:
    return _stop(jnp.where(jnp.isnan(x), x, 0))


@_activation(
    "hardshrink",
    "HardshrinkBackward0",
    torch=True,
    method=True,
    in_place=False,
    refuses=_no("hardshrink_cpu"),
    out=_OUT,
    **_STRAIGHT,
)
def hardshrink(input: Array, lambd: float = 0.5) -> Any:
    """The elements farther from zero than `lambd`, and zero for the others."""
    return jnp.where((input < -lambd) | (input > lambd), input, _zero_or_nan(input))


def _check_shrink(input: Tensor, lambd: float) -> None:
    if not lambd >= 0 and input.dtype.is_floating_point:
        raise RuntimeError(
            f"lambda must be in range [0, {finfo(input.dtype).max:g}] for input dtype {input.dtype.scalar_type}, but found "
            f"{lambd:g}"
        )


@_activation(
    "softshrink",
    "SoftshrinkBackward0",
    in_place=False,
    prepare=_check_shrink,
    refuses=_no("softshrink_check"),
    out=_OUT,
    **_STRAIGHT,
)
def softshrink(input: Array, lambd: float = 0.5) -> Any:
    """The elements, nearer to zero by `lambd`; zero for those that are nearer."""
    shrunk = jnp.where(input > lambd, input - lambd, input + lambd)
    return jnp.where((input < -lambd) | (input > lambd), shrunk, _zero_or_nan(input))


# ------------------------------------------------------------------------------------------- smooth


def _elu(x: Any, alpha: Any, scale: Any = 1.0, input_scale: Any = 1.0) -> Any:
    """At zero the slope is that of the elements below, and the second derivative is zero, as in PyTorch."""

    def value(x: Any) -> Any:
        below = jnp.where(x > 0, 0, x)
        return jnp.where(x > 0, x * scale, jnp.expm1(below * input_scale) * (alpha * scale))

    def slope(x: Any, _: Any) -> Any:
        below = jnp.where(x >= 0, 0, x)
        steep = alpha * scale * input_scale
        return jnp.where(x > 0, scale, jnp.exp(below * input_scale) * steep)

    return sloped(value, slope)(x)


_EXPONENTIAL: dict[str, Any] = {"saves_in_place": "result", "refuses": _no("elu_cpu"), **_SMOOTH}


@_activation("elu", "EluBackward0", node_in_place="EluBackward1", **_EXPONENTIAL)
def elu(input: Array, alpha: float = 1.0) -> Any:
    """The positive elements, and `alpha * (exp(x) - 1)` for the others."""
    return _elu(input, alpha)


@_activation("selu", "EluBackward0", node_in_place="EluBackward1", torch=True, **_EXPONENTIAL)
def selu(input: Array) -> Any:
    """`elu`, scaled so that mean 0 and variance 1 are kept."""
    return _elu(input, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


@_activation("celu", "CeluBackward0", node_in_place="CeluBackward1", torch=True, **_EXPONENTIAL)
def celu(input: Array, alpha: float = 1.0) -> Any:
    """The positive elements, and `alpha * (exp(x / alpha) - 1)` for the others."""
    return _elu(input, alpha, 1.0, 1 / alpha)


def _check_gelu(input: Tensor, approximate: str) -> None:
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")


@_activation(
    "gelu",
    "GeluBackward0",
    in_place=False,
    prepare=_check_gelu,
    refuses=_no("GeluKernelImpl"),
    out=_OUT,
    **_SMOOTH,
)
def gelu(input: Array, *, approximate: str = "none") -> Any:
    """`x` times the standard normal distribution function of `x`; with "tanh", an approximation of it."""
    if approximate == "tanh":
        return jax.nn.gelu(input, approximate=True)
    # PyTorch's formula: far from zero it cancels, where one by `erfc` would not.
    return input * 0.5 * (1 + jax.lax.erf(input * math.sqrt(0.5)))


@_activation(
    "log_sigmoid",
    "LogSigmoidBackward0",
    in_place=False,
    refuses=_no("log_sigmoid_cpu"),
    out="expected scalar type {Wanted} but found {Given}",
    **_SMOOTH,
)
def logsigmoid(input: Array) -> Any:
    """The logarithm of the sigmoid."""
    return jax.nn.log_sigmoid(input)


@_activation(
    "softplus",
    "SoftplusBackward0",
    in_place=False,
    refuses=_no("softplus_cpu"),
    out=_OUT,
    **_SMOOTH,
)
def softplus(input: Array, beta: float = 1, threshold: float = 20) -> Any:
    """`log(1 + exp(beta * x)) / beta`; `x` itself where `beta * x` is above the threshold."""
    scaled = input * beta
    linear = scaled > threshold
    return jnp.where(linear, input, jax.nn.softplus(jnp.where(linear, 0, scaled)) / beta)


@_activation("silu", "SiluBackward0", refuses=(no_kernel("biu", "silu_cpu"),), **_SMOOTH)
def silu(input: Array) -> Any:
    """`x * sigmoid(x)`."""
    return jax.nn.silu(input)


@_activation("mish", "MishBackward0", refuses=_no("mish_cpu"), **_SMOOTH)
def mish(input: Array) -> Any:
    """`x * tanh(softplus(x))`."""
    return jax.nn.mish(input)


def _check_halves(input: Tensor, dim: int) -> None:
    if not input.ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    if input.shape[dim] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]}"
        )


@_activation(
    "glu",
    "GluBackward0",
    in_place=False,
    prepare=_check_halves,
    refuses=_no("glu_cpu"),
    accumulates=True,
    laid_out=True,
)
def glu(input: Array, dim: Dim = -1) -> Any:
    """The first half along a dimension, times the sigmoid of the second half."""
    return jax.nn.glu(input, axis=dim)


# ------------------------------------------------------------------------------------------- with weights


def _check_weight_dtype(input: Tensor, weight: Tensor) -> None:
    if weight.dtype is not input.dtype:
        names = [each.dtype.scalar_type for each in (input, weight)]
        raise RuntimeError(f"prelu: Type promoting not supported. Got {names[0]} and {names[1]}")


def _check_weight(input: Aval, weight: Aval) -> None:
    count = int(np.prod(weight.shape))
    if count != 1:
        if not input.shape:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if len(input.shape) > 1 else 1
        if channels != count:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} and channel size "
                f"= {channels}."
            )
    if len(weight.shape) > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {len(weight.shape)}"
        )


@_activation(
    "prelu",
    "PreluKernelBackward0",
    saves="self weight",
    torch=True,
    method=True,
    in_place=False,
    prepare=_check_weight_dtype,
    check=_check_weight,
    refuses=_no("prelu_cpu"),
    **_STRAIGHT,
)
def prelu(input: Array, weight: Array) -> Any:
    """The positive elements, and the others times a weight, one for all or one for each channel."""
    if weight.ndim and input.ndim > 1:
        weight = weight.reshape(-1, *[1] * (input.ndim - 2))
    elif weight.ndim and not input.ndim:
        weight = weight.reshape(())
    return jnp.where(input > 0, input, input * weight)


# ------------------------------------------------------------------------------------------- with noise

_RRELU: dict[str, Any] = {"refuses": _no("leaky_relu_cpu"), "flat": True}


def _sloped(input: Array, noise: Index) -> Any:
    return jnp.where(input > 0, input, input * noise)


_rrelu = Row("rrelu.noise", "RreluWithNoiseBackward0", _sloped, arguments_of(_sloped), saves="self", **_RRELU)  # fmt: skip
_rrelu_ = Row("rrelu_.noise", "RreluWithNoiseBackward1", _sloped, arguments_of(_sloped), saves="result", **_RRELU)  # fmt: skip


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """The positive elements, and the others times a slope: random in training, else the mean of the bounds.

    Args:
        input: of floating point.
        lower, upper: the slope's bounds.
        training: whether each element draws its own slope.
        inplace: whether to store the result in `input`.
        generator: draws the slopes.
    """
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if training:
        if input.dtype not in (float32, float64, bfloat16):
            raise NotImplementedError(
                f"\"rrelu_with_noise_out_cpu\" not implemented for '{input.dtype.scalar_type}'"
            )
        noise = _slopes(input, lower, upper, generator or default_generator)
    else:
        noise = place(np.asarray((lower + upper) / 2, input.dtype.numpy_dtype))
    given = tensor_of(noise)
    return _rrelu_.stored(input, given) if inplace else _rrelu(input, given)


def _slopes(input: Tensor, lower: float, upper: float, generator: Generator) -> Any:
    """A random slope for each element that is not positive, in order."""
    elements = drawn_by(input)
    below = elements <= 0
    noise = np.ones(elements.shape)
    with generator.lock:
        drawn = generator.double_uniforms(int(below.sum()))
    noise[below] = drawn * (upper - lower) + lower
    return place(noise.astype(elements.dtype))


def rrelu_(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
) -> Tensor:
    """`rrelu`, stored in the tensor itself."""
    return rrelu(input, lower, upper, training, inplace=True)


def _published_rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    return rrelu(input, lower, upper, training, generator=generator)


publish(named(_published_rrelu, "rrelu", rrelu.__doc__), "rrelu", method=False)
publish(rrelu_, method=False)
