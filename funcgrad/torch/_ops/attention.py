"""Attention: `scaled_dot_product_attention`, and attention with several heads and its affine maps."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops import casting
from funcgrad.torch._ops.joining import cat
from funcgrad.torch._ops.linear import linear
from funcgrad.torch._ops.matmul import matmul
from funcgrad.torch._ops.padding import pad
from funcgrad.torch._ops.row import Array, Operand, op
from funcgrad.torch._tensor.operands import check_shapes, laid_out, plain_number
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import bool_, kernel_name
from funcgrad.torch._types.warning import warn

# ------------------------------------------------------------------------------------------- the ops

_HIGHEST = jax.lax.Precision.HIGHEST


def _shared_heads(query: Any, other: Any) -> Any:
    """Keys or values with as many heads as the query, whose heads share them."""
    if query.ndim < 3 or query.shape[-3] == other.shape[-3]:
        return other
    return jnp.repeat(other, query.shape[-3] // other.shape[-3], -3)


def _weights(query: Any, key: Any, mask: Any, causal: bool, scale: float, gqa: bool) -> Any:
    """How much each query attends to each key: a softmax of their products. It is zero where all are masked."""
    key = _shared_heads(query, key) if gqa else key
    scores = jnp.matmul(query, jnp.swapaxes(key, -1, -2), precision=_HIGHEST) * scale
    if causal:
        before = jnp.tri(query.shape[-2], key.shape[-2], dtype=bool)
        scores = jnp.where(before, scores, -jnp.inf)
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf) if mask.dtype == bool else scores + mask
    nothing = jnp.all(scores == -jnp.inf, -1, keepdims=True)
    return jnp.where(nothing, 0, jax.nn.softmax(jnp.where(nothing, 0, scores), -1))


@op("sdpa.weights", "SafeSoftmaxBackward0", accumulates=True)
def _attended(query: Array, key: Array, mask: Operand, causal: bool, scale: float, gqa: bool) -> Any:  # fmt: skip
    return _weights(query, key, mask, causal, scale, gqa)


@op("sdpa.mix", "UnsafeViewBackward0", accumulates=True)
def _mixed(weights: Array, value: Array, gqa: bool) -> Any:
    value = _shared_heads(weights, value) if gqa else value
    return jnp.matmul(weights, value, precision=_HIGHEST)


@op("sdpa.fused", "ScaledDotProductFlashAttentionForCpuBackward0", accumulates=True)
def _fused(query: Array, key: Array, value: Array, mask: Operand, causal: bool, scale: float, gqa: bool) -> Any:  # fmt: skip
    weights = _weights(query, key, mask, causal, scale, gqa)
    value = _shared_heads(weights, value) if gqa else value
    return jnp.matmul(weights, value, precision=_HIGHEST)


# ------------------------------------------------------------------------------------------- the function


def _check(query: Tensor, key: Tensor, value: Tensor, mask: Any, causal: bool, gqa: bool) -> None:
    many = {"query": query, "key": key, "value": value}
    if len({each.dtype for each in many.values()}) > 1:
        a, b, c = (f"{name}.dtype: {kernel_name(each.dtype)}" for name, each in many.items())
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got {a} {b} and {c} instead."
        )
    if min(each.ndim for each in many.values()) < 2:
        a, b, c = (f"{name}.dim: {each.ndim}" for name, each in many.items())
        raise RuntimeError(
            f"Expected query, key, and value to all be  at least 2 dimensional, but got {a} {b} and {c} instead."
        )
    if mask is not None:
        if mask.dtype not in (bool_, query.dtype):
            raise RuntimeError(
                "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
                f"{kernel_name(mask.dtype)} and  query.dtype: {kernel_name(query.dtype)} instead."
            )
        if causal:
            raise RuntimeError(
                "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
            )
    for other, like, of in ((key, query, -1), (value, key, -2)):
        if other.shape[of] != like.shape[of]:
            outer = math.prod(query.shape[:-2])
            raise RuntimeError(
                f"Expected size for first two dimensions of batch2 tensor to be: [{outer}, {like.shape[of]}] but got: "
                f"[{outer}, {other.shape[of]}]."
            )
    batches = [tuple(each.shape[:-2]) for each in many.values()]
    if gqa and min(map(len, batches)) > 0:
        if any(heads == 0 or batches[0][-1] % heads for *_, heads in batches[1:]):
            raise RuntimeError(
                "Number of heads in key and value must divide the number of heads in "
            )
        batches = [(*batch, batches[0][-1]) for *batch, _ in batches]
    check_shapes(*batches)
    if mask is not None:
        check_shapes(
            (*np.broadcast_shapes(*batches[:2]), query.shape[-2], key.shape[-2]), tuple(mask.shape)
        )


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Means of values, weighted by a softmax of the products of queries and keys.

    Args:
        query: (..., heads, queries, features).
        key: (..., heads, keys, features).
        value: (..., heads, keys, value features).
        attn_mask: broadcast to (..., queries, keys): True where a query may attend, or numbers to add to the products.
        dropout_p: the part of the weights that is dropped; also outside of training.
        is_causal: whether a query attends only to the keys up to its own place.
        scale: the factor of the products; one over the root of the number of features if None.
        enable_gqa: whether several heads of the query share one of the keys and values.

    Raises:
        RuntimeError: the operands do not fit.

    >>> import funcgrad.torch as torch
    >>> x = torch.ones(1, 2, 3)
    >>> torch.nn.functional.scaled_dot_product_attention(x, x, x)
    tensor([[[1., 1., 1.],
             [1., 1., 1.]]])
    """
    if casting.now.dtype is not None:
        query, key, value, attn_mask = casting.cast("sdpa", (query, key, value, attn_mask))
    _check(query, key, value, attn_mask, is_causal, enable_gqa)
    scale = plain_number(scale, "scaled_dot_product_attention", "scale", kind="float")
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    facts = (bool(is_causal), factor, bool(enable_gqa))
    alike = len({each.shape[-1] for each in (query, key, value)}) == 1
    heads = enable_gqa or len({tuple(each.shape[:-2]) for each in (query, key, value)}) == 1
    plain = attn_mask is None or not attn_mask.requires_grad
    if query.ndim == 4 and alike and heads and plain and not dropout_p:
        made = _fused(query, key, value, attn_mask, *facts)
        return laid_out(made, query) if query.stride(-1) == 1 else made
    weights = _attended(query, key, attn_mask, *facts)
    if dropout_p:
        weights = FUNCTIONS["dropout"](weights, dropout_p, True)
    if query.ndim == 2:
        return matmul(weights, value)
    return _mixed(weights, value, bool(enable_gqa))


