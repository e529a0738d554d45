"""Flatten dimensions, and the reverse."""

from typing import Any

from funcgrad.torch.nn.modules.module import Module

__all__ = ["Flatten", "Unflatten"]


def __dir__() -> list[str]:
    return __all__


class Flatten(Module):
    """One dimension made of several.

    Args:
        start_dim, end_dim: the first and the last of them.
    """

    __constants__ = ("start_dim", "end_dim")

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        """The flattened input."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """Its dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Several dimensions made of one.

    Args:
        dim: the dimension.
        unflattened_size: the lengths of the new ones.

    Raises:
        TypeError: the lengths are no integers.
    """

    __constants__ = ("dim", "unflattened_size")

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)):
            raise TypeError(
                f"unflattened_size must be a tuple of ints, but found type {type(unflattened_size).__name__}"
            )
        for k, size in enumerate(unflattened_size):
            if not isinstance(size, int):
                raise TypeError(
                    f"unflattened_size must be tuple of ints, but found element of type {type(size).__name__} at pos {k}"
                )
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Any) -> Any:
        """The unflattened input."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """Its dimensions."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
