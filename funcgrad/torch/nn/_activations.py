"""Activations that are compositions: `relu` with `inplace`, `softmax` without a dimension, `softsign` and others.

Behaviour: https://pytorch.org/docs/stable/nn.functional.html#non-linear-activation-functions
"""

from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.warning import warn


def relu(input: Any, inplace: bool = False) -> Tensor:
    """`max(x, 0)`; stored in the input if `inplace`."""
    return input.relu_() if inplace else torch.relu(input)


def relu_(input: Any) -> Tensor:
    """`relu`, stored in the tensor itself."""
    return input.relu_()


def sigmoid(input: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return torch.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return torch.tanh(input)


def softsign(input: Any) -> Tensor:
    """`x / (1 + |x|)`."""
    return input / (input.abs() + 1)


def tanhshrink(input: Any) -> Tensor:
    """`x - tanh(x)`."""
    return input - input.tanh()


def _dim(name: str, ndim: int) -> int:
    """The dimension that a softmax without one goes along."""
    warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument."
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """`exp(x) / sum(exp(x))` along a dimension.

    Args:
        input: of floating point.
        dim: the dimension; None is deprecated.
        _stacklevel: without effect; the warning is of the caller's line.
        dtype: to compute in; the input's if None.

    Warns:
        UserWarning: no dimension is given.
    """
    dim = _dim("softmax", input.ndim) if dim is None else dim
    return input.softmax(dim) if dtype is None else input.softmax(dim, dtype=dtype)


def log_softmax(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of `softmax`; arguments as for it."""
    dim = _dim("log_softmax", input.ndim) if dim is None else dim
    return input.log_softmax(dim) if dtype is None else input.log_softmax(dim, dtype=dtype)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """`softmax` of `-x`; arguments as for it."""
    dim = _dim("softmin", input.ndim) if dim is None else dim
    return (-input).softmax(dim) if dtype is None else (-input).softmax(dim, dtype=dtype)


def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A random class for each row, as probabilities that have a gradient.

    Args:
        logits: unnormalised log-probabilities.
        tau: the temperature.
        hard: whether the result is one-hot; the gradient is that of the probabilities.
        eps: without effect.
        dim: the dimension of the classes.

    Source: E. Jang, S. Gu, B. Poole, "Categorical reparameterization with Gumbel-softmax" (2016).
    """
    if eps != 1e-10:
        warn("`eps` parameter is deprecated and has no effect.")
    empty = torch.empty_like(logits, memory_format=torch.contiguous_format)
    gumbels = -empty.exponential_().log()
    soft = ((logits + gumbels) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    return torch.zeros_like(logits).scatter_(dim, index, 1.0) - soft.detach() + soft


def normalize(
    input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Vectors by their p-norm, which is at least `eps`.

    Args:
        input: of floating point.
        p: the norm's exponent.
        dim: the dimension along which the vectors lie.
        eps: the norm's lower bound.
        out: where to store the result.
    """
    length = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return input / length if out is None else torch.div(input, length, out=out)