# ------------------------------------------------------------------------------------------- several heads


def canonical_mask(
    mask: Any,
    mask_name: str,
    other_type: Any,
    other_name: str,
    target_type: Any,
    check_other: bool = True,
) -> Any:
    """A mask as numbers to add: minus infinity where a boolean mask is True.

    Raises:
        AssertionError: the mask is neither boolean nor of floating point.

    Warns:
        UserWarning: the other mask is of another type.
    """
    if mask is None:
        return None
    real = mask.dtype.is_floating_point
    if mask.dtype is not bool_ and not real:
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype is not other_type:
        warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for both instead."
        )
    if real:
        return mask
    zeros = FUNCTIONS["zeros_like"](mask, dtype=target_type)
    return zeros.masked_fill_(mask, float("-inf"))


def _check_ranks(query: Any, key: Any, value: Any, padding: Any, mask: Any, heads: int) -> bool:
    """Whether there are batches.

    Raises:
        AssertionError: the operands have other numbers of dimensions.
    """
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor"
        )
    rank = query.dim()
    kind = "batched (3-D)" if rank == 3 else "unbatched (2-D)"
    if key.dim() != rank or value.dim() != rank:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {rank}-D but found {key.dim()}-D and {value.dim()}-D "
            "tensors respectively"
        )
    if padding is not None and padding.dim() != rank - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {rank - 1}-D but found {padding.dim()}-D "
            "tensor instead"
        )
    if mask is not None:
        if mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {mask.dim()}-D tensor instead"
            )
        wanted = (heads, query.shape[0], key.shape[0])
        if rank == 2 and mask.dim() == 3 and mask.shape != wanted:
            raise AssertionError(f"Expected `attn_mask` shape to be {wanted} but got {mask.shape}")
    return rank == 3


