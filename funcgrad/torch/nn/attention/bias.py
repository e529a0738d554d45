"""Causal masks that know their shape: `causal_upper_left` and `causal_lower_right`, as PyTorch has them."""

from enum import IntEnum
from typing import Any

from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch._types.warning import warn
from funcgrad.torch.nn import functional

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class CausalVariant(IntEnum):
    """The corner that a causal mask begins in."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CausalBias(Tensor):
    """A causal mask for `scaled_dot_product_attention`; it has no elements until they are asked for.

    Args:
        variant: the corner that it begins in.
        seq_len_q, seq_len_kv: the number of queries and of keys.

    Behaviour: https://docs.pytorch.org/docs/stable/generated/torch.nn.attention.bias.CausalBias.html
    """

    def __init__(self, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> None:
        if not isinstance(variant, CausalVariant):
            raise AssertionError(f"variant must be a CausalVariant, got {type(variant).__name__}")
        self.variant, self.seq_len_q, self.seq_len_kv = variant, seq_len_q, seq_len_kv
        if seq_len_q > seq_len_kv and variant is CausalVariant.LOWER_RIGHT:
            warn(
                "Lower right causal bias will produce NaNs in the output when seq_len_q > seq_len_kv!"
            )

    def _materialize(self, device: Any = None) -> Tensor:
        """The mask with its elements: True where a query may attend."""
        lower = self.variant is CausalVariant.LOWER_RIGHT
        ones = FUNCTIONS["ones"](self.seq_len_q, self.seq_len_kv, device=device, dtype=bool)
        return FUNCTIONS["tril"](ones, self.seq_len_kv - self.seq_len_q if lower else 0)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Attention with this mask; other functions see a tensor of nothing, as in PyTorch."""
        if func is functional.scaled_dot_product_attention:
            return _attention(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)  # type: ignore[misc]

    def __repr__(self) -> str:
        """The mask as a tensor."""
        return repr(self._materialize())


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: CausalBias,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if is_causal:
        raise ValueError("CausalBias should not be used with causal=True")
    square = attn_mask.seq_len_q == attn_mask.seq_len_kv
    plain = square or attn_mask.variant is CausalVariant.UPPER_LEFT
    mask = None if plain else attn_mask._materialize(query.device)
    return functional.scaled_dot_product_attention(
        query, key, value, mask, dropout_p, plain, scale, enable_gqa
    )


def causal_upper_left(*size: int) -> CausalBias:
    """The mask under which query `i` attends to keys up to `i`.

    >>> causal_upper_left(2, 3)
    tensor([[ True, False, False],
            [ True,  True, False]])
    """
    if len(size) != 2:
        raise AssertionError("causal_upper_left only supports 2D tensors")
    return CausalBias(CausalVariant.UPPER_LEFT, *size)


def causal_lower_right(*size: int) -> CausalBias:
    """The mask under which the last query attends to all keys, and each earlier one to one less.

    >>> causal_lower_right(2, 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    if len(size) != 2:
        raise AssertionError("causal_lower_right only supports 2D tensors")
    return CausalBias(CausalVariant.LOWER_RIGHT, *size)
