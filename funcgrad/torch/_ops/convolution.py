"""Convolutions and their transposes, on JAX's `conv_general_dilated`; and windows of images as columns."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.engine import Aval
from funcgrad.torch._ops.padding import constant_pad_nd
from funcgrad.torch._ops.row import Array, Operand, named, no_kernel, op
from funcgrad.torch._ops.sizes import as_numbers, listed, of_batches
from funcgrad.torch._ops.windows import count, padded, padding_of, taps
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import C_NAMES, from_numpy_dtype
from funcgrad.torch._types.warning import warn

# ------------------------------------------------------------------------------------------- checks

_C_NAMES = {"short": "short int", "long long": "long int"}


def _check(input: Aval, weight: Aval, bias: Aval | None, of: dict[str, Any]) -> None:
    """Refuse operands that do not fit, in PyTorch's words and order."""
    size, kernel, groups = list(input.shape), list(weight.shape), of["groups"]
    if len(kernel) < 3:
        raise RuntimeError("weight should have at least three dimensions")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if min(of["padding"]) < 0:
        raise RuntimeError("negative padding is not supported")
    if min(of["output_padding"]) < 0:
        raise RuntimeError("negative output_padding is not supported")
    if min(of["stride"]) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(of["dilation"]) <= 0:
        raise RuntimeError("dilation should be greater than zero")
    if 0 in weight.shape[2:]:
        raise RuntimeError("could not create a convolution: a kernel of size zero")
    if len(size) != len(kernel):
        raise RuntimeError(
            f"Expected {len(kernel)}-dimensional input for {len(kernel)}-dimensional weight{kernel}, but got "
            f"{len(size)}-dimensional input of size {size} instead"
        )
    if kernel[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size "
            f"{kernel} instead"
        )
    if kernel[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of size "
            f"[{kernel}] instead"
        )
    transposed = of["transposed"]
    channels = kernel[0] if transposed else kernel[1] * groups
    given = f"transposed={int(transposed)}" if transposed else f"groups={groups}"
    if size[1] != channels:
        raise RuntimeError(
            f"Given {given}, weight of size {kernel}, expected input{size} to have {channels} channels, but got "
            f"{size[1]} channels instead"
        )
    features = kernel[1] * groups if transposed else kernel[0]
    if bias is not None and bias.shape != (features,):
        raise RuntimeError(
            f"Given {'transposed=1, ' if transposed else ''}weight of size {kernel}, expected bias to be 1-dimensional "
            f"with {features} elements, but got bias of size {list(bias.shape)} instead"
        )
    _check_sizes(size, kernel, of)
    _check_dtypes(input, weight, bias)


