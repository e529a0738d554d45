"""`AdaptiveLogSoftmaxWithLoss`: a softmax over many classes, of which the rare ones are reached through clusters."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn.modules.container import ModuleList, Sequential
from funcgrad.torch.nn.modules.linear import Linear
from funcgrad.torch.nn.modules.module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


def __dir__() -> list[str]:
    return __all__


class _Output(NamedTuple):
    output: Tensor
    loss: Tensor


_Output.__name__ = "_ASMoutput"


class AdaptiveLogSoftmaxWithLoss(Module):
    """The log probabilities of targets, and their loss. Classes are sorted by frequency, the frequent ones first.

    Args:
        in_features: the length of an input.
        n_classes: the number of classes.
        cutoffs: where clusters begin; classes before the first are in no cluster.
        div_value: each cluster's inner length is that much smaller than the last.
        head_bias: whether the head has a bias.
        device, dtype: of the parameters.

    Raises:
        ValueError: `cutoffs` is empty, not sorted, or out of range.

    Source: Grave et al., "Efficient softmax approximation for GPUs", 2017.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        given = list(cutoffs)
        if not given:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        inside = min(given) > 0 and max(given) < n_classes
        if given != sorted(set(given)) or not inside or any(int(c) != c for c in given):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
                "value is between 1 and n_classes-1"
            )
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs, self.div_value, self.head_bias = [*given, n_classes], div_value, head_bias
        self.shortlist_size, self.n_clusters = given[0], len(given)
        self.head_size = self.shortlist_size + self.n_clusters
        more = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **more)
        self.tail = ModuleList()
        for k, (low, high) in enumerate(pairwise(self.cutoffs), start=1):
            inner = int(in_features // div_value**k)
            first = Linear(in_features, inner, bias=False, **more)
            self.tail.append(Sequential(first, Linear(inner, high - low, bias=False, **more)))

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        for each in self.modules():
            if isinstance(each, Linear):
                each.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> _Output:
        """The log probability of each target, and minus their mean.

        Args:
            input_: (batch, in_features), or without the batch.
            target_: classes, (batch,), or a single one.

        Raises:
            RuntimeError: shapes do not fit, or a class is out of range.
        """
        dims, found = target_.dim(), input_.dim()
        if dims > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if dims == 1 and input_.size(0) != target_.size(0):
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        if found != dims + 1:
            raise RuntimeError(
                f"{dims}D target tensor expects {dims + 1}D input tensors, but found inputs with size {input_.size()}"
            )
        input, target = (input_, target_) if dims else (input_.unsqueeze(0), target_.unsqueeze(0))
        if ((target < 0) | (target >= self.n_classes)).any():
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range [{target.min().item()}, "
                f"{target.max().item()}] were found. "
            )
        column, output = target, input.new_zeros(len(target))
        for k, (low, high) in enumerate(pairwise(self.cutoffs)):
            rows = ((target >= low) & (target < high)).nonzero().flatten()
            if not len(rows):
                continue  # a cluster without targets has no gradient
            column = column.index_fill(0, rows, self.shortlist_size + k)
            inner = self.tail[k](input.index_select(0, rows)).log_softmax(1)
            chosen = inner.gather(1, (target[rows] - low).unsqueeze(1)).squeeze(1)
            output = output.index_add(0, rows, chosen)
        head = self.head(input).log_softmax(1).gather(1, column.unsqueeze(1)).squeeze(1)
        output = output + head
        return _Output(output if dims else output.squeeze(0), -output.mean())

    def log_prob(self, input: Tensor) -> Any:
        """The log probabilities of all classes, (batch, n_classes)."""
        head = self.head(input).log_softmax(1)
        clusters = [
            each(input).log_softmax(1) + head[:, [self.shortlist_size + k]]
            for k, each in enumerate(self.tail)
        ]
        return torch.cat([head[:, : self.shortlist_size], *clusters], 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most likely class of each input, if the head chooses a cluster that of all classes."""
        head = self.head(input).argmax(1)
        return torch.where(head < self.shortlist_size, head, self.log_prob(input).argmax(1))
