"""Layers for evaluation that do the work of a batch norm after them, too."""

import copy
from typing import Any

import funcgrad.torch as _torch
from funcgrad.torch._tensor.tensor import Tensor as _Tensor
from funcgrad.torch.nn.parameter import Parameter as _Parameter

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]


def __dir__() -> list[str]:
    return __all__


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that does what `conv` and then `bn` do; `transpose` for a transposed one.

    Raises:
        AssertionError: one is in training, or `bn` keeps no running mean.

    >>> from funcgrad.torch import nn
    >>> fuse_conv_bn_eval(nn.Conv1d(1, 2, 3).eval(), nn.BatchNorm1d(2).eval())
    Conv1d(1, 2, kernel_size=(3,), stride=(1,))

    Behaviour: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.fuse_conv_bn_eval.html
    """
    fused = _copy_for(conv, bn)
    mean, var, eps, scale, shift = _numbers(bn)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, mean, var, eps, scale, shift, transpose
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: _Tensor,
    conv_b: _Tensor | None,
    bn_rm: _Tensor,
    bn_rv: _Tensor,
    bn_eps: float,
    bn_w: _Tensor | None,
    bn_b: _Tensor | None,
    transpose: bool = False,
) -> tuple[_Parameter, _Parameter]:
    """The weight and bias of the convolution that `fuse_conv_bn_eval` gives."""
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A linear layer that does what `linear` and then `bn` do.

    Raises:
        AssertionError: one is in training, `bn` keeps no running mean, or their sizes differ.

    Behaviour: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.fuse_linear_bn_eval.html
    """
    fused = _copy_for(linear, bn)
    if bn.num_features not in (1, linear.out_features):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got linear.out_features="
            f"{linear.out_features} and bn.num_features={bn.num_features}"
        )
    fused.weight, fused.bias = fuse_linear_bn_weights(fused.weight, fused.bias, *_numbers(bn))
    return fused


def fuse_linear_bn_weights(
    linear_w: _Tensor,
    linear_b: _Tensor | None,
    bn_rm: _Tensor,
    bn_rv: _Tensor,
    bn_eps: float,
    bn_w: _Tensor | None,
    bn_b: _Tensor | None,
) -> tuple[_Parameter, _Parameter]:
    """The weight and bias of the layer that `fuse_linear_bn_eval` gives."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _copy_for(layer: Any, bn: Any) -> Any:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    return copy.deepcopy(layer)


def _numbers(bn: Any) -> Any:
    return bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias


def _fused(
    weight: Any, bias: Any, mean: Any, var: Any, eps: float, scale: Any, shift: Any, axis: int
) -> tuple[_Parameter, _Parameter]:
    """The weight and bias of a layer whose outputs lie along an axis of its weight."""
    dtype = weight.dtype if bias is None else bias.dtype
    bias = _torch.zeros_like(mean) if bias is None else bias
    shift = _torch.zeros_like(mean) if shift is None else shift
    factor = _torch.rsqrt(var + eps)
    factor = factor if scale is None else scale * factor
    shape = [-1 if k == axis else 1 for k in range(weight.ndim)]
    made = (weight * factor.reshape(shape)).to(weight.dtype)
    moved = ((bias - mean) * factor + shift).to(dtype)
    return _Parameter(made, weight.requires_grad), _Parameter(moved, bias.requires_grad)
