"""Normalisation: of batches, layers, groups and instances, by the root of the mean square, and by neighbouring channels.

Half precision is computed in float32, as PyTorch's kernels compute it.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from funcgrad.engine import Aval, Op, grad_mode
from funcgrad.torch._ops.padding import pad
from funcgrad.torch._ops.pooling import avg_pool2d, avg_pool3d
from funcgrad.torch._ops.row import Array, Index, Operand, no_kernel, op
from funcgrad.torch._ops.sizes import listed
from funcgrad.torch._tensor.in_place import in_place, writable
from funcgrad.torch._tensor.operands import plain_number, stored_number
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import bfloat16, float16, float32
from funcgrad.torch._types.limits import finfo

_HALF = (float16, bfloat16)


def _wide(x: Any) -> Any:
    """An array of half precision in float32."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 else x


def _normalised(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """The elements with mean 0 and variance 1 along the axes, their mean, and their variance."""
    mean = jnp.mean(x, axes, keepdims=True)
    variance = jnp.mean(jnp.square(x - mean), axes, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + eps), mean, variance


def _scaled(x: Any, weight: Any, bias: Any, shape: Sequence[int]) -> Any:
    """The elements times a weight plus a bias, which get this shape."""
    if weight is not None:
        x = x * _wide(weight).reshape(shape)
    return x if bias is None else x + _wide(bias).reshape(shape)


# ------------------------------------------------------------------------------------------- batches


@op(
    "batch_norm.training",
    "NativeBatchNormBackward0",
    returns=("output", "mean", "variance"),
    refuses=(no_kernel("iub", "batch_norm"), no_kernel("c", "batch_norm")),
    in_format=any,
)
def _of_batch(input: Array, weight: Operand, bias: Operand, eps: float) -> Any:
    """Normalised by the batch's statistics, the channels' means, and their variances without bias."""
    x = _wide(input)
    axes = tuple([k for k in range(x.ndim) if k != 1])
    made, mean, variance = _normalised(x, axes, eps)
    count = x.size // max(x.shape[1], 1)
    shape = [-1 if k == 1 else 1 for k in range(x.ndim)]
    unbiased = variance * (count / (count - 1) if count > 1 else np.nan)
    made = _scaled(made, weight, bias, shape).astype(input.dtype)
    return made, mean.reshape(-1), unbiased.reshape(-1)


@op(
    "batch_norm.evaluation",
    "NativeBatchNormBackward0",
    refuses=(no_kernel("iub", "batch_norm"), no_kernel("c", "batch_norm")),
    in_format=any,
)
def _of_running(input: Array, weight: Operand, bias: Operand, running_mean: Index, running_var: Index, eps: float) -> Any:  # fmt: skip
    shape = [-1 if k == 1 else 1 for k in range(input.ndim)]
    x = _wide(input) - _wide(running_mean).reshape(shape)
    x = x * lax.rsqrt(_wide(running_var) + eps).reshape(shape)
    return _scaled(x, weight, bias, shape).astype(input.dtype)


_MOVE = Op(
    "batch_norm_statistics",
    lambda old, new, part: (part * new.astype(part.dtype) + (1 - part) * old).astype(old.dtype),
)


def _check_batch_norm(input: Tensor, statistics: bool, **parameters: Tensor | None) -> None:
    channels = input.shape[1] if input.ndim > 1 else 0
    given = {name: each for name, each in parameters.items() if each is not None}
    for name in ("running_mean", "running_var"):
        if name not in given and not statistics:
            raise RuntimeError(f"{name} must be defined in evaluation mode")
    for name, each in given.items():
        if each.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {each.numel()}")
        if each.ndim != 1 and name.startswith("running"):
            raise RuntimeError(f"TensorAccessor expected 1 dims but tensor has {each.ndim}")
    for each in given.values():
        if each.dtype is not input.dtype and not (input.dtype in _HALF and each.dtype is float32):
            if input.dtype.is_floating_point:
                raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
            break


def _batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise each channel, as `torch.batch_norm`; the running statistics are moved in place.

    Args:
        input: (batches, channels, ...).
        weight, bias: (channels,) or None.
        running_mean, running_var: (channels,) or None.
        training: whether to normalise by the batch's own statistics, and to move the running ones towards them.
        momentum: the part of the batch's statistics in the new ones.
        eps: added to the variance.

    Raises:
        RuntimeError: the sizes or dtypes do not fit.
    """
    _check_batch_norm(
        input,
        training,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    if input.numel() == 0:  # as PyTorch: the statistics stay
        made = input.clone()
        made = made if weight is None else made * weight[0]
        return made if bias is None else made + bias[0]
    if not training:
        return _of_running(input, weight, bias, running_mean, running_var, eps)
    found = _of_batch(input, weight, bias, eps)
    with grad_mode(False):
        for old, new in ((running_mean, found.mean), (running_var, found.variance)):
            if old is not None and input.numel():
                writable(old)
                kind = np.dtype(np.float64 if old.dtype.itemsize == 8 else np.float32)
                part = stored_number(
                    plain_number(momentum, "batch_norm", "momentum", 7, "float"), Aval((), kind)
                )
                in_place(_MOVE, old, new.detach(), part)
    return found.output


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of a batch, as `torch.nn.functional.batch_norm`.

    Args:
        input: (batches, channels, ...).
        running_mean, running_var: (channels,) or None; if training they are moved in place.
        weight, bias: (channels,) or None.
        training: whether to normalise by the batch's own statistics.
        momentum: the part of the batch's statistics in the new running ones.
        eps: added to the variance.

    Raises:
        RuntimeError: the sizes or dtypes do not fit.
        ValueError: there is only one value for each channel while training.
    """
    if training:
        _check_more_than_one(input.shape, math.prod(input.shape[:1] + input.shape[2:]), "channel")
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    return _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)


