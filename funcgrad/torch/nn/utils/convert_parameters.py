"""All parameters as one vector, and back.

Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.utils.parameters_to_vector.html
"""

from collections.abc import Iterable
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.typename import typename

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def __dir__() -> list[str]:
    return __all__


def parameters_to_vector(parameters: Iterable[Any]) -> Tensor:
    """The elements of all parameters, one after another.

    >>> import funcgrad.torch as torch
    >>> parameters_to_vector([torch.ones(2), torch.zeros(1, 1)])
    tensor([1., 1., 0.])
    """
    return torch.cat([parameter.view(-1) for parameter in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Give parameters the elements of a vector, in order; they share its memory from now on.

    Raises:
        TypeError: the vector is no tensor.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {typename(vec)}")
    elements: Any = vec
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = elements[start:end].view_as(parameter).data
        start = end
