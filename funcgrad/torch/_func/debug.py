"""A look inside wrapped tensors of a transformation, for debugging."""

from typing import Any

from funcgrad.engine.values import Wrapped
from funcgrad.torch._func.inputs import settled_tensor


def debug_unwrap(tensor: Any, *, recurse: bool = True) -> Any:
    """The tensor inside a wrapped one, from outside all levels; without `recurse`, one level out. A plain tensor stays as it is.

    >>> import funcgrad.torch as torch
    >>> seen = []
    >>> def row_sum(x):
    ...     seen.append(torch.func.debug_unwrap(x).tolist())
    ...     return x.sum()
    >>> torch.vmap(row_sum)(torch.ones(2, 1))
    tensor([1., 1.])
    >>> seen
    [[[1.0], [1.0]]]

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.debug_unwrap.html
    """
    value = tensor._storage.read()
    if not isinstance(value, Wrapped):
        return tensor
    inner = settled_tensor(value.inner)
    return debug_unwrap(inner) if recurse else inner