def _check_sizes(query: Any, key: Any, value: Any, wanted: int, heads: int, separate: bool) -> None:
    features = query.shape[-1]
    if features != wanted:
        raise AssertionError(f"was expecting embedding dimension of {wanted}, but got {features}")
    if features % heads:
        raise AssertionError(f"embed_dim {features} not divisible by num_heads {heads}")
    if separate and key.shape[:2] != value.shape[:2]:
        raise AssertionError(
            f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
        )
    if not separate and key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def _check_mask(mask: Any, batches: int, queries: int, keys: int) -> Any:
    """The mask with a dimension for batches and heads."""
    wanted = (queries, keys) if mask.dim() == 2 else (batches, queries, keys)
    if mask.shape != wanted:
        raise RuntimeError(
            f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be {wanted}."
        )
    return mask.unsqueeze(0) if mask.dim() == 2 else mask


def _projected(query: Any, key: Any, value: Any, weights: Any, bias: Any) -> tuple[Any, ...]:
    """Queries, keys and values by their affine maps; one product where the same tensor goes through several.

    Args:
        query, key, value: (length, batches, features).
        weights: one tensor of all three maps, or three.
        bias: of all three maps, or None.
    """
    features = query.shape[-1]
    if isinstance(weights, tuple):
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        return tuple(map(linear, (query, key, value), weights, biases))
    if key is value and query is key:
        return linear(query, weights, bias).chunk(3, -1)
    if key is value:
        sizes = [features, 2 * features]
        w_q, w_kv = weights.split(sizes)
        b_q, b_kv = (None, None) if bias is None else bias.split(sizes)
        both: Any = linear(key, w_kv, b_kv)
        return (linear(query, w_q, b_q), *both.chunk(2, -1))
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return tuple(map(linear, (query, key, value), weights.chunk(3), biases))


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention with several heads, between affine maps; `nn.MultiheadAttention` holds the parameters.

    Args:
        query, key, value: (length, batches, features), or without the batches.
        embed_dim_to_check: the number of features of the query.
        num_heads: the number of heads.
        in_proj_weight, in_proj_bias: the maps of query, key and value, one above the other.
        bias_k, bias_v: a key and a value to add to all others, or None.
        add_zero_attn: whether to add a key and a value of zeros.
        dropout_p: the part of the weights that training drops.
        out_proj_weight, out_proj_bias: the map of the result.
        training: whether it is training.
        key_padding_mask: (batches, keys): True where a key is to be ignored, or numbers to add.
        need_weights: whether to return the weights too.
        attn_mask: (queries, keys) or (batches * heads, queries, keys): True where a query may not attend, or numbers to add.
        use_separate_proj_weight: whether the three maps are `q_proj_weight`, `k_proj_weight` and `v_proj_weight`.
        q_proj_weight, k_proj_weight, v_proj_weight: these maps.
        static_k, static_v: keys and values in place of the maps' results.
        average_attn_weights: whether the weights are averaged over the heads.
        is_causal: says that `attn_mask` is causal.

    Raises:
        AssertionError, RuntimeError: the operands do not fit.
    """
    batched = _check_ranks(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        alike = key is query, value is key
        query = query.unsqueeze(1)
        key = query if alike[0] else key.unsqueeze(1)
        value = key if alike[1] else value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    queries, batches, features = query.shape
    other = None if attn_mask is None else attn_mask.dtype
    key_padding_mask = canonical_mask(
        key_padding_mask, "key_padding_mask", other, "attn_mask", query.dtype
    )
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None
    else:
        attn_mask, is_causal = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, False), False  # fmt: skip
    _check_sizes(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    q, k, v = _projected(query, key, value, separate if use_separate_proj_weight else in_proj_weight, in_proj_bias)  # fmt: skip
    if attn_mask is not None:
        attn_mask = _check_mask(attn_mask, batches * num_heads, queries, key.shape[0])
    if (bias_k is None) != (bias_v is None):
        which = ("bias_v", "bias_k") if bias_k is None else ("bias_k", "bias_v")
        raise AssertionError("{} is set but {} is None".format(*which))
    if bias_k is not None:
        k = cat([k, bias_k.repeat(1, batches, 1)])
        v = cat([v, bias_v.repeat(1, batches, 1)])
        attn_mask, key_padding_mask = (
            None if each is None else pad(each, (0, 1)) for each in (attn_mask, key_padding_mask)
        )
    width = features // num_heads

    def heads(x: Any) -> Any:
        """(batches, heads, length, features of a head)."""
        return x.reshape(x.shape[0], batches, num_heads, width).permute(1, 2, 0, 3)

    q = heads(q)
    k = heads(k) if static_k is None else static_k.view(batches, num_heads, -1, width)
    v = heads(v) if static_v is None else static_v.view(batches, num_heads, -1, width)
    if add_zero_attn:
        k, v = (cat([x, x.new_zeros(batches, num_heads, 1, width)], 2) for x in (k, v))
        attn_mask, key_padding_mask = (
            None if each is None else pad(each, (0, 1)) for each in (attn_mask, key_padding_mask)
        )
    mask = _merged(attn_mask, key_padding_mask, batches, num_heads, k.shape[2])
    part = dropout_p if training else 0.0
    if need_weights:
        weights = _attended(q, k, mask, False, 1 / math.sqrt(width), False)
        if mask is not None:
            weights = _unsafe(weights, mask)
        weights = FUNCTIONS["dropout"](weights, part, True) if part else weights
        made = _mixed(weights, v, False)
    else:
        made = scaled_dot_product_attention(q, k, v, mask, part, is_causal)
    flat = made.permute(2, 0, 1, 3).reshape(queries * batches, features)
    result: Any = linear(flat, out_proj_weight, out_proj_bias)
    result = result.view(queries, batches, features)
    result = result if batched else result.squeeze(1)
    if not need_weights:
        return result, None
    weights = weights.mean(dim=1) if average_attn_weights else weights
    return result, weights if batched else weights.squeeze(0)


@op("softmax.of_nothing", "SoftmaxBackward0")
def _unsafe(weights: Array, mask: Array) -> Any:
    """The weights, which are NaN where all keys are masked: a plain softmax divides zero by zero."""
    nothing = jnp.all(jnp.broadcast_to(mask == -jnp.inf, weights.shape), -1, keepdims=True)
    return jnp.where(nothing, jnp.nan, weights)


def _merged(mask: Any, padding: Any, batches: int, heads: int, keys: int) -> Any:
    """One mask of (batches, heads, queries, keys), or one that broadcasts to it."""
    if mask is not None:
        mask = mask.unsqueeze(0) if mask.shape[0] == 1 else mask.view(batches, heads, -1, keys)
    if padding is None:
        return mask
    for k, wanted in enumerate((batches, keys)):
        if padding.shape[k] != wanted:
            raise AssertionError(
                f"Expected key_padded_mask.shape[{k}] to be {wanted}, but got {padding.shape[k]}"
            )
    padding = padding.view(batches, 1, 1, keys)
    return padding if mask is None else mask + padding
