"""PyTorch's `torch.autograd`: what walks the graph, what switches it on and off, and what looks into it."""

from typing import Any

from funcgrad.torch.autograd import grad_mode, walking
from funcgrad.torch.autograd.grad_mode import (
    enable_grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from funcgrad.torch.autograd.walking import backward, grad

__all__ = [
    "backward",
    "enable_grad",
    "grad",
    "grad_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

METHODS: dict[str, Any] = {**walking.METHODS}
FUNCTIONS: dict[str, Any] = {}
