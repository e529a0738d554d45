"""Normalisation of batches.

Behaviour: https://pytorch.org/docs/stable/nn.html#normalization-layers
"""

from typing import Any, ClassVar, NoReturn

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional, init
from funcgrad.torch.nn.modules.lazy import LazyModuleMixin
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.parameter import (
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
    is_lazy,
)

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


def __dir__() -> list[str]:
    return __all__


class _NormBase(Module):
    """The parameters and running statistics of a normalisation of channels."""

    _version = 2
    __constants__ = ("track_running_stats", "momentum", "eps", "num_features", "affine")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            made = torch.empty(num_features, device=device, dtype=dtype) if wanted else None
            self.register_parameter(name, None if made is None else Parameter(made))
        running = {
            "running_mean": lambda: torch.zeros(num_features, device=device, dtype=dtype),
            "running_var": lambda: torch.ones(num_features, device=device, dtype=dtype),
            "num_batches_tracked": lambda: torch.tensor(0, dtype=torch.long, device=device),
        }
        for name, make in running.items():
            self.register_buffer(name, make() if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Begin the running statistics anew."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Begin anew: weight 1, bias 0."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Its arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *more: Any
    ) -> None:
        version = local_metadata.get("version", None)
        if (version is None or version < 2) and self.track_running_stats:
            known = self.num_batches_tracked
            state_dict.setdefault(
                f"{prefix}num_batches_tracked",
                torch.tensor(0, dtype=torch.long) if known is None else known,
            )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *more)


class _BatchNorm(_NormBase):
    """Normalise the channels of a batch; its subclasses say of which tensors."""

    _ranks: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in self._ranks:
            wanted = " or ".join(f"{rank}D" for rank in self._ranks)
            raise ValueError(f"expected {wanted} input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        """The normalised batch; in training, the running statistics move towards the batch's."""
        self._check_input_dim(input)
        part = 0.0 if self.momentum is None else self.momentum
        tracked = self.training and self.track_running_stats
        if tracked and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the mean of all batches so far
                part = 1.0 / float(self.num_batches_tracked)
        running = not self.training or self.track_running_stats
        return functional.batch_norm(
            input,
            self.running_mean if running else None,
            self.running_var if running else None,
            self.weight,
            self.bias,
            self.training or (self.running_mean is None and self.running_var is None),
            part,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Normalise each feature of a batch of vectors, or each channel of a batch of sequences.

    Args:
        num_features: the number of features or channels.
        eps: added to the variance.
        momentum: the part of a batch's statistics in the new running ones; None for the mean of all batches.
        affine: whether to learn a weight and a bias for each channel.
        track_running_stats: whether to keep running statistics, which normalise in evaluation.
        device, dtype: of the parameters and buffers.
        bias: whether there is one.

    Raises:
        ValueError: the input has another number of dimensions.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
    """

    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalise each channel of a batch of images; the arguments are as for `BatchNorm1d`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
    """

    _ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalise each channel of a batch of volumes; the arguments are as for `BatchNorm1d`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm3d.html
    """

    _ranks = (5,)


class SyncBatchNorm(Module):
    """Refused: batches shared out over processes, and `torch.distributed` has one.

    Raises:
        NotImplementedError: always.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "SyncBatchNorm brings statistics of several processes together, and torch.distributed has one here: use "
            "BatchNorm1d, BatchNorm2d or BatchNorm3d, and let JAX share out the batch"
        )

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> NoReturn:
        """Refused.

        Raises:
            NotImplementedError: always.
        """
        cls()
        raise AssertionError


# ------------------------------------------------------------------------------------------- lazy ones


class _LazyNormBase(LazyModuleMixin):
    """A normalisation whose `num_features` are the channels of its first input."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False, device, dtype)
        of: Any = self
        of.affine, of.track_running_stats = affine, track_running_stats
        if affine:
            of.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                of.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            of.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            of.running_var = UninitializedBuffer(device=device, dtype=dtype)
            of.num_batches_tracked = torch.tensor(0, dtype=torch.long, device=device)

    def reset_parameters(self: Any) -> None:
        """Begin anew, once the shapes are known."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self: Any, input: Tensor) -> None:
        """Take the shapes from the first input."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        for name in ("weight", "bias", "running_mean", "running_var"):
            if is_lazy(getattr(self, name)):
                getattr(self, name).materialize((self.num_features,))
        self.reset_parameters()


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """A `BatchNorm1d` whose `num_features` are the channels of its first input; the other arguments are the same.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm1d.html
    """

    cls_to_become = BatchNorm1d
    _ranks = BatchNorm1d._ranks


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """A `BatchNorm2d` whose `num_features` are the channels of its first input; the other arguments are the same.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm2d.html
    """

    cls_to_become = BatchNorm2d
    _ranks = BatchNorm2d._ranks


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """A `BatchNorm3d` whose `num_features` are the channels of its first input; the other arguments are the same.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm3d.html
    """

    cls_to_become = BatchNorm3d
    _ranks = BatchNorm3d._ranks
