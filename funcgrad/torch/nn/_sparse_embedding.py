"""`embedding` and `embedding_bag`. With `sparse=True` the gradient of the table is a sparse tensor of the rows that were used.

The rows are a leaf of their own then; `_autograd/aside.py` brings its gradient to the table.
"""

from typing import Any

import numpy as np

from funcgrad import engine
from funcgrad.engine import local
from funcgrad.engine.values import is_tracer
from funcgrad.torch._autograd import aside
from funcgrad.torch._ops import embedding as _dense
from funcgrad.torch._ops.creation import tensor
from funcgrad.torch._ops.row import Array, Index, Row, arguments_of
from funcgrad.torch._tensor.tensor import Tensor

__all__ = ["embedding", "embedding_bag"]


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of a table.

    Args:
        input: the numbers of the rows, of int32 or int64.
        weight: the table, of shape (rows, features).
        padding_idx: a row that gets no gradient.
        max_norm: rows that are used and are longer are shrunk to this norm, in place.
        norm_type: of `max_norm`.
        scale_grad_by_freq: whether gradients are divided by how often their row is used.
        sparse: whether the gradient of `weight` is a sparse tensor of the rows that were used. `weight` is a leaf then. Inside
            transformations, compiled steps and `funcgrad.pure` the gradient is dense.

    Raises:
        IndexError: there is no such row.
        RuntimeError: the dtypes or shapes do not fit.
        AssertionError: `padding_idx` is no row.
        NotImplementedError: the table is a result.

    >>> import funcgrad.torch as torch
    >>> table = torch.eye(3, requires_grad=True)
    >>> torch.nn.functional.embedding(torch.tensor([1, 1]), table, sparse=True).sum().backward()
    >>> table.grad.coalesce().indices(), table.grad.coalesce().values()
    (tensor([[1]]), tensor([[2., 2., 2.]]))
    """
    options = padding_idx, max_norm, norm_type, scale_grad_by_freq
    if not _is_sparse(sparse, weight, scale_grad_by_freq):
        return _dense.embedding(input, weight, *options)
    given: Any = input
    numbers = given.reshape(-1).clone()
    with engine.grad_mode(False):
        rows = _dense.embedding(numbers, weight, *options)
    padding = None if padding_idx is None else padding_idx % weight.shape[0]
    return _ROWS(_leaf(weight, rows, numbers, padding), input)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of bags of rows of a table.

    Args:
        input: the numbers of the rows: of shape (bags, size), or all bags one after another.
        weight: the table, of shape (rows, features).
        offsets: where each bag begins, for bags one after another.
        max_norm, norm_type, scale_grad_by_freq, sparse: as for `embedding`.
        mode: "mean", "sum" or "max".
        per_sample_weights: a factor for each row that is used, with "sum".
        include_last_offset: whether the last offset is the end of the last bag.
        padding_idx: a row that counts for nothing.

    Raises:
        ValueError, RuntimeError: the arguments do not fit.
        NotImplementedError: factors for another mode; or a sparse gradient of a table that is a result.
    """
    options = offsets, max_norm, norm_type, scale_grad_by_freq, mode, sparse
    more = per_sample_weights, include_last_offset, padding_idx
    table, given, bags, factors, *rest = _dense.bags_of(input, weight, *options, *more)
    if not _is_sparse(sparse, table, scale_grad_by_freq):
        return _dense.BAGS(table, given, bags, factors, *rest)
    count, mode, padding, _ = rest
    if padding >= 0:
        kept = given != padding
        given, bags = given[kept], bags[kept]
        factors = None if factors is None else factors[kept]
    with engine.grad_mode(False):
        rows = table[given]
    places = tensor(np.arange(len(given)))
    rows = _leaf(table, rows, given.clone(), None)
    return _dense.BAGS(rows, places, bags, factors, count, mode, -1, False)


def _is_sparse(sparse: bool, table: Any, scaled: bool) -> bool:
    """Whether the table's gradient is to be sparse.

    Raises:
        RuntimeError: the gradient is to be scaled.
        NotImplementedError: the table is a result.
    """
    recorder = local.recorder
    wanted = sparse and isinstance(table, Tensor) and table.requires_grad
    # Inside a transformation, a compiled step or a pure function the derivative is the transformation's, and dense.
    if not wanted or not recorder.grad_enabled or recorder.watch is not None or _is_traced(table):
        return False
    if scaled:
        raise RuntimeError(
            "embedding_backward: scale_grad_by_freq not supported with sparse gradients"
        )
    if not table.is_leaf:
        raise NotImplementedError(
            "sparse gradients: here a table that is a leaf gets one. Leave out sparse=True"
        )
    return True


def _is_traced(weight: Tensor) -> bool:
    return is_tracer(getattr(weight._storage.read(), "array", None))


def _leaf(table: Any, rows: Any, numbers: Any, padding: int | None) -> Any:
    """The rows as a leaf whose gradient is the table's."""
    rows.requires_grad_()
    aside.follow(table, rows, numbers, padding)
    return rows


def _shaped(rows: Array, input: Index) -> Any:
    return rows.reshape((*input.shape, rows.shape[-1]))


_ROWS = Row("embedding_rows", "EmbeddingBackward0", _shaped, arguments_of(_shaped))
