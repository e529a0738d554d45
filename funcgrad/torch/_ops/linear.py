"""Affine maps: `linear` and `bilinear`."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.engine import Aval, Op, record
from funcgrad.torch._ops import casting
from funcgrad.torch._ops.matmul import check_mm, matmul, rounded_once
from funcgrad.torch._ops.row import SAVED, Array, no_kernel, op
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import from_numpy_dtype

_contract = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


def _flattened(input: Aval) -> Aval:
    """The type of an input of `linear` as a matrix."""
    return Aval((math.prod(input.shape[:-1]), input.shape[-1]), input.dtype)


def _transposed(weight: Aval) -> Aval:
    if len(weight.shape) > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {len(weight.shape)}D"
        )
    return Aval(weight.shape[::-1], weight.dtype)


def _check_product(input: Aval, weight: Aval) -> None:
    check_mm(_flattened(input), _transposed(weight), "linear")
    _refuse_bools(input)


def _check_sum(bias: Aval, input: Aval, weight: Aval) -> None:
    name, *others = (from_numpy_dtype(each.dtype).scalar_type for each in (bias, input, weight))
    if len(weight.shape) == 1:
        raise RuntimeError("mat2 must be a matrix, got 1-D tensor")
    matrix, transposed = _flattened(input), _transposed(weight)
    if others[0] != others[1]:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {others[0]} and {others[1]}"
        )
    if name != others[1]:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {name} and {others[1]}"
        )
    check_mm(matrix, transposed, "linear")
    _refuse_bools(input)
    target = (matrix.shape[0], transposed.shape[1])
    sizes = list(zip(bias.shape[::-1], target[::-1], strict=False))
    for k, (given, wanted) in enumerate(sizes):
        if given not in (1, wanted):
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size ({given}) at non-singleton "
                f"dimension {1 - k}.  Target sizes: {list(target)}.  Tensor sizes: {list(bias.shape)}"
            )


def _refuse_bools(input: Aval) -> None:
    if input.dtype == bool:
        raise NotImplementedError("\"addmm_impl_cpu_\" not implemented for 'Bool'")


def _product(input: Any, weight: Any) -> Any:
    return _contract("...i,oi->...o", input, weight)


@rounded_once
def _sum(bias: Any, input: Any, weight: Any) -> Any:
    rows = _product(input.reshape(-1, input.shape[-1]), weight) + bias
    return rows.reshape(*input.shape[:-1], weight.shape[0])


def _ops(function: Any, check: Any, one: str, two: str, more: str) -> dict[int, Op]:
    """The op for each number of dimensions of the input, up to 3; the names are those of PyTorch's nodes."""
    labels = {1: one, 2: two, 3: more}
    return {n: Op("linear", function, label=label, check=check) for n, label in labels.items()}


_SUMS = _ops(_sum, _check_sum, "ViewBackward0", "AddmmBackward0", "ViewBackward0")
_PRODUCTS = _ops(_product, _check_product, "SqueezeBackward4", "MmBackward0", "UnsafeViewBackward0")
SAVED.setdefault("AddmmBackward0", {})["mat1"] = 1


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input @ weight.T + bias`.

    Args:
        input: of any dimensions; the last one is the features.
        weight: of shape (out_features, in_features); or (in_features,), without a bias.
        bias: of shape (out_features,).

    Raises:
        TypeError: an argument is not a tensor.
        RuntimeError: the sizes or dtypes do not fit.

    >>> import funcgrad.torch as torch
    >>> torch.nn.functional.linear(torch.ones(1, 2), torch.ones(3, 2), torch.zeros(3))
    tensor([[2., 2., 2.]])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.functional.linear.html
    """
    given = (("input", input), ("weight", weight), ("bias", bias))[: 2 + (bias is not None)]
    for k, (name, each) in enumerate(given, start=1):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"linear(): argument '{name}' (position {k}) must be Tensor, not {type(each).__name__}"
            )
    n = len(input._storage.aval.shape)
    m = len(weight._storage.aval.shape)
    if not (n and m):
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {n}D and {m}D"
        )
    if casting.now.dtype is not None:
        input, weight, bias = casting.cast("matmul", (input, weight, bias))
    if bias is None:
        if m == 1:
            return matmul(input, weight)
        return tensor_of(*record(_PRODUCTS[min(n, 3)], (input, weight)))
    return tensor_of(*record(_SUMS[min(n, 3)], (bias, input, weight)))


# ------------------------------------------------------------------------------------------- bilinear


def _check_bilinear(input1: Aval, input2: Aval, weight: Aval) -> None:
    a, b, w = input1.shape, input2.shape, weight.shape
    if len(a) != len(b):
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {len(a)} and {len(b)}")
    for k, (one, other) in enumerate(zip(a[:-1], b[:-1], strict=True)):
        if one != other:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {k}: got {one} and {other}"
            )
    for k, given in ((1, a), (2, b)):
        if len(w) <= k:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-len(w)}, {len(w) - 1}], but got {k})"
            )
        if given[-1] != w[k]:
            raise RuntimeError(
                f"bilinear(): input{k} size does not match weight size: got {given[-1]} but expected {w[k]}"
            )


@op(
    "bilinear.product",
    "ViewBackward0",
    check=_check_bilinear,
    refuses=(no_kernel("b", "sum_cpu"),),
)
def _bilinear(input1: Array, input2: Array, weight: Array) -> Any:
    return _contract("...i,oij,...j->...o", input1, weight, input2)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input1 @ weight[k] @ input2 + bias[k]` for each k.

    Args:
        input1, input2: of shapes (..., in1_features) and (..., in2_features).
        weight: of shape (out_features, in1_features, in2_features).
        bias: of shape (out_features,).

    Raises:
        RuntimeError: the sizes do not fit.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.functional.bilinear.html
    """
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {weight.shape[0]}"
        )
    made = _bilinear(input1, input2, weight)
    return made if bias is None else made + bias


publish(bilinear, method=False)
