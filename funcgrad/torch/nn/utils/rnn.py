"""Sequences of several lengths: padded to one length, or packed step by step.

Behaviour: https://pytorch.org/docs/stable/nn.html#utility-functions-in-other-modules
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn._packed_sequences import PackedSequence, invert_permutation

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


def __dir__() -> list[str]:
    return __all__


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack sequences that were padded to one length.

    Args:
        input: (steps, batches, ...), or with `batch_first` (batches, steps, ...).
        lengths: the length of each sequence.
        batch_first: whether the batches come first.
        enforce_sorted: whether the sequences must come from the longest to the shortest; if not, they are sorted.

    Raises:
        RuntimeError: a length is not allowed.

    >>> import funcgrad.torch as torch
    >>> packed = pack_padded_sequence(torch.tensor([[1.0, 3.0], [2.0, 0.0]]), [2, 1])
    >>> packed.data, packed.batch_sizes
    (tensor([1., 3., 2.]), tensor([2, 1]))
    """
    lengths = torch.as_tensor(lengths).to(torch.int64)
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = torch.sort(lengths, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    if batch_first:
        input = input.transpose(0, 1)
    of = lengths.tolist()
    _check_lengths(input, of)
    sizes = (np.asarray(of)[None, :] > np.arange(of[0])[:, None]).sum(1)
    batches = input.shape[1]
    at = np.concatenate([k * batches + np.arange(n) for k, n in enumerate(sizes)])
    flat = input.reshape(-1, *input.shape[2:]).index_select(0, torch.tensor(at))
    return PackedSequence(flat, torch.tensor(sizes), sorted_indices, None)


def _check_lengths(input: Any, lengths: list[int]) -> None:
    if not input.numel():
        raise RuntimeError("Cannot pack empty tensors.")
    if len(lengths) != input.shape[1]:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} (batch_size={input.shape[1]})"
        )
    if min(lengths) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if any(a < b for a, b in pairwise(lengths)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do "
            "not need ONNX exportability."
        )
    if lengths[0] > input.shape[0]:
        raise RuntimeError(
            f"Expected `lengths` to be at most {input.shape[0]}, the number of steps, but got {lengths[0]}"
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Pad packed sequences to one length.

    Args:
        sequence: the packed sequences.
        batch_first: whether the batches come first in the result.
        padding_value: the element that fills up.
        total_length: the length to pad to; the longest sequence's if None.

    Returns:
        The padded sequences, and their lengths.

    Raises:
        ValueError: `total_length` is less than the longest sequence.
    """
    sizes = np.asarray(sequence.batch_sizes.tolist())
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    data, batches = sequence.data, int(sizes[0])
    # The element after the last is the padding.
    at = np.full((steps, batches), data.shape[0])
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    for k, (first, n) in enumerate(zip(start, sizes, strict=True)):
        at[k, :n] = first + np.arange(n)
    filled = torch.cat([data, torch.full_like(data[:1], padding_value)])
    padded = filled.index_select(0, torch.tensor(at.ravel())).view(steps, batches, *data.shape[1:])
    lengths = torch.tensor((sizes[:, None] > np.arange(batches)[None, :]).sum(0))
    padded = padded.transpose(0, 1) if batch_first else padded
    if sequence.unsorted_indices is None:
        return padded, lengths
    order = sequence.unsorted_indices
    return padded.index_select(0 if batch_first else 1, order), lengths[order]


def pad_sequence(
    sequences: Iterable[Any],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences of several lengths as one tensor, padded to the longest.

    Args:
        sequences: tensors (length, ...).
        batch_first: whether the batches come first in the result.
        padding_value: the element that fills up.
        padding_side: "right" or "left".

    Raises:
        RuntimeError: there are no sequences, or the side is neither of the two.

    >>> import funcgrad.torch as torch
    >>> pad_sequence([torch.tensor([1, 2]), torch.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    if not isinstance(sequences, (Iterable, Tensor)):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    many: Sequence[Any] = tuple(sequences)
    if not many:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    longest = max(each.size(0) for each in many)
    rest = many[0].ndim - 1
    around = [(0, longest - each.size(0)) for each in many]
    if padding_side == "left":
        around = [pair[::-1] for pair in around]
    padded = [
        torch.constant_pad_nd(each, [0, 0] * rest + list(pair), padding_value)
        for each, pair in zip(many, around, strict=True)
    ]
    return torch.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded tensor, each with its own length."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [each[: int(length)] for each, length in zip(padded_sequences, lengths, strict=True)]


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences of several lengths; see `pack_padded_sequence`."""
    lengths = torch.as_tensor([each.size(0) for each in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a `PackedSequence`, each with its own length."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
