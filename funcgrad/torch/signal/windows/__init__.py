"""PyTorch's `torch.signal.windows`: windows of a length, symmetric or for the Fourier transform.

Behaviour: https://pytorch.org/docs/stable/signal.html
"""

import math
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def __dir__() -> list[str]:
    return __all__


def _window(name: str) -> Callable[[Any], Any]:
    """A window: checks of its arguments, and the shortest ones. The function is given the options of a new tensor."""

    def decorate(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @wraps(function)
        def window(
            M: int,
            *,
            dtype: Any = None,
            layout: Any = torch.strided,
            device: Any = None,
            requires_grad: bool = False,
            **options: Any,
        ) -> Tensor:
            kind = torch.get_default_dtype() if dtype is None else dtype
            if M < 0:
                raise ValueError(f"{name} requires non-negative window length, got M={M}")
            if layout is not torch.strided:
                raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
            if kind not in (torch.float32, torch.float64):
                raise ValueError(f"{name} expects float32 or float64 dtypes, got: {kind}")
            new = {"dtype": kind, "device": device, "requires_grad": requires_grad}
            found = function(max(M, 1), **options, new=new)
            return torch.empty(0, **new) if M == 0 else found

        return window

    return decorate


def _steps(M: int, sym: bool) -> int:
    """How many steps a period has: one less than the length if the window is symmetric."""
    return M - 1 if sym or M == 1 else M


def _from(start: float, step: float, M: int, new: dict[str, Any]) -> Tensor:
    return torch.linspace(start, start + (M - 1) * step, M, **new)


@_window("exponential")
def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, new: Any = None
) -> Tensor:
    """`exp(-abs(n - center) / tau)`.

    Raises:
        ValueError: tau is not positive, or a symmetric window has a centre.
    """
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    middle = _steps(M, sym) / 2.0 if center is None else center
    step = 1 / tau
    return torch.exp(
        -torch.abs(torch.linspace(-middle * step, (-middle + (M - 1)) * step, M, **new))
    )


@_window("cosine")
def cosine(M: int, *, sym: bool = True, new: Any = None) -> Tensor:
    """`sin(pi * (n + 0.5) / M)`."""
    step = math.pi / (M + 1 if not sym and M > 1 else M)
    return torch.sin(torch.linspace(0.5 * step, (0.5 + (M - 1)) * step, M, **new))


@_window("gaussian")
def gaussian(M: int, *, std: float = 1.0, sym: bool = True, new: Any = None) -> Tensor:
    """A normal density around the middle, one there.

    Raises:
        ValueError: the standard deviation is not positive.
    """
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    start, step = -_steps(M, sym) / 2.0, 1 / (std * math.sqrt(2))
    return torch.exp(-(torch.linspace(start * step, (start + (M - 1)) * step, M, **new) ** 2))


@_window("kaiser")
def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, new: Any = None) -> Tensor:
    """A ratio of Bessel functions; the larger beta, the narrower.

    Raises:
        ValueError: beta is negative.
    """
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    if M == 1:
        return torch.ones(1, **new)
    width = torch.tensor(beta, dtype=new["dtype"], device=new["device"])
    end = torch.minimum(width, -width + (M - 1) * (2.0 * width / _steps(M, sym)))
    k = torch.linspace(-width, end, M, **new)
    return torch.i0(torch.sqrt(width * width - torch.pow(k, 2))) / torch.i0(width)


@_window("bartlett")
def bartlett(M: int, *, sym: bool = True, new: Any = None) -> Tensor:
    """A triangle."""
    return torch.ones(1, **new) if M == 1 else 1 - torch.abs(_from(-1, 2 / _steps(M, sym), M, new))


@_window("general_cosine")
def general_cosine(M: int, *, a: Any, sym: bool = True, new: Any = None) -> Tensor:
    """A sum of cosines of whole frequencies, with weights `a` of alternating signs.

    Raises:
        TypeError: `a` is no list or tuple.
        ValueError: it is empty.
    """
    if M == 1:
        return torch.ones(1, **new)
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    k = _from(0, 2 * math.pi / _steps(M, sym), M, new)
    weights = torch.tensor([(-1) ** i * w for i, w in enumerate(a)], **new)
    i = torch.arange(len(weights), **new)
    return (weights.unsqueeze(-1) * torch.cos(i.unsqueeze(-1) * k)).sum(0)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **new: Any) -> Tensor:
    """`alpha - (1 - alpha) * cos(2 * pi * n / N)`."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **new)


def hamming(M: int, *, sym: bool = True, **new: Any) -> Tensor:
    """`general_hamming` with 0.54."""
    return general_hamming(M, sym=sym, **new)


def hann(M: int, *, sym: bool = True, **new: Any) -> Tensor:
    """`general_hamming` with one half."""
    return general_hamming(M, alpha=0.5, sym=sym, **new)


@_window("blackman")
def blackman(M: int, *, sym: bool = True, new: Any = None) -> Tensor:
    """A sum of three cosines."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **new)


def nuttall(M: int, *, sym: bool = True, **new: Any) -> Tensor:
    """A sum of four cosines."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **new)
