"""`embedding` with `sparse=True`: the gradient of the table is a sparse tensor of the rows that were used.

The rows are a leaf of their own. What it gathers is added to the table's `.grad` as soon as it is there.
"""

from functools import partial
from typing import Any

from funcgrad import engine
from funcgrad.engine import local
from funcgrad.engine.values import is_tracer
from funcgrad.torch._autograd.hooks import accumulated
from funcgrad.torch._ops import embedding as _dense
from funcgrad.torch._ops.row import Array, Index, Row, arguments_of
from funcgrad.torch._sparse.tensor import SparseTensor
from funcgrad.torch._tensor.tensor import Tensor

__all__ = ["embedding"]


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
        sparse: whether `weight.grad` becomes a sparse tensor of the rows that were used. `weight` is a leaf then. Inside
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
    wanted = sparse and isinstance(weight, Tensor) and weight.requires_grad
    # Inside a transformation, a compiled step or a pure function the derivative is the transformation's, and dense.
    recorder = local.recorder
    if not wanted or not recorder.grad_enabled or recorder.watch is not None or _is_traced(weight):
        return _dense.embedding(input, weight, *options)
    if scale_grad_by_freq:
        raise RuntimeError(
            "embedding_backward: scale_grad_by_freq not supported with sparse gradients"
        )
    if not weight.is_leaf:
        raise NotImplementedError(
            "sparse gradients: here a leaf gets one, by backward(). Leave out sparse=True"
        )
    given: Any = input
    numbers = given.reshape(-1).clone()
    with engine.grad_mode(False):
        rows: Any = _dense.embedding(numbers, weight, *options)
    node: Any = weight._edge()[0]
    node.aside = True
    rows.requires_grad_()
    if padding_idx is not None:
        padding_idx %= weight.shape[0]
    rows.register_post_accumulate_grad_hook(partial(_add, weight, numbers, padding_idx))
    return _ROWS(rows, input)


def _is_traced(weight: Tensor) -> bool:
    return is_tracer(getattr(weight._storage.read(), "array", None))


def _shaped(rows: Array, input: Index) -> Any:
    return rows.reshape((*input.shape, rows.shape[-1]))


_ROWS = Row("embedding_rows", "EmbeddingBackward0", _shaped, arguments_of(_shaped))


def _add(weight: Any, numbers: Any, padding: int | None, rows: Any) -> None:
    """Add what the rows gathered to the table's gradient.

    Raises:
        NotImplementedError: a graph of the gradient is wanted, or the table has hooks.
    """
    gradient, rows.grad = rows.grad, None
    if local.recorder.grad_enabled or weight._backward_hooks:
        raise NotImplementedError(
            "sparse gradients have no graph here, and no hooks of tensors see them. Leave out sparse=True"
        )
    numbers = numbers.long()
    if padding is not None:
        kept = numbers != padding
        numbers, gradient = numbers[kept], gradient[kept]
    made = SparseTensor(numbers[None], gradient, tuple(weight.shape), False)
    weight.grad = made if weight.grad is None else weight.grad + made
    accumulated(weight)
