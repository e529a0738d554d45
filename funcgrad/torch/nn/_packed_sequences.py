"""Sequences packed step by step: the class, which both the recurrent layers and `nn.utils.rnn` need."""

from typing import Any, NamedTuple

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor


class PackedSequence_(NamedTuple):
    """The parts of a `PackedSequence`."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(PackedSequence_):
    """Sequences packed step by step; `pack_padded_sequence` and `pack_sequence` make one.

    Args:
        data: the elements of the first step of all sequences, then those of the second step, and so on.
        batch_sizes: the number of sequences that have each step.
        sorted_indices: the order in which the sequences were sorted by length, or None.
        unsorted_indices: the inverse order.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Any = None,
        sorted_indices: Any = None,
        unsorted_indices: Any = None,
    ) -> "PackedSequence":
        """Put the parts together; see the class."""
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> "PackedSequence":
        """The same sequences with their data in another dtype or on another device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        moved = [
            None if each is None else each.to(data.device)
            for each in (self.sorted_indices, self.unsorted_indices)
        ]
        return type(self)(data, self.batch_sizes, *moved)

    def cpu(self, *args: Any, **kwargs: Any) -> "PackedSequence":
        """The same sequences on the CPU."""
        return self.to("cpu", *args, **kwargs)

    def cuda(self, *args: Any, **kwargs: Any) -> "PackedSequence":
        """The same sequences on a GPU."""
        return self.to("cuda", *args, **kwargs)

    def double(self) -> "PackedSequence":
        """The same sequences in float64."""
        return self.to(dtype=torch.double)

    def float(self) -> "PackedSequence":
        """The same sequences in float32."""
        return self.to(dtype=torch.float)

    def half(self) -> "PackedSequence":
        """The same sequences in float16."""
        return self.to(dtype=torch.half)

    def long(self) -> "PackedSequence":
        """The same sequences in int64."""
        return self.to(dtype=torch.long)

    def int(self) -> "PackedSequence":
        """The same sequences in int32."""
        return self.to(dtype=torch.int)

    def short(self) -> "PackedSequence":
        """The same sequences in int16."""
        return self.to(dtype=torch.short)

    def char(self) -> "PackedSequence":
        """The same sequences in int8."""
        return self.to(dtype=torch.int8)

    def byte(self) -> "PackedSequence":
        """The same sequences in uint8."""
        return self.to(dtype=torch.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data lie on a GPU."""
        return self.data.is_cuda


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The inverse of a permutation; None of None."""
    return None if permutation is None else permutation.argsort()


for _each in (PackedSequence_, PackedSequence, invert_permutation):
    _each.__module__ = "funcgrad.torch.nn.utils.rnn"
