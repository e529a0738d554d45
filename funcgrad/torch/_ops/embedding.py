"""Rows of a table, taken by index: `embedding`, bags of rows, and one-hot vectors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import grad_mode
from funcgrad.torch._levels.refusals import DYNAMIC_SHAPE
from funcgrad.torch._ops.index_put import elements_to_check, first_outside
from funcgrad.torch._ops.row import SAME, Array, Index, Row, arguments_of
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor, concrete, place, tensor_of
from funcgrad.torch._types.dtypes import int64
from funcgrad.torch._types.warning import warn

_stop = jax.lax.stop_gradient


# ------------------------------------------------------------------------------------------- embedding


def _counts(indices: Any, rows: int) -> Any:
    """How often the row of each index is used."""
    return jnp.zeros(rows, np.int64).at[indices.reshape(-1)].add(1)[indices]


def _taken(weight: Array, indices: Index, padding_idx: int, scale_grad_by_freq: bool) -> Any:
    found = jnp.take(weight, indices, axis=0, mode="clip")
    passing = jnp.ones((), weight.dtype)
    if scale_grad_by_freq:
        passing = (1 / _counts(indices, weight.shape[0]))[..., None].astype(weight.dtype)
    if padding_idx >= 0:
        passing = jnp.where((indices == padding_idx)[..., None], 0, passing)
    if scale_grad_by_freq or padding_idx >= 0:
        still = _stop(found)
        found = still + passing * (found - still)
    return found


def _check(weight: Tensor, indices: Tensor, padding_idx: int, scale_grad_by_freq: bool) -> None:
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    check_indices(indices)
    if first_outside(indices, 0, weight.shape[0]) is not None:
        raise IndexError("index out of range in self")


def check_indices(indices: Tensor) -> None:
    """Check the dtype of indices into a table.

    Raises:
        RuntimeError: they are neither int32 nor int64.
    """
    if indices.dtype.name not in ("int32", "int64"):
        named = indices.dtype.legacy_name
        named = "CPUBoolType" if indices.dtype.name == "bool" else named
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"{named} instead (while checking arguments for embedding)"
        )


_EMBEDDING = Row(
    "embedding",
    "EmbeddingBackward0",
    _taken,
    arguments_of(_taken),
    dtype=SAME,
    prepare=_check,
    saves="indices",
)


def _renormed(weight: Array, indices: Index, max_norm: float, norm_type: float) -> Any:
    used = jnp.zeros(weight.shape[0], bool).at[indices.reshape(-1)].set(True)
    norms = jnp.linalg.norm(weight, norm_type, axis=1)
    scale = jnp.where(used & (norms > max_norm), max_norm / (norms + 1e-7), 1)
    return weight * scale[:, None].astype(weight.dtype)


_RENORM = Row("embedding_renorm_.rows", "EmbeddingRenormBackward0", _renormed, arguments_of(_renormed))  # fmt: skip


def renorm(weight: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> None:
    """Shrink the rows that are used to a norm, in place."""
    with grad_mode(False):
        _RENORM.stored(weight, indices, float(max_norm), float(norm_type))


def check_padding(padding_idx: int | None, rows: int, words: str = "Padding_idx") -> int | None:
    """The number of a row counted from the front; None for none.

    Raises:
        AssertionError: there is no such row.
    """
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise AssertionError(f"{words} must be within num_embeddings")
    return padding_idx % rows


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Tensor:
    """Rows of a table. `nn/_sparse_embedding.py` tells of the arguments; the gradient is dense."""
    for k, (name, each) in enumerate((("weight", weight), ("indices", input)), 1):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"embedding(): argument '{name}' (position {k}) must be Tensor, not {type(each).__name__}"
            )
    padding = check_padding(padding_idx, weight.shape[0]) if padding_idx is not None else -1
    if max_norm is not None:
        _check(weight, input, -1, False)
        renorm(weight, input, max_norm, norm_type)
    return _EMBEDDING(weight, input, padding, bool(scale_grad_by_freq))


# ------------------------------------------------------------------------------------------- bags


def _bags(
    weight: Array,
    indices: Index,
    bags: Index,
    per_sample_weights: Array = None,
    count: int = 0,
    mode: str = "mean",
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
) -> Any:
    rows = _taken(weight, indices, -1, scale_grad_by_freq)
    kept = indices != padding_idx
    if mode == "max":
        lowest = jnp.where(kept[:, None], rows, -jnp.inf)
        best = jax.ops.segment_max(lowest, bags, count)
        # The first largest one has the gradient.
        order = jnp.arange(rows.shape[0])[:, None]
        first = jax.ops.segment_min(jnp.where(lowest == best[bags], order, rows.shape[0]), bags, count)  # fmt: skip
        chosen = order == first[bags]
        return jax.ops.segment_sum(jnp.where(chosen & kept[:, None], rows, 0), bags, count)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[:, None]
    total = jax.ops.segment_sum(jnp.where(kept[:, None], rows, 0), bags, count)
    if mode == "sum":
        return total
    sizes = jax.ops.segment_sum(kept.astype(weight.dtype), bags, count)
    return total / jnp.maximum(sizes, 1)[:, None]


BAGS = Row("embedding_bag", "EmbeddingBagBackward0", _bags, arguments_of(_bags), saves="indices")


def bags_of(
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
) -> list[Any]:
    """The arguments of `BAGS`, of those of `embedding_bag`, which tells of them and of the errors."""
    if weight.dtype is int64 and input.dtype.is_floating_point:
        warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
            "deprecated, and should now be `embedding_bag(input, weight, ...)`."
        )
        input, weight = weight, input
    given: Any = input
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the same "
            f"shape as the input ({input.shape})"
        )
    if not weight.ndim == 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    if given.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
        count, size = given.shape
        bags = np.repeat(np.arange(count), size)
        given = given.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = FUNCTIONS["reshape"](per_sample_weights, (-1,))
    elif given.ndim == 1:
        count, bags = _from_offsets(given, offsets, include_last_offset)
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {given.ndim}")  # fmt: skip
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got "
            f"mode='{mode}'). Please open a feature request on GitHub."
        )
    padding = -1
    if padding_idx is not None:
        padding = _padding_of_bags(padding_idx, weight.shape[0])
    check_indices(given)
    elements = elements_to_check(given)
    if elements is not None:
        for place_of in np.flatnonzero((elements < 0) | (elements >= weight.shape[0]))[:1]:
            raise RuntimeError(
                f"Index {place_of} of input takes value {elements[place_of]} which is not in the valid range [0, "
                f"{weight.shape[0]})"
            )
    if max_norm is not None:
        renorm(weight, given, max_norm, norm_type)
    numbers = tensor_of(place(bags))
    return [weight, given, numbers, per_sample_weights, int(count), mode, padding, bool(scale_grad_by_freq)]  # fmt: skip


def _padding_of_bags(padding_idx: int, rows: int) -> int:
    if not -rows <= padding_idx < rows:
        raise RuntimeError(
            f"padding_idx must be within the number of embeddings, -{rows} through {rows - 1}, but got {padding_idx}"
        )
    return padding_idx % rows


def _from_offsets(input: Tensor, offsets: Tensor | None, ends: bool) -> tuple[int, np.ndarray]:
    """The number of bags, and the bag of each index."""
    if offsets is None or offsets.ndim != 1:
        got = " but got None" if offsets is None else ""
        raise ValueError(f"offsets has to be a 1D Tensor{got}")
    starts = np.asarray(concrete(offsets._array(), DYNAMIC_SHAPE.format("embedding_bag")))
    length = input.shape[0]
    if starts.size and starts[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, got "
            f"{starts[0]}"
        )
    if starts.size and starts[-1] > length:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {length} but got offsets[-1] of {starts[-1]}"
        )
    starts = starts[:-1] if ends else starts
    return len(starts), np.searchsorted(starts, np.arange(length), side="right") - 1


# ------------------------------------------------------------------------------------------- one-hot vectors


def _one_hot(tensor: Array, num_classes: int) -> Any:
    return jax.nn.one_hot(tensor, num_classes, dtype=np.int64)


_ONE_HOT = Row("one_hot", "NotImplemented", _one_hot, arguments_of(_one_hot))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Vectors with a one at the place of each class, and zeros.

    Args:
        tensor: the classes, of int64.
        num_classes: how many there are; one more than the largest if -1.

    Raises:
        RuntimeError: a class is negative or too large, or the dtype is another.

    >>> import funcgrad.torch as torch
    >>> torch.nn.functional.one_hot(torch.tensor([1, 0]))
    tensor([[0, 1],
            [1, 0]])
    """
    if tensor.dtype is not int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if not tensor.numel() and num_classes <= 0:
        raise RuntimeError(
            "Can not infer total number of classes from empty tensor."
            if num_classes == -1
            else "num_classes must be positive"
        )
    elements = elements_to_check(tensor)
    if num_classes == -1 and elements is None:
        elements = np.asarray(concrete(tensor._array(), DYNAMIC_SHAPE.format("one_hot")))
    if elements is not None and elements.size:
        if elements.min() < 0:
            raise RuntimeError("Class values must be non-negative.")
        if num_classes == -1:
            num_classes = int(elements.max()) + 1
        elif elements.max() >= num_classes:
            raise RuntimeError("Class values must be smaller than num_classes.")
    return _ONE_HOT(tensor, int(num_classes))
