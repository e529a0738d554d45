"""PyTorch's `torch.nested`: batches of tensors that differ in lengths."""

from collections.abc import Sequence
from typing import Any

from funcgrad.torch._memory.formats import jagged, strided
from funcgrad.torch._tensor.registry import FUNCTIONS as _FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.nested._tensor import NestedTensor as _NestedTensor
from funcgrad.torch.nested._tensor import padded as _padded

__all__ = [
    "as_nested_tensor",
    "nested_tensor",
    "nested_tensor_from_jagged",
    "to_padded_tensor",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


def _check(parts: Sequence[Any], function: str) -> None:
    for k, each in enumerate(parts):
        if each.ndim != parts[0].ndim:
            raise RuntimeError(
                f"All Tensors given to {function} must have the same dimension. Found dimension {each.ndim} for Tensor at index "
                f"{k} and dimension {parts[0].ndim} for Tensor at index 0."
            )


def nested_tensor(
    tensor_list: Sequence[Any],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A nested tensor of copies of tensors, or of lists of numbers.

    Args:
        tensor_list: the parts, of one number of dimensions.
        dtype, device: of the parts; that of the first if None.
        layout: `torch.strided` or `torch.jagged`: whether only the first dimension of the parts may differ, and how it is printed.
        requires_grad: whether it gathers a gradient.
        pin_memory: accepted.

    Raises:
        RuntimeError: the parts have several numbers of dimensions.

    >>> import funcgrad.torch as torch
    >>> x = torch.nested.nested_tensor([torch.ones(2), torch.zeros(1)])
    >>> torch.nested.to_padded_tensor(x, -1.0)
    tensor([[ 1.,  1.],
            [ 0., -1.]])
    """
    parts = [_FUNCTIONS["as_tensor"](each, dtype=dtype, device=device).detach().clone() for each in tensor_list]  # fmt: skip
    _check(parts, "nested_tensor")
    made = _NestedTensor(parts, strided if layout is None else layout)
    return made.requires_grad_() if requires_grad else made


def as_nested_tensor(ts: Any, dtype: Any = None, device: Any = None, layout: Any = None) -> Any:
    """A nested tensor of tensors, whose gradients flow to them.

    Args:
        ts: the parts; or one tensor, whose slices they are.
        dtype, device, layout: as in `nested_tensor`.
    """
    parts = [_FUNCTIONS["as_tensor"](each, dtype=dtype, device=device) for each in ts]
    _check(parts, "as_nested_tensor")
    return _NestedTensor(parts, strided if layout is None else layout)


def nested_tensor_from_jagged(
    values: Any,
    offsets: Tensor | None = None,
    lengths: Tensor | None = None,
    jagged_dim: int | None = None,
    min_seqlen: int | None = None,
    max_seqlen: int | None = None,
) -> Any:
    """A nested tensor of the parts that lie one after another in a tensor.

    Args:
        values: the parts along the first dimension.
        offsets: where each part begins, and the end; or
        lengths: their lengths.
        jagged_dim: 1: the dimension that differs.
        min_seqlen, max_seqlen: accepted.

    Raises:
        RuntimeError: neither offsets nor lengths are given.
        NotImplementedError: both are, or another dimension differs.
    """
    if offsets is None and lengths is None:
        raise RuntimeError(
            "nested_tensor_from_jagged(): At least one of offsets or lengths is required."
        )
    if jagged_dim not in (None, 1) or (offsets is not None and lengths is not None):
        raise NotImplementedError(
            "nested_tensor_from_jagged: jagged_dim=1 with offsets or lengths is here, not both"
        )
    counts: Any = lengths
    if counts is None:
        counts = _FUNCTIONS["diff"](offsets)
    return _NestedTensor(list(values.split(counts.tolist())), jagged)


def to_padded_tensor(
    input: Any, padding: float, output_size: Sequence[int] | None = None, out: Any = None
) -> Any:
    """The parts of a nested tensor as one, filled up to one size.

    Args:
        input: the nested tensor.
        padding: the number to fill up with.
        output_size: the result's size; the smallest that holds all parts if None.
        out: refused.

    Raises:
        RuntimeError: `output_size` is too small, or the tensor is not nested.
    """
    if out is not None:
        raise NotImplementedError("to_padded_tensor(out=...)")
    return _padded(input, padding, output_size)
