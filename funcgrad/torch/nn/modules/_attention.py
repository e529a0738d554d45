"""Attention with several heads; `activation` shows it, as in PyTorch.

Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html
"""

from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional, init
from funcgrad.torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.parameter import Parameter

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention with several heads, between affine maps of the query, the key, the value and the result.

    Args:
        embed_dim: the number of features of the query and of the result.
        num_heads: the number of heads, which share out the features.
        dropout: the part of the weights that training drops.
        bias: whether the maps have biases.
        add_bias_kv: whether to learn a key and a value that are added to all others.
        add_zero_attn: whether to add a key and a value of zeros.
        kdim, vdim: the numbers of features of the key and of the value; `embed_dim` if None.
        batch_first: whether the batches come first in the operands and the result.
        device, dtype: of the parameters.

    Raises:
        ValueError: a number is not positive.
        AssertionError: the heads do not divide the features.

    >>> import funcgrad.torch as torch
    >>> x = torch.ones(3, 2, 4)
    >>> output, weights = torch.nn.MultiheadAttention(4, 2)(x, x, x)
    >>> output.shape, weights.shape
    (torch.Size([3, 2, 4]), torch.Size([2, 3, 3]))
    """

    __module__ = "funcgrad.torch.nn.modules.activation"
    __constants__ = ("batch_first",)

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} "
                "instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = kdim if kdim is not None else embed_dim
        self.vdim = vdim if vdim is not None else embed_dim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads, self.dropout, self.batch_first = num_heads, dropout, batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != self.embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")

        def made(*size: int) -> Parameter:
            return Parameter(torch.empty(size, device=device, dtype=dtype))

        together = self._qkv_same_embed_dim
        parts = {"q": embed_dim, "k": self.kdim, "v": self.vdim}
        if together:
            self.in_proj_weight = made(3 * embed_dim, embed_dim)
        for name, features in parts.items():
            self.register_parameter(
                f"{name}_proj_weight", None if together else made(embed_dim, features)
            )
        if not together:
            self.register_parameter("in_proj_weight", None)
        self.register_parameter("in_proj_bias", made(3 * embed_dim) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, device, dtype)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, made(1, 1, embed_dim) if add_bias_kv else None)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if getattr(self, name) is not None:
                init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        for name in ("bias_k", "bias_v"):
            if getattr(self, name) is not None:
                init.xavier_normal_(getattr(self, name))

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attended values, and the weights unless they are not needed.

        Args:
            query, key, value: (length, batches, features), with `batch_first` (batches, length, features), or
                (length, features).
            key_padding_mask: (batches, keys): True where a key is to be ignored, or numbers to add.
            need_weights: whether to return the weights.
            attn_mask: (queries, keys) or (batches * heads, queries, keys): True where a query may not attend, or numbers
                to add.
            average_attn_weights: whether the weights are averaged over the heads.
            is_causal: says that `attn_mask` is causal.

        Raises:
            AssertionError, RuntimeError: the operands do not fit.
        """
        turned = self.batch_first and query.dim() == 3
        if turned:
            moved = {id(each): each.transpose(1, 0) for each in (query, key, value)}
            query, key, value = (moved[id(each)] for each in (query, key, value))
        output, weights = functional.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(1, 0) if turned else output), weights