def _check_sizes(size: list[int], kernel: list[int], of: dict[str, Any]) -> None:
    stride, padding, dilation = of["stride"], of["padding"], of["dilation"]
    if of["transposed"]:
        added = of["output_padding"]
        if any(a >= s and a >= d for a, s, d in zip(added, stride, dilation, strict=True)):
            axes = ("depth", "height", "width")[-max(len(added), 2) :]
            numbers = {"output_padding": added, "stride": stride, "dilation": dilation}
            words = [
                f"{name}_{axis}: {n}"
                for name, many in numbers.items()
                for axis, n in zip(axes, (0, *many) if len(many) == 1 else many, strict=True)
            ]
            raise RuntimeError(
                "output padding must be smaller than either stride or dilation, but got "
                + " ".join(words)
            )
        return
    padded = [n + 2 * p for n, p in zip(size[2:], padding, strict=True)]
    reach = [d * (k - 1) + 1 for k, d in zip(kernel[2:], dilation, strict=True)]
    if any(n < k for n, k in zip(padded, reach, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({listed(padded, ' x ')}). Kernel size: "
            f"({listed(reach, ' x ')}). Kernel size can't be greater than actual input size"
        )


def _check_dtypes(input: Aval, weight: Aval, bias: Aval | None) -> None:
    if bias is not None and bias.dtype != input.dtype:
        names = (C_NAMES[from_numpy_dtype(each.dtype)] for each in (input, bias))
        first, second = (_C_NAMES.get(name, name) for name in names)
        raise RuntimeError(f"Input type ({first}) and bias type ({second}) should be the same")
    if weight.dtype != input.dtype:
        first, second = (from_numpy_dtype(each.dtype).scalar_type for each in (input, weight))
        raise RuntimeError(f"expected scalar type {first} but found {second}")


# ------------------------------------------------------------------------------------------- the op


@lru_cache(maxsize=1024)
def _checked(avals: tuple[Any, Any, Any], static: tuple[Any, ...]) -> None:
    names = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")
    _check(*avals, dict(zip(names, static, strict=True)))


def _prepared(input: Tensor, weight: Tensor, bias: Tensor | None, *static: Any) -> None:
    of_bias = None if bias is None else bias._storage.aval
    _checked((input._storage.aval, weight._storage.aval, of_bias), static)


@op(
    "convolution.of_sizes",
    "ConvolutionBackward0",
    saves="input weight",
    prepare=_prepared,
    accumulates=True,
    in_format=any,
)
def _convolution(
    input: Array,
    weight: Array,
    bias: Operand,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: Any,
    output_padding: Any,
    groups: Any,
) -> Any:
    spread, pads = None, [(p, p) for p in padding]
    if transposed:
        # Spread the input by the stride, and slide the kernel over it backwards.
        spread, stride = stride, (1,) * len(stride)
        of_group = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
        weight = of_group.reshape(-1, *of_group.shape[2:])
        weight = jnp.flip(weight, range(2, weight.ndim))
        reach = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
        pads = [(r - p, r - p + a) for r, p, a in zip(reach, padding, output_padding, strict=True)]
    if not input.size or not weight.size:
        # XLA has no such convolution; its result has a shape all the same.
        length = [
            (n if n == 0 or spread is None else (n - 1) * spread[k] + 1) + sum(pads[k])
            for k, n in enumerate(input.shape[2:])
        ]
        reach = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
        outer = [(n - r) // s + 1 for n, r, s in zip(length, reach, stride, strict=True)]
        made = jnp.zeros((input.shape[0], weight.shape[0], *outer), input.dtype)
        made = made + (input.sum() * weight.sum()).astype(input.dtype)
    else:
        made = jax.lax.conv_general_dilated(
            input,
            weight,
            stride,
            pads,
            spread,
            dilation,
            feature_group_count=groups,
            precision=jax.lax.Precision.HIGHEST,
            preferred_element_type=input.dtype,
        )
    return made if bias is None else made + bias.reshape(-1, *[1] * len(stride))


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """A convolution of any number of dimensions, or its transpose, as `torch.convolution`.

    Args:
        input: (batches, channels, ...).
        weight: (features, channels // groups, ...); transposed, (channels, features // groups, ...).
        bias: (features,) or None.
        stride, padding, dilation, output_padding: a number for each dimension.
        transposed: whether to transpose the convolution.
        groups: the number of groups of channels, each with its own features.

    Raises:
        RuntimeError: the sizes or dtypes do not fit.
    """
    dims = weight.ndim - 2
    of = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": output_padding}  # fmt: skip
    sizes = {name: _each("convolution", name, given, dims) for name, given in of.items()}
    added = sizes.pop("output_padding")
    return _convolution(input, weight, bias, *sizes.values(), bool(transposed), added, groups)


publish(convolution, method=False)


def _each(name: str, argument: str, given: Any, dims: int) -> tuple[int, ...]:
    """A size along each dimension.

    Raises:
        TypeError: it is not a number or a sequence of numbers.
        RuntimeError: there are too many or too few numbers.
    """
    position = ("input", "weight", "bias", "stride", "padding", "dilation", "output_padding").index(argument)  # fmt: skip
    numbers = as_numbers(name, argument, position + 1, given)
    if len(numbers) == 1:
        return numbers * dims
    if len(numbers) != dims:
        raise RuntimeError(
            f"expected {argument} to be a single integer value or a list of {dims} values to match the convolution "
            f"dimensions, but got {argument}={list(numbers)}"
        )
    return numbers


def _check_rank(name: str, input: Tensor, dims: int) -> None:
    if input.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, but got input of size: "
            f"{list(input.shape)}"
        )


def _check_given(name: str, **tensors: Any) -> None:
    for k, (argument, given) in enumerate(tensors.items()):
        if not isinstance(given, Tensor) and not (argument == "bias" and given is None):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {k + 1}) must be Tensor, not {type(given).__name__}"
            )


