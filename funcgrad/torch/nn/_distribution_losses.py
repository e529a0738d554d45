"""Losses that compare distributions: divergences and negative log likelihoods.

Behaviour: https://pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._ops.index_put import elements_to_check
from funcgrad.torch._ops.row import FLOAT, Array
from funcgrad.torch._tensor.kinds import refusal
from funcgrad.torch._tensor.operands import check_broadcast
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.warning import warn
from funcgrad.torch.nn._losses import declared_loss
from funcgrad.torch.nn._reduction import checked, reduction_of

_stop = jax.lax.stop_gradient


@declared_loss("kl_div", "SubBackward0", check=check_broadcast)
def _kl_div(input: Array, target: Array) -> Any:
    return jax.scipy.special.xlogy(target, target) - target * input


@declared_loss("kl_div.log", "MulBackward0", check=check_broadcast)
def _kl_div_of_log(input: Array, target: Array) -> Any:
    return jnp.exp(target) * (target - input)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The Kullback-Leibler divergence of log-probabilities from a target.

    Args:
        input: log-probabilities.
        target: probabilities; log-probabilities if `log_target`.
        size_average, reduce: deprecated.
        reduction: "none", "mean", "sum", or "batchmean", which divides the sum by the first dimension.
        log_target: see `target`.

    Raises:
        ValueError: there is no such reduction.
        RuntimeError: the numbers are integers or complex.

    Warns:
        UserWarning: the reduction is "mean".
    """
    if size_average is not None or reduce is not None:
        reduction = reduction_of(size_average, reduce, reduction)
    elif reduction == "mean":
        warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by "
            "the batch size, and aligns with the KL div math definition.'mean' will be changed to behave the same as "
            "'batchmean' in the next major release."
        )
    for each in (input, target):
        if each.dtype.is_complex or not each.dtype.is_floating_point:
            what = "Complex" if each.dtype.is_complex else "Integral"
            raise RuntimeError(f"kl_div: {what} inputs not supported.")
    of = _kl_div_of_log if log_target else _kl_div
    if reduction == "batchmean":
        total: Any = of("sum", input, target)
        return total / input.shape[0] if input.ndim else total
    return of(checked(reduction), input, target)


_PI = np.pi


def _stirling(target: Any) -> Any:
    safe = jnp.where(target > 1, target, 1)
    terms = target * jnp.log(safe) - target + 0.5 * jnp.log(2 * _PI * safe)
    return jnp.where(target > 1, terms, 0)


def _poisson_losses(input: Any, target: Any, log_input: bool, eps: float) -> Any:
    if log_input:
        return jnp.exp(input) - target * input
    return input - target * jnp.log(input + eps)


@declared_loss("poisson_nll_loss", "SubBackward0", dtype=FLOAT, check=check_broadcast)
def _poisson(input: Array, target: Array, log_input: bool, eps: float) -> Any:
    return _poisson_losses(input, target, log_input, eps)


@declared_loss("poisson_nll_loss.full", "AddBackward0", dtype=FLOAT, check=check_broadcast)
def _full_poisson(input: Array, target: Array, log_input: bool, eps: float) -> Any:
    return _poisson_losses(input, target, log_input, eps) + _stirling(target)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of counts under a Poisson distribution.

    Args:
        input: the expected counts; their logarithms if `log_input`.
        target: the counts.
        log_input: see `input`.
        full: whether Stirling's approximation of the constant term is added.
        eps: added to `input` before its logarithm is taken.
        size_average, reduce, reduction: as for `mse_loss`.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    return (_full_poisson if full else _poisson)(reduction, input, target, log_input, eps)


def _gaussian_losses(input: Any, target: Any, var: Any, eps: float) -> Any:
    # As in PyTorch, the lower bound of the variance does not stop its gradient.
    var = var + _stop(jnp.maximum(var, eps) - var)
    return 0.5 * (jnp.log(var) + jnp.square(input - target) / var)


@declared_loss("gaussian_nll_loss", "MulBackward0", check=check_broadcast)
def _gaussian(input: Array, target: Array, var: Array, eps: float) -> Any:
    return _gaussian_losses(input, target, var, float(eps))


@declared_loss("gaussian_nll_loss.full", "AddBackward0", check=check_broadcast)
def _full_gaussian(input: Array, target: Array, var: Array, eps: float) -> Any:
    return _gaussian_losses(input, target, var, eps) + 0.5 * np.log(2 * _PI)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of numbers under a normal distribution.

    Args:
        input: the expectations.
        target: the numbers.
        var: the variances: a tensor of the input's shape, or without its last dimension; or a number.
        full: whether the constant term is added.
        eps: the lower bound of the variances.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: a variance is negative, or their shape does not fit.
    """
    given: Any = input
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * torch.ones_like(input)
    elif not isinstance(var, Tensor):
        raise refusal("gaussian_nll_loss", "var", 3, "Tensor", var)
    else:
        elements = elements_to_check(var)
        if elements is not None and np.any(elements < 0):
            raise ValueError("var has negative entry/entries")
    if var.shape != given.shape:
        if given.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (given.shape[:-1] == var.shape[:-1] and var.shape[-1] == 1):
            broadcasts = given.ndim == var.ndim and all(
                one == other or one == 1 for other, one in zip(given.shape, var.shape, strict=True)
            )
            if not broadcasts:
                raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    return (_full_gaussian if full else _gaussian)(reduction, input, target, var, eps)
