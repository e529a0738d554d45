"""Transformers: encoders and decoders of attention, and their layers.

Behaviour: https://pytorch.org/docs/stable/nn.html#transformer-layers
"""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._ops.attention import canonical_mask
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional, init
from funcgrad.torch.nn.modules._attention import MultiheadAttention
from funcgrad.torch.nn.modules.activation import GELU, ReLU
from funcgrad.torch.nn.modules.container import ModuleList
from funcgrad.torch.nn.modules.dropout import Dropout
from funcgrad.torch.nn.modules.linear import Linear
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.modules.normalization import LayerNorm

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

_Activation = str | Callable[[Any], Any]


def __dir__() -> list[str]:
    return __all__


def _masks(mask: Any, name: str, padding: Any, like: Tensor) -> tuple[Any, Any]:
    """A mask and the padding's mask as numbers to add."""
    other = None if mask is None else mask.dtype
    padding = canonical_mask(padding, "src_key_padding_mask", other, name, like.dtype)
    return canonical_mask(mask, name, None, "", like.dtype, False), padding


def _activation(given: _Activation) -> Callable[[Any], Any]:
    if not isinstance(given, str):
        return given
    if given not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {given}")
    return getattr(functional, given)


def _clones(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


# ------------------------------------------------------------------------------------------- layers


class _Layer(Module):
    """The parts that encoder and decoder layers share."""

    __constants__ = ("norm_first",)

    def __init__(self) -> None:
        super().__init__()

    def _attend(self, attention: Any, x: Any, memory: Any, mask: Any, padding: Any, causal: bool) -> Any:  # fmt: skip
        found = attention(
            x,
            memory,
            memory,
            attn_mask=mask,
            key_padding_mask=padding,
            need_weights=False,
            is_causal=causal,
        )
        return found[0]

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _steps(self, x: Any, *steps: tuple[Any, Callable[[Any], Any]]) -> Any:
        """Add each step's result to its input, with a norm before the step or after the sum."""
        for norm, step in steps:
            x = x + step(norm(x)) if self.norm_first else norm(x + step(x))
        return x


class TransformerEncoderLayer(_Layer):
    """Self-attention and two affine maps, each with a sum and a norm.

    Args:
        d_model: the number of features.
        nhead: the number of heads.
        dim_feedforward: the number of features between the two maps.
        dropout: the part of the elements that training drops.
        activation: "relu", "gelu" or a function, between the two maps.
        layer_norm_eps: added to the variance in the norms.
        batch_first: whether the batches come first in the input and the result.
        norm_first: whether a norm comes before its step, and not after the sum.
        bias: whether maps and norms have biases.
        device, dtype: of the parameters.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: _Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        kept: Any = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, **kept
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **kept)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **kept)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kept)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kept)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _activation(activation)
        kinds = ((functional.relu, ReLU), (functional.gelu, GELU))
        self.activation_relu_or_gelu = next(
            (
                k
                for k, (function, kind) in enumerate(kinds, start=1)
                if self.activation is function or isinstance(self.activation, kind)
            ),
            0,
        )

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The result for an input (length, batches, features), with `batch_first` (batches, length, features).

        Args:
            src: the input.
            src_mask: (length, length): True where an element may not attend, or numbers to add.
            src_key_padding_mask: (batches, length): True where an element is to be ignored, or numbers to add.
            is_causal: says that `src_mask` is causal.
        """
        mask, padding = _masks(src_mask, "src_mask", src_key_padding_mask, src)
        return self._steps(
            src,
            (
                self.norm1,
                lambda x: self.dropout1(
                    self._attend(self.self_attn, x, x, mask, padding, is_causal)
                ),
            ),
            (self.norm2, lambda x: self.dropout2(self._feed_forward(x))),
        )


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's result, and two affine maps, each with a sum and a norm.

    The arguments are as for `TransformerEncoderLayer`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.TransformerDecoderLayer.html
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: _Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        kept: Any = {"device": device, "dtype": dtype}
        facts: Any = {"dropout": dropout, "bias": bias, "batch_first": batch_first, **kept}
        self.self_attn = MultiheadAttention(d_model, nhead, **facts)
        self.multihead_attn = MultiheadAttention(d_model, nhead, **facts)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **kept)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **kept)
        self.norm_first = norm_first
        for k in (1, 2, 3):
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kept)
            setattr(self, f"norm{k}", norm)
        for k in (1, 2, 3):
            setattr(self, f"dropout{k}", Dropout(dropout))
        self.activation = _activation(activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The result for an input and the encoder's result; the masks are as in `TransformerEncoderLayer.forward`.

        Args:
            tgt: the input.
            memory: the encoder's result.
            tgt_mask, memory_mask: where the elements may not attend to the input and to the memory.
            tgt_key_padding_mask, memory_key_padding_mask: elements of the input and of the memory to ignore.
            tgt_is_causal, memory_is_causal: say that the masks are causal.
        """

        def to_itself(x: Any) -> Any:
            return self.dropout1(
                self._attend(self.self_attn, x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)
            )

        def to_memory(x: Any) -> Any:
            return self.dropout2(
                self._attend(self.multihead_attn, x, memory, memory_mask, memory_key_padding_mask, memory_is_causal)
            )  # fmt: skip

        return self._steps(
            tgt,
            (self.norm1, to_itself),
            (self.norm2, to_memory),
            (self.norm3, lambda x: self.dropout3(self._feed_forward(x))),
        )


# ------------------------------------------------------------------------------------------- stacks


def _causal(mask: Any, given: bool | None, length: int) -> bool:
    """Whether a mask is causal; if nobody says so, its numbers tell."""
    if given is not None or mask is None:
        return given is True
    wanted = Transformer.generate_square_subsequent_mask(length, dtype=mask.dtype)
    return mask.shape == wanted.shape and bool((mask == wanted).all())


def _length(x: Tensor, batch_first: bool) -> int:
    return x.shape[0 if x.ndim == 2 or not batch_first else 1]


class TransformerEncoder(Module):
    """A stack of encoder layers.

    Args:
        encoder_layer: the layer; the stack has copies of it.
        num_layers: the number of layers.
        norm: a norm of the result, or None.
        enable_nested_tensor: whether evaluation without gradients leaves zeros at elements that are ignored.
        mask_check: whether that needs a mask whose True elements come last.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.TransformerEncoder.html
    """

    __constants__ = ("norm",)

    def __init__(
        self,
        encoder_layer: Any,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _clones(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor = self.use_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check
        why = _why_not_nested(encoder_layer)
        if enable_nested_tensor and why:
            warnings.warn(
                f"enable_nested_tensor is True, but self.use_nested_tensor is False because {why}",
                stacklevel=2,
            )
            self.use_nested_tensor = False

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The last layer's result.

        Args:
            src: (length, batches, features), or as the layers take it.
            mask: (length, length): True where an element may not attend, or numbers to add.
            src_key_padding_mask: (batches, length): True where an element is to be ignored, or numbers to add.
            is_causal: says whether `mask` is causal.
        """
        mask, padding = _masks(mask, "mask", src_key_padding_mask, src)
        first: Any = self.layers[0]
        causal = _causal(mask, is_causal, _length(src, first.self_attn.batch_first))
        output: Any = src
        for layer in self.layers:
            output = layer(output, src_mask=mask, is_causal=causal, src_key_padding_mask=padding)
        if mask is None and padding is not None and self._leaves_zeros(src, padding):
            output = output.masked_fill((padding == float("-inf")).unsqueeze(-1), 0.0)
        return output if self.norm is None else self.norm(output)

    def _leaves_zeros(self, src: Tensor, padding: Any) -> bool:
        """Whether PyTorch would compute with nested tensors, which leave zeros at elements that are ignored."""
        first: Any = self.layers[0]
        if not self.use_nested_tensor or first.training or src.ndim != 3:
            return False
        tensors = (src, *first.parameters())
        if torch.is_grad_enabled() and any(each.requires_grad for each in tensors):
            return False
        kept = padding != float("-inf")
        return not self.mask_check or bool((kept[:, :-1] | ~kept[:, 1:]).all())


def _why_not_nested(layer: Any) -> str:
    """Why PyTorch computes no nested tensors with this layer."""
    if not isinstance(layer, TransformerEncoderLayer):
        return "encoder_layer was not TransformerEncoderLayer"
    of, attention = "encoder_layer", layer.self_attn
    reasons = {
        f"{of}.norm_first was True": layer.norm_first,
        f"{of}.self_attn.batch_first was not True(use batch_first for better inference performance)": not attention.batch_first,
        f"{of}.self_attn._qkv_same_embed_dim was not True": not attention._qkv_same_embed_dim,
        f"{of}.self_attn was passed bias=False": attention.in_proj_bias is None,
        f"{of}.activation_relu_or_gelu was not True": not layer.activation_relu_or_gelu,
        f"{of}.norm1.eps was not equal to {of}.norm2.eps": layer.norm1.eps != layer.norm2.eps,
        f"{of}.self_attn.num_heads is odd": attention.num_heads % 2 == 1,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


class TransformerDecoder(Module):
    """A stack of decoder layers.

    Args:
        decoder_layer: the layer; the stack has copies of it.
        num_layers: the number of layers.
        norm: a norm of the result, or None.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.TransformerDecoder.html
    """

    __constants__ = ("norm",)

    def __init__(self, decoder_layer: Any, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _clones(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The last layer's result; the arguments are as in `TransformerDecoderLayer.forward`."""
        first: Any = self.layers[0]
        causal = _causal(tgt_mask, tgt_is_causal, _length(tgt, first.self_attn.batch_first))
        output: Any = tgt
        for layer in self.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return output if self.norm is None else self.norm(output)


class Transformer(Module):
    """An encoder and a decoder (A. Vaswani et al., "Attention Is All You Need", 2017).

    Args:
        d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device, dtype:
            as for `TransformerEncoderLayer`.
        num_encoder_layers, num_decoder_layers: the numbers of layers.
        custom_encoder, custom_decoder: modules in place of the stacks.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.Transformer.html
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: _Activation = functional.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        facts = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        more = (batch_first, norm_first, bias, device, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is None:
            layer = TransformerEncoderLayer(*facts, *more)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        self.encoder = custom_encoder
        if custom_decoder is None:
            of = TransformerDecoderLayer(*facts, *more)
            custom_decoder = TransformerDecoder(of, num_decoder_layers, norm())
        self.decoder = custom_decoder
        self._reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoder's result for its input `tgt`, and the encoder's input `src`.

        Args:
            src, tgt: (length, batches, features), or as the layers take it.
            src_mask, tgt_mask, memory_mask: where elements may not attend.
            src_key_padding_mask, tgt_key_padding_mask, memory_key_padding_mask: elements to ignore.
            src_is_causal, tgt_is_causal, memory_is_causal: say whether the masks are causal.

        Raises:
            RuntimeError: the numbers of batches or features do not fit.
        """
        dim = 0 if self.batch_first else 1
        if src.dim() == 3 and src.shape[dim] != tgt.shape[dim]:
            raise RuntimeError("the batch number of src and tgt must be equal")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(
            src,
            mask=src_mask,
            src_key_padding_mask=src_key_padding_mask,
            is_causal=src_is_causal,
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """A causal mask (sz, sz): minus infinity above the diagonal, zero elsewhere."""
        full: Any = torch.full((sz, sz), float("-inf"), dtype=dtype, device=device)
        return torch.triu(full, diagonal=1)

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.dim() > 1:
                init.xavier_uniform_(parameter)
