"""`Variable`, PyTorch's old name for a tensor with a gradient; old code still runs."""

import warnings
from typing import Any

from funcgrad.torch._ops.creation import FUNCTIONS, asked
from funcgrad.torch._tensor.tensor import Tensor

__all__ = ["Variable"]


def __dir__() -> list[str]:
    return __all__


class _AnyTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_AnyTensor):
    """Makes a tensor that shares its storage with another, and has no history. Every tensor is an instance.

    Args:
        data: the other tensor; an empty one if None.
        requires_grad: whether the new tensor requires grad.
        volatile: has no effect.

    Raises:
        TypeError: `data` is not a tensor.
        RuntimeError: `requires_grad` is set and the dtype has no gradients.

    >>> import funcgrad.torch as torch
    >>> x = torch.autograd.Variable(torch.ones(2), requires_grad=True)
    >>> x, isinstance(x, torch.autograd.Variable)
    (tensor([1., 1.], requires_grad=True), True)

    Behaviour: https://pytorch.org/docs/stable/autograd.html#variable-deprecated
    """

    def __new__(  # type: ignore[misc]
        cls, data: Tensor | None = None, requires_grad: bool = False, volatile: bool = False
    ) -> Tensor:
        """The tensor."""
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                stacklevel=2,
            )
        if data is None:
            data = FUNCTIONS["empty"](0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return asked(data.detach(), bool(requires_grad))
