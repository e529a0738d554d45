"""Padding: `pad` by a constant, by reflection, by the edge, and around."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from funcgrad.torch._ops.row import Array, Row, no_kernel, op
from funcgrad.torch._ops.sizes import as_numbers
from funcgrad.torch._ops.windows import padded
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor


def _by_dim(pad: Sequence[int], ndim: int) -> dict[int, tuple[int, int]]:
    """PyTorch's list of paddings, which begins at the last dimension, by dimension."""
    return {ndim - 1 - k: (pad[2 * k], pad[2 * k + 1]) for k in range(len(pad) // 2)}


# ------------------------------------------------------------------------------------------- by a constant


def _check_constant(input: Tensor, pad: tuple[int, ...], value: Any) -> None:
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    if input.ndim < len(pad) // 2:
        raise RuntimeError(
            "Length of pad should be no more than twice the number of dimensions of the input. Pad length is "
            f"{len(pad)} while the input has {input.ndim} dimensions."
        )
    for dim, (before, after) in _by_dim(pad, input.ndim).items():
        length = input.shape[dim]
        if length + before + after < 0:
            raise RuntimeError(
                f"The input size {length}, plus negative padding {before} and {after} resulted in a negative output size, "
                f"which is invalid. Check dimension {dim} of your input."
            )


@op("constant_pad_nd.of_sizes", "ConstantPadNdBackward0", prepare=_check_constant, in_format=any)
def _constant(input: Array, pad: Any, value: Any) -> Any:
    return padded(input, _by_dim(pad, input.ndim), value)


def constant_pad_nd(input: Tensor, pad: Any, value: complex = 0) -> Tensor:
    """The input with a constant around it, as `torch.constant_pad_nd`.

    Args:
        input: a tensor.
        pad: numbers of elements before and after, from the last dimension on; negative ones cut off.
        value: the constant.

    Raises:
        RuntimeError: there are too many numbers, an odd number of them, or a length would be negative.
    """
    return _constant(input, as_numbers("constant_pad_nd", "pad", 2, pad), value)


publish(constant_pad_nd, method=False)

# ------------------------------------------------------------------------------------------- from the elements


def _check_mirrored(kind: str, dims: int, input: Tensor, pad: tuple[int, ...]) -> None:
    if len(pad) != 2 * dims:
        raise RuntimeError(f"padding size is expected to be {2 * dims}, but got: {len(pad)}")
    length = list(input.shape)
    if input.ndim not in (dims + 1, dims + 2) or 0 in length[-dims - 1 :]:
        optional = {1: "2D or 3D (batch mode)", 2: "3D or 4D (batch mode)", 3: "4D or 5D (batch mode)"}  # fmt: skip
        raise RuntimeError(
            f"Expected {optional[dims]} tensor with possibly 0 batch size and other non-zero dimensions for input, but "
            f"got: {length}"
        )
    for dim, (before, after) in _by_dim(pad, input.ndim).items():
        if kind == "reflect" and (before >= length[dim] or after >= length[dim]):
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, but got: padding "
                f"({before}, {after}) at dimension {dim} of input {length}"
            )


def _grown(x: Any, pad: Sequence[int], kind: str) -> Any:
    """An array padded by `jnp.pad`, and then cut where the padding is negative."""
    of = _by_dim(pad, x.ndim)
    grown = [tuple([max(n, 0) for n in of.get(k, (0, 0))]) for k in range(x.ndim)]
    cut = {k: (min(before, 0), min(after, 0)) for k, (before, after) in of.items()}
    return padded(jnp.pad(x, grown, mode=kind), cut, 0)


def _mirrored(kind: str, title: str, dims: int) -> Row:
    """Declare a padding whose elements come from the input."""

    @op(
        f"{title.lower()}_pad{dims}d",
        f"{title}Pad{dims}DBackward0",
        function=False,
        method=False,
        prepare=lambda input, padding: _check_mirrored(kind, dims, input, padding),
        in_format=any,
        refuses=(no_kernel("b", f"{title.lower()}_pad{dims}d"),),
    )
    def pad(input: Array, padding: Any) -> Any:
        return _grown(input, padding, kind)

    return pad


_BY_ELEMENTS = {
    mode: {dims: _mirrored(kind, title, dims) for dims in (1, 2, 3)}
    for mode, kind, title in (
        ("reflect", "reflect", "Reflection"),
        ("replicate", "edge", "Replication"),
    )
}


@op("_pad_circular", "CopySlices", function=False, method=False)
def _circular(input: Array, pad: Any) -> Any:
    # The rest of the input goes round; the part that was cut off does not.
    cut = [min(n, 0) for n in pad]
    left = padded(input, _by_dim(cut, input.ndim), 0)
    return _grown(left, [n - m for n, m in zip(pad, cut, strict=True)], "wrap")


def _wrapped(input: Tensor, pad: tuple[int, ...]) -> Tensor:
    for dim, (before, after) in _by_dim(pad, input.ndim).items():
        length = input.shape[dim]
        if before > length or after > length:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if length + before + after < 0:
            raise RuntimeError("Negative padding value is resulting in an empty dimension")
        if max(before, after) > length + min(before, 0) + min(after, 0):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
                "location. Please clone() the tensor before performing the operation."
            )
    return _circular(input, pad)


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """The input with elements added around it, as `torch.nn.functional.pad`.

    Args:
        input: a tensor.
        pad: numbers of elements before and after, from the last dimension on; negative ones cut off.
        mode: "constant", "reflect", "replicate" or "circular".
        value: the constant; 0 if None. Only for "constant".

    Raises:
        RuntimeError: the numbers do not fit the input.
        NotImplementedError: the mode is not one of these, or has no such number of dimensions.

    >>> import funcgrad.torch as torch
    >>> torch.nn.functional.pad(torch.tensor([[1.0, 2.0]]), (1, 1))
    tensor([[0., 1., 2., 0.]])
    """
    numbers = as_numbers("pad", "pad", 2, pad)
    if len(numbers) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(numbers) // 2 > input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(numbers)} and input of dimension {input.ndim}"
        )
    if mode == "constant":
        return constant_pad_nd(input, numbers, 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    dims = len(numbers) // 2
    if dims in (1, 2, 3) and input.ndim in (dims + 1, dims + 2):
        if mode in _BY_ELEMENTS:
            return _BY_ELEMENTS[mode][dims](input, numbers)
        if mode == "circular":
            return _wrapped(input, numbers)
        raise NotImplementedError("Unrecognised padding mode " + mode)
    raise NotImplementedError(
        f"Padding size {len(numbers)} is not supported for {input.ndim}D input tensor.\nSupported combinations for "
        "non-constant padding:\n  - 2D or 3D input: padding size = 2 (pads last dimension)\n  - 3D or 4D input: padding "
        "size = 4 (pads last 2 dimensions)\n  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
    )