def _check_more_than_one(size: Any, values: int, per: str) -> None:
    if values == 1:
        what = "value per channel" if per == "channel" else "spatial element"
        raise ValueError(f"Expected more than 1 {what} when training, got input size {size}")


def _torch_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """Normalise each channel of a batch; see `torch.nn.functional.batch_norm`."""
    return _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)


# ------------------------------------------------------------------------------------------- instances


def _repeated(each: Tensor | None, times: int) -> Any:
    return None if each is None else each.repeat(times)


def _instance_norm(
    input: Any,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalise each channel of each instance; see `torch.nn.functional.instance_norm`."""
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    batches, channels, *rest = input.shape
    mean, variance = _repeated(running_mean, batches), _repeated(running_var, batches)
    made: Any = _batch_norm(
        input.contiguous().view(1, batches * channels, *rest),
        _repeated(weight, batches),
        _repeated(bias, batches),
        mean,
        variance,
        use_input_stats,
        momentum,
        eps,
    )
    if use_input_stats:
        with grad_mode(False):
            for old, new in ((running_mean, mean), (running_var, variance)):
                if old is not None:
                    old.copy_(new.view(batches, channels).mean(0))
    return made.view(input.shape)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each instance of a batch, as `torch.nn.functional.instance_norm`.

    Raises:
        RuntimeError: the sizes or dtypes do not fit.
        ValueError: an instance has only one value for each channel.
    """
    if use_input_stats:
        _check_more_than_one(input.shape, math.prod(input.shape[2:]), "instance")
    return _instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps)  # fmt: skip


# ------------------------------------------------------------------------------------------- layers


def _check_layer(name: str, input: Any, normalized_shape: Any, weight: Any, bias: Any) -> None:
    if not isinstance(normalized_shape, (tuple, list)):
        raise TypeError(
            f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, not "
            f"{type(normalized_shape).__name__}"
        )
    shape = list(normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            "normalized_shape = []"
        )
    for what, each in (("weight", weight), ("bias", bias)):
        if each is not None and list(each.shape) != shape:
            raise RuntimeError(
                f"Expected {what} to be of same shape as normalized_shape, but got {what} of shape {list(each.shape)} "
                f"and normalized_shape = {shape}"
            )
    if list(input.shape[input.ndim - len(shape) :]) != shape or input.ndim < len(shape):
        between = ", " if name == "layer_norm" else ""
        raise RuntimeError(
            f"Given normalized_shape={shape}, expected input with shape [*{between}{listed(shape)}], but got input of "
            f"size{list(input.shape)}"
        )


