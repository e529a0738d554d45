"""PyTorch's `torch.utils`, as far as it goes here."""

from funcgrad.torch.utils import checkpoint, hooks

__all__ = ["checkpoint", "hooks"]
