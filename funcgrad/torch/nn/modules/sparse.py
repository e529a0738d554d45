"""Embeddings: rows of a trained table.

Behaviour: https://pytorch.org/docs/stable/nn.html#sparse-layers
"""

from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._ops.embedding import check_padding
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional, init
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


def __dir__() -> list[str]:
    return __all__


class _Table(Module):
    """A trained table of shape (num_embeddings, embedding_dim); the row `padding_idx` begins as zeros."""

    weight: Any

    def _make(self, weight: Tensor | None, trained: bool, device: Any, dtype: Any) -> None:
        size = [self.num_embeddings, self.embedding_dim]
        if weight is None:
            empty = torch.empty(size, device=device, dtype=dtype)
            self.weight = Parameter(empty, requires_grad=trained)
            self.reset_parameters()
        elif list(weight.shape) != size:
            raise AssertionError("Shape of weight does not match num_embeddings and embedding_dim")
        else:
            self.weight = Parameter(weight, requires_grad=trained)

    def reset_parameters(self) -> None:
        """Draw the initial values."""
        init.normal_(self.weight)
        self._fill_padding_idx_with_zero()

    def _fill_padding_idx_with_zero(self) -> None:
        if self.padding_idx is not None:
            with torch.no_grad():
                self.weight[self.padding_idx].fill_(0)


class Embedding(_Table):
    """Rows of a trained table.

    Args:
        num_embeddings, embedding_dim: the table's rows and columns.
        padding_idx: a row that stays zero.
        max_norm, norm_type, scale_grad_by_freq, sparse: see `functional.embedding`.
        _weight: the table, if it is not to be drawn.
        _freeze: whether it is not trained.
        device, dtype: of the table.

    Raises:
        AssertionError: `padding_idx` is no row, or the table has another shape.

    >>> import funcgrad.torch as torch
    >>> torch.nn.Embedding(10, 3)(torch.tensor([1, 2, 1])).shape
    torch.Size([3, 3])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.Embedding.html
    """

    __constants__ = (
        *("num_embeddings", "embedding_dim", "padding_idx", "max_norm"),
        *("norm_type", "scale_grad_by_freq", "sparse"),
    )

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = check_padding(padding_idx, num_embeddings)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self._make(_weight, not _freeze, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The rows."""
        return functional.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        """Its sizes, and the options that are not the default."""
        shown = [f"{self.num_embeddings}, {self.embedding_dim}"]
        defaults = {"padding_idx": None, "max_norm": None, "norm_type": 2, "scale_grad_by_freq": False, "sparse": False}  # fmt: skip
        held = vars(self)
        shown += [f"{name}={held[name]}" for name, usual in defaults.items() if held[name] != usual]
        return ", ".join(shown)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> "Embedding":
        """An embedding of a given table, which is not trained if `freeze`.

        Raises:
            AssertionError: the table is no matrix.
        """
        _check_matrix(embeddings)
        return cls(
            embeddings.shape[0],
            embeddings.shape[1],
            _weight=embeddings,
            _freeze=freeze,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
        )


class EmbeddingBag(_Table):
    """Sums, means or maxima of bags of rows of a trained table.

    Args:
        num_embeddings, embedding_dim: the table's rows and columns.
        max_norm, norm_type, scale_grad_by_freq, mode, sparse: see `functional.embedding_bag`.
        _weight: the table, if it is not to be drawn.
        include_last_offset, padding_idx: see `functional.embedding_bag`.
        device, dtype: of the table.

    Raises:
        AssertionError: `padding_idx` is no row, or the table has another shape.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html
    """

    __constants__ = (
        *("num_embeddings", "embedding_dim", "max_norm", "norm_type", "scale_grad_by_freq"),
        *("mode", "sparse", "include_last_offset", "padding_idx"),
    )

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.padding_idx = check_padding(padding_idx, num_embeddings, "padding_idx")
        self._make(_weight, True, device, dtype)
        self.mode, self.sparse = mode, sparse
        self.include_last_offset = include_last_offset

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        """One row for each bag."""
        return functional.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """Its sizes, the mode, and the options that are not the default."""
        held = {name: repr(each) for name, each in vars(self).items()}
        shown = [held["num_embeddings"], held["embedding_dim"]]
        if self.max_norm is not None:
            shown.append(f"max_norm={held['max_norm']}")
        if self.norm_type != 2:
            shown.append(f"norm_type={held['norm_type']}")
        if self.scale_grad_by_freq is not False:
            shown.append(f"scale_grad_by_freq={held['scale_grad_by_freq']}")
        shown.append(f"mode={held['mode']}")
        if self.padding_idx is not None:
            shown.append(f"padding_idx={held['padding_idx']}")
        return ", ".join(shown)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> "EmbeddingBag":
        """Bags of rows of a given table, which is not trained if `freeze`.

        Raises:
            AssertionError: the table is no matrix.
        """
        _check_matrix(embeddings)
        made = cls(
            embeddings.shape[0],
            embeddings.shape[1],
            _weight=embeddings,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        made.weight.requires_grad = not freeze
        return made


def _check_matrix(embeddings: Tensor) -> None:
    if embeddings.ndim != 2:
        raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
