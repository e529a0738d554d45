"""PyTorch's `torch.utils`, as far as it goes here."""

from importlib import import_module as _import_module
from typing import Any as _Any
from weakref import getweakrefs as _getweakrefs

from funcgrad.torch._tensor.tensor import AccumulateGrad as _AccumulateGrad
from funcgrad.torch._tensor.tensor import Tensor as _Tensor
from funcgrad.torch._tensor.tensor import tell as _tell
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.utils import checkpoint, hooks

__all__ = ["checkpoint", "data", "hooks", "swap_tensors"]


def swap_tensors(t1: _Tensor, t2: _Tensor) -> None:
    """Let each of two tensors be the other: elements, gradient, graph, class and attributes.

    Raises:
        RuntimeError: somebody refers weakly to one of them, which is no leaf that requires grad.

    >>> import funcgrad.torch as torch
    >>> x, y = torch.zeros(2), torch.ones(3, requires_grad=True)
    >>> swap_tensors(x, y)
    >>> x, y
    (tensor([1., 1., 1.], requires_grad=True), tensor([0., 0.]))

    Behaviour: https://docs.pytorch.org/docs/stable/generated/torch.utils.swap_tensors.html
    """
    tensors: tuple[_Any, _Any] = (t1, t2)
    for name, each in zip(("t1", "t2"), tensors, strict=True):
        # The node of a leaf refers to it, and Python gives the same reference to everybody.
        if not isinstance(each._node, _AccumulateGrad) and _getweakrefs(each):
            raise RuntimeError(f"Cannot swap {name} because it has weakref associated with it")
    for each in tensors:
        _tell(each)
    for name in ("__class__", "__dict__", "_storage", "_node", "_nr"):
        one, other = (getattr(each, name) for each in tensors)
        setattr(t1, name, other)
        setattr(t2, name, one)
    for each in tensors:
        if isinstance(each._node, _AccumulateGrad):
            each._node.move(each)


def __getattr__(name: str) -> _Any:
    if name in (
        "_foreach_utils",
        "_pytree",
        "benchmark",
        "data",
        "flop_counter",
        "model_zoo",
        "tensorboard",
    ):  # loaded when they are first used
        return _import_module(f"{__name__}.{name}")
    raise _no_attribute(__name__, name)