def _check_parameters(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> None:
    for each in (weight, bias):
        if each is not None and each.dtype is not input.dtype:
            if input.dtype in _HALF and each.dtype is float32:
                continue
            if each.dtype is float32:
                raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
            raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")


@op(
    "layer_norm.of_dims",
    "NativeLayerNormBackward0",
    refuses=(no_kernel("iub", "LayerNormKernelImpl"), no_kernel("c", "LayerNormKernelImpl")),
)
def _layer_norm(input: Array, weight: Operand, bias: Operand, dims: int, eps: float) -> Any:
    x = _wide(input)
    made, _, _ = _normalised(x, tuple(range(x.ndim - dims, x.ndim)), eps)
    return _scaled(made, weight, bias, x.shape[x.ndim - dims :]).astype(input.dtype)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """Normalise over the last dimensions, as `torch.nn.functional.layer_norm`.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the lengths of the dimensions to normalise over.
        weight, bias: of this shape, or None.
        eps: added to the variance.
        cudnn_enable: has no effect here.

    Raises:
        RuntimeError: the shapes or dtypes do not fit.
    """
    _check_layer("layer_norm", input, normalized_shape, weight, bias)
    _check_parameters(input, weight, bias)
    return _layer_norm(input, weight, bias, len(normalized_shape), eps)


publish(layer_norm, method=False)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root of the mean square over the last dimensions, as `torch.nn.functional.rms_norm`.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the lengths of these dimensions.
        weight: of this shape, or None.
        eps: added to the mean square; the dtype's epsilon if None.

    Raises:
        RuntimeError: the shapes do not fit.
    """
    _check_layer("rms_norm", input, normalized_shape, weight, None)
    wide = input.float() if input.dtype in _HALF else input
    dims = tuple(range(-len(normalized_shape), 0))
    added = finfo(wide.dtype).eps if eps is None else eps
    made = wide.mul(wide.pow(2).mean(dims, keepdim=True).add(added).rsqrt())
    if weight is not None:
        made = made.mul(weight)
    return made.type_as(input)


publish(rms_norm, method=False)

# ------------------------------------------------------------------------------------------- groups


@op(
    "group_norm.of_groups",
    "NativeGroupNormBackward0",
    refuses=(no_kernel("iub", "GroupNormKernelImpl"), no_kernel("c", "GroupNormKernelImpl")),
    in_format=any,
)
def _group_norm(input: Array, weight: Operand, bias: Operand, groups: int, eps: float) -> Any:
    x = _wide(input)
    rest = math.prod(x.shape[1:]) // groups
    made, _, _ = _normalised(x.reshape(x.shape[0], groups, rest), (2,), eps)
    shape = [-1 if k == 1 else 1 for k in range(x.ndim)]
    return _scaled(made.reshape(x.shape), weight, bias, shape).astype(input.dtype)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each group of channels of each instance, as `torch.nn.functional.group_norm`.

    Args:
        input: (batches, channels, ...).
        num_groups: the number of groups; it divides the number of channels.
        weight, bias: (channels,) or None.
        eps: added to the variance.

    Raises:
        RuntimeError: the sizes do not fit.
        ValueError: a group has only one value.
    """
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")  # fmt: skip
    size = list(input.shape)
    if num_groups > 0 and not size[1] % num_groups:
        values = size[0] * size[1] // num_groups * math.prod(size[2:])
        of_group = [size[0] * size[1] // num_groups, num_groups, *size[2:]]
        _check_more_than_one(of_group, values, "channel")
    return _torch_group_norm(input, num_groups, weight, bias, eps)


def _torch_group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalise each group of channels of each instance; see `torch.nn.functional.group_norm`."""
    size = list(input.shape)
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if size[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{size} and num_groups={num_groups}"
        )
    for what, each in (("weight", weight), ("bias", bias)):
        if each is not None and list(each.shape) != size[1:2]:
            raise RuntimeError(
                f"Expected {what} to be a vector of size equal to the number of channels in input, but got {what} of "
                f"shape {list(each.shape)} and input of shape {size}"
            )
    _check_parameters(input, weight, bias)
    return _group_norm(input, weight, bias, int(num_groups), eps)


publish(_torch_group_norm, "group_norm", method=False)
publish(_torch_batch_norm, "batch_norm", method=False)
publish(_instance_norm, "instance_norm", method=False)

# ------------------------------------------------------------------------------------------- neighbours


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide each element by a power of the squares in its neighbouring channels, as `torch.nn.functional.local_response_norm`.

    Raises:
        ValueError: the input has fewer than three dimensions.
    """
    if input.ndim < 3:
        raise ValueError(
            "Expected 3D or higher dimensionality                          input "
            f"(got {input.ndim} dimensions)"
        )
    if not input.numel():
        return input
    square, around = input.mul(input), (size // 2, (size - 1) // 2)
    if input.ndim == 3:
        wide = pad(square.unsqueeze(1), (0, 0, *around))
        mean: Any = avg_pool2d(wide, (size, 1), stride=1)
        mean = mean.squeeze(1)
    else:
        batches, channels, first = input.shape[:3]
        wide = pad(square.view(batches, 1, channels, first, -1), (0, 0, 0, 0, *around))
        mean = avg_pool3d(wide, (size, 1, 1), stride=1)
        mean = mean.squeeze(1).view(input.shape)
    return input / mean.mul(alpha).add(k).pow(beta)
