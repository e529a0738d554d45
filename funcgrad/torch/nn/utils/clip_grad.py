"""Clip gradients, by their common norm or element by element.

Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
"""

import warnings
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_"]


def __dir__() -> list[str]:
    return __all__


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Any) -> list[Any]:
    return [each.grad for each in _listed(parameters) if each.grad is not None]


def _get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of several tensors.

    Args:
        tensors: the tensors.
        norm_type: the norm's exponent.
        error_if_nonfinite: whether to refuse a norm that is infinite or NaN.
        foreach: without effect.

    Raises:
        RuntimeError: see `error_if_nonfinite`.
    """
    with torch.no_grad():
        given = _listed(tensors)
        norm_type = float(norm_type)
        if not given:
            return torch.tensor(0.0)
        total: Any = torch.stack([each.norm(norm_type) for each in given]).norm(norm_type)
        if error_if_nonfinite and not total.isfinite():
            raise RuntimeError(
                f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be clipped. "
                "To disable this error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
            )
        return total


def _clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale gradients in place so that a norm of `total_norm` becomes at most `max_norm`."""
    with torch.no_grad():
        scale = torch.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
        for gradient in _gradients(parameters):
            gradient.mul_(scale)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of parameters in place so that their common norm is at most `max_norm`.

    Args:
        parameters: a tensor, or several.
        max_norm: the largest norm.
        norm_type: the norm's exponent; infinity for the largest element.
        error_if_nonfinite: whether to refuse a norm that is infinite or NaN.
        foreach: without effect.

    Returns:
        The norm before.

    Raises:
        RuntimeError: see `error_if_nonfinite`.

    Warns:
        UserWarning: the parameters are a generator that gives none.

    >>> import funcgrad.torch as torch
    >>> w = torch.zeros(2, requires_grad=True)
    >>> w.grad = torch.tensor([3.0, 4.0])
    >>> torch.nn.utils.clip_grad_norm_([w], 1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    given = _listed(parameters)
    if isinstance(parameters, GeneratorType) and not given:
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2
        )
    total = _get_total_norm(_gradients(given), norm_type, error_if_nonfinite, foreach)
    _clip_grads_with_norm_(given, max_norm, total, foreach)
    return total


def clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    """As `clip_grad_norm_`; deprecated.

    Warns:
        FutureWarning: always.
    """
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Set each element of the gradients to the nearest number between `-clip_value` and `clip_value`, in place.

    Args:
        parameters: a tensor, or several.
        clip_value: the bound.
        foreach: without effect.
    """
    bound = float(clip_value)
    with torch.no_grad():
        for gradient in _gradients(parameters):
            gradient.clamp_(min=-bound, max=bound)