def _padded_alike(
    input: Tensor, weight: Tensor, padding: str, stride: Any, dilation: Any
) -> tuple[Tensor, Any]:
    """The input and the padding on both sides for `padding="same"` or `"valid"`."""
    if padding == "valid":
        return input, (0,) * len(dilation)
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=False)]
    if any(t % 2 for t in total):
        # One side gets one more, which the op's own padding cannot say.
        warn(
            "Using padding='same' with even kernel lengths and odd dilation may require a zero-padded copy of the input "
            "be created"
        )
        more = [each for t in reversed(total) for each in (0, t % 2)]
        input = constant_pad_nd(input, more)
    return input, tuple([t // 2 for t in total])


def _conv(dims: int) -> Callable[..., Tensor]:
    name = f"conv{dims}d"

    def function(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        _check_given(name, input=input, weight=weight, bias=bias)
        _check_rank(name, input, dims)
        stride, dilation = (
            _each(name, "stride", stride, dims),
            _each(name, "dilation", dilation, dims),
        )
        many, batched = of_batches(input, dims)
        if isinstance(padding, str):
            many, padding = _padded_alike(many, weight, padding, stride, dilation)
        padding = _each(name, "padding", padding, dims)
        made = _convolution(many, weight, bias, stride, padding, dilation, False, (0,) * dims, groups)  # fmt: skip
        return made if batched else made.squeeze(0)

    doc = f"A convolution over {dims} dimensions, as `torch.{name}`; the input may lack the dimension of batches."
    return publish(named(function, name, doc), method=False)


def _conv_transpose(dims: int) -> Callable[..., Tensor]:
    name = f"conv_transpose{dims}d"

    def function(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        _check_given(name, input=input, weight=weight, bias=bias)
        _check_rank(name, input, dims)
        of = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": output_padding}  # fmt: skip
        sizes = [_each(name, argument, given, dims) for argument, given in of.items()]
        many, batched = of_batches(input, dims)
        made = _convolution(many, weight, bias, *sizes[:3], True, sizes[3], groups)
        return made if batched else made.squeeze(0)

    doc = f"The transpose of a convolution over {dims} dimensions, as `torch.{name}`."
    return publish(named(function, name, doc), method=False)


conv1d, conv2d, conv3d = (_conv(dims) for dims in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (_conv_transpose(dims) for dims in (1, 2, 3))

# ------------------------------------------------------------------------------------------- windows as columns


def _pair(name: str, argument: str, position: int, given: Any) -> tuple[int, int]:
    numbers = as_numbers(name, argument, position, given)
    if len(numbers) not in (1, 2):
        raise RuntimeError(f"It is expected {argument} equals to 2, but got size {len(numbers)}")
    return numbers * 2 if len(numbers) == 1 else numbers  # type: ignore[return-value]


def _columns(x: Any, *windows: tuple[int, int, int, int]) -> Any:
    """The elements of the windows of an image, (batches, channels * elements, windows).

    Args:
        x: (batches, channels, height, width).
        windows: kernel, stride, padding and dilation, for the height and for the width.
    """
    found, pads = [], {}
    for axis, (kernel, stride, padding, dilation) in enumerate(windows, start=2):
        found.append(count(x.shape[axis], kernel, stride, padding, dilation))
        pads[axis] = padding_of(x.shape[axis], found[-1], kernel, stride, padding, dilation)
    x = padded(x, pads, 0)
    (k0, s0, _, d0), (k1, s1, _, d1) = windows
    rows = taps(x, 2, found[0], k0, s0, d0)
    each = [tap for row in rows for tap in taps(row, 3, found[1], k1, s1, d1)]
    return jnp.stack(each, 2).reshape(x.shape[0], x.shape[1] * k0 * k1, found[0] * found[1])


@op("im2col.of_sizes", "Im2ColBackward0", refuses=(no_kernel("iu", "im2col_out_cpu"),))
def _im2col(input: Array, windows: Any) -> Any:
    return _columns(input, *windows)


@op(
    "col2im.of_sizes",
    "Col2ImBackward0",
    accumulates=True,
    refuses=(no_kernel("iu", "col2im_out_cpu"),),
)
def _col2im(input: Array, output_size: Any, windows: Any) -> Any:
    k0, k1 = windows[0][0], windows[1][0]
    image = jax.ShapeDtypeStruct((input.shape[0], input.shape[1] // (k0 * k1), *output_size), input.dtype)  # fmt: skip
    (made,) = jax.linear_transpose(lambda x: _columns(x, *windows), image)(input)
    return made


def _windows(name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any, first: int) -> tuple[tuple[int, int, int, int], ...]:  # fmt: skip
    """Kernel, stride, padding and dilation of each dimension."""
    given = {"kernel_size": kernel_size, "dilation": dilation, "padding": padding, "stride": stride}
    numbers = {
        argument: _pair(name, argument, k, value)
        for k, (argument, value) in enumerate(given.items(), start=first)
    }
    positive = {"kernel_size": "kernel", "dilation": "dilation", "stride": "stride"}
    order = ("kernel_size", "dilation", "stride") if name == "im2col" else ("kernel_size", "stride", "dilation")  # fmt: skip
    for argument in order:
        a, b = numbers[argument]
        if a <= 0 or b <= 0:
            what = positive[argument]
            raise RuntimeError(
                f"{what} {'size ' if what == 'kernel' else ''}should be greater than zero, but got "
                f"{argument.removesuffix('_size')}_height: {a} {argument.removesuffix('_size')}_width: {b}"
            )
    if min(numbers["padding"]) < 0:
        a, b = numbers["padding"]
        raise RuntimeError(
            f"padding should be non-negative, but got pad_height: {a} pad_width: {b}"
        )
    return tuple(zip(*[numbers[each] for each in ("kernel_size", "stride", "padding", "dilation")], strict=True))  # fmt: skip


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The windows of images as columns, as `torch.nn.functional.unfold`.

    Args:
        input: (batches, channels, height, width), or without the batches.
        kernel_size, dilation, padding, stride: one number, or one each for the height and the width.

    Returns:
        (batches, channels * kernel elements, windows).

    Raises:
        RuntimeError: the input has another number of dimensions, or no window fits.
    """
    windows = _windows("im2col", kernel_size, dilation, padding, stride, 2)
    shape = list(input.shape)
    if input.ndim not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, "
            f"but got: {shape}"
        )
    found = [count(n, *each) for n, each in zip(shape[-2:], windows, strict=True)]
    if min(found) < 1:
        kernel, dilation, padding = ([each[k] for each in windows] for k in (0, 3, 2))
        raise RuntimeError(
            f"Given input with spatial size ({listed(shape[-2:])}), kernel_size=({listed(kernel)}), "
            f"dilation=({listed(dilation)}), padding=({listed(padding)}), calculated shape of the array of sliding blocks "
            f"as ({listed(found)}), but its components must be at least one."
        )
    many, batched = of_batches(input, 2)
    made = _im2col(many, windows)
    return made if batched else made.squeeze(0)


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Images as sums of windows that overlap: the transpose of `unfold`, as `torch.nn.functional.fold`.

    Args:
        input: (batches, channels * kernel elements, windows), or without the batches.
        output_size: the images' height and width.
        kernel_size, dilation, padding, stride: one number, or one each for the height and the width.

    Raises:
        RuntimeError: the input's sizes do not fit.
    """
    size = _pair("col2im", "output_size", 2, output_size)
    windows = _windows("col2im", kernel_size, dilation, padding, stride, 3)
    shape = list(input.shape)
    if input.ndim not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {shape}"
        )
    kernel, stride, padding, dilation = ([each[k] for each in windows] for k in range(4))
    if shape[-2] % (kernel[0] * kernel[1]):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={shape[-2]} and kernel_size=({listed(kernel)})."
        )
    found = [count(n, *each) for n, each in zip(size, windows, strict=True)]
    words = (
        f"Given output_size=({listed(size)}), kernel_size=({listed(kernel)}), dilation=({listed(dilation)}), "
        f"padding=({listed(padding)}), stride=({listed(stride)}), "
    )
    if shape[-1] != found[0] * found[1]:
        raise RuntimeError(
            f"{words}expected size of input's dimension 2 to match the calculated number of sliding blocks {found[0]} * "
            f"{found[1]} = {found[0] * found[1]}, but got input.size(2)={shape[-1]}."
        )
    many = input if input.ndim == 3 else input.unsqueeze(0)
    made = _col2im(many, size, windows)
    return made if input.ndim == 3 else made.squeeze(0)
