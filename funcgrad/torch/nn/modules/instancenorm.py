"""Normalisation of instances.

Behaviour: https://pytorch.org/docs/stable/nn.html#normalization-layers
"""

import warnings
from typing import Any, ClassVar

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional
from funcgrad.torch.nn.modules.batchnorm import _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


def __dir__() -> list[str]:
    return __all__


class _InstanceNorm(_NormBase):
    """Normalise the channels of each instance; its subclasses say of which tensors."""

    _rank: ClassVar[int]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _get_no_batch_dim(self) -> int:
        return self._rank

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (self._rank, self._rank + 1):
            raise ValueError(
                f"expected {self._rank}D or {self._rank + 1}D input (got {input.dim()}D input)"
            )

    def _apply_instance_norm(self, input: Tensor) -> Tensor:
        return functional.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        if local_metadata.get("version", None) is None and not self.track_running_stats:
            found = [n for n in ("running_mean", "running_var") if f"{prefix}{n}" in state_dict]
            if found:
                names, klass = " and ".join(f'"{prefix}{n}"' for n in found), type(self).__name__
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {names} for {klass} with track_running_stats=False. If "
                    "state_dict is a checkpoint saved before 0.4.0, this may be expected because "
                    f"{klass} does not track running stats by default since 0.4.0. Please remove these keys from "
                    "state_dict. If the running stats are actually needed, instead set track_running_stats=True in "
                    f"{klass} to enable them. See the documentation of {klass} for details."
                )
                for name in found:
                    state_dict.pop(f"{prefix}{name}")
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def forward(self, input: Tensor) -> Tensor:
        """The normalised instances."""
        self._check_input_dim(input)
        dim = input.dim() - self._rank
        if input.shape[dim] != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={dim} to match num_features ({self.num_features}), but got: "
                    f"{input.shape[dim]}."
                )
            warnings.warn(
                f"input's size at dim={dim} does not match num_features. You can silence this warning by not passing in "
                "num_features, which is not used because affine=False",
                stacklevel=2,
            )
        if input.dim() == self._rank:
            made: Any = self._apply_instance_norm(input.unsqueeze(0))
            return made.squeeze(0)
        return self._apply_instance_norm(input)


class InstanceNorm1d(_InstanceNorm):
    """Normalise each channel of each sequence by itself.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: the part of a batch's statistics in the new running ones.
        affine: whether to learn a weight and a bias for each channel.
        track_running_stats: whether to keep running statistics, which normalise in evaluation.
        device, dtype: of the parameters and buffers.
        bias: whether there is one.

    Raises:
        ValueError: the input has another number of dimensions or of channels.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html
    """

    _rank = 2


class InstanceNorm2d(_InstanceNorm):
    """Normalise each channel of each image by itself.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: the part of a batch's statistics in the new running ones.
        affine: whether to learn a weight and a bias for each channel.
        track_running_stats: whether to keep running statistics, which normalise in evaluation.
        device, dtype: of the parameters and buffers.
        bias: whether there is one.

    Raises:
        ValueError: the input has another number of dimensions or of channels.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html
    """

    _rank = 3


class InstanceNorm3d(_InstanceNorm):
    """Normalise each channel of each volume by itself.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: the part of a batch's statistics in the new running ones.
        affine: whether to learn a weight and a bias for each channel.
        track_running_stats: whether to keep running statistics, which normalise in evaluation.
        device, dtype: of the parameters and buffers.
        bias: whether there is one.

    Raises:
        ValueError: the input has another number of dimensions or of channels.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm3d.html
    """

    _rank = 4


class LazyInstanceNorm1d(_LazyNormBase, _InstanceNorm):
    """An `InstanceNorm1d` whose `num_features` are the channels of its first input; as in PyTorch it is affine by default.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm1d.html
    """

    cls_to_become = InstanceNorm1d
    _rank = InstanceNorm1d._rank


class LazyInstanceNorm2d(_LazyNormBase, _InstanceNorm):
    """An `InstanceNorm2d` whose `num_features` are the channels of its first input; as in PyTorch it is affine by default.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm2d.html
    """

    cls_to_become = InstanceNorm2d
    _rank = InstanceNorm2d._rank


class LazyInstanceNorm3d(_LazyNormBase, _InstanceNorm):
    """An `InstanceNorm3d` whose `num_features` are the channels of its first input; as in PyTorch it is affine by default.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm3d.html
    """

    cls_to_become = InstanceNorm3d
    _rank = InstanceNorm3d._rank
