"""Giving a tensor more or fewer elements of its memory, or another memory: `resize_` and `set_`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.engine import FunctionNode, Storage, Variable, local
from funcgrad.torch._memory import geometry as geometries
from funcgrad.torch._memory.storages import (
    shared,
    view_of,
)
from funcgrad.torch._tensor.in_place import writable
from funcgrad.torch._tensor.rebasing import rebase
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor, place, tensor_of
from funcgrad.torch._tensor.view import ViewTensor, geometry
from funcgrad.torch._types.dtypes import kernel_name
from funcgrad.torch._types.size import Size, ints


def held_elements(of: Tensor) -> int:
    """The number of elements in a tensor's memory."""
    storage = of._storage
    memory = storage.viewed
    return Size(memory.aval.shape).numel()


def resize(self: Tensor, size: tuple[int, ...]) -> bool:
    """Give a tensor another shape over its memory, from its first element on.

    Returns:
        False if the memory has too few elements. An empty memory is replaced by zeros instead.
    """
    made = geometries.contiguous(size)._replace(offset=geometry(self).offset)
    held = held_elements(self)
    if made.end > held and not held:
        self._move_to(shared(self._storage, Storage(place(np.zeros(size, self.dtype.numpy_dtype)))))
    elif made.end > held and 0 not in size:
        return False
    else:
        self._move_to(view_of(self._storage, made))
    return True


def resize_(self: Tensor, *sizes: Any) -> Tensor:
    """Change the shape in place: the tensor takes the elements that follow its first one in memory.

    Raises:
        RuntimeError: the tensor requires grad; or its memory is not empty and would have to grow, and JAX's arrays do not.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.Tensor.resize_.html
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if not sizes:
        raise TypeError('resize_() missing 1 required positional arguments: "size"')
    size = ints(sizes)
    if min(size, default=0) < 0:
        raise RuntimeError("numel: integer multiplication overflow")
    if size == tuple(self.shape):
        return self
    if not resize(self, size):
        raise RuntimeError(
            f"resize_: a tensor in a memory of {held_elements(self)} elements cannot be resized to {list(size)} here, since "
            "JAX's arrays do not grow"
        )
    self._storage.version += 1
    return self


def resize_as_(self: Tensor, the_template: Tensor) -> Tensor:
    """`resize_` to the shape of another tensor."""
    if not isinstance(the_template, Tensor):
        raise TypeError(
            "resize_as_(): argument 'the_template' (position 1) must be Tensor, not "
            f"{type(the_template).__name__}"
        )
    return resize_(self, tuple(the_template.shape))


class _NotImplementedNode(FunctionNode):
    """The node of a tensor after `set_`, which has no derivative."""

    __slots__ = ()

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """Refuse to go on."""
        raise RuntimeError("derivative for set_ is not implemented")


_NotImplementedNode.__name__ = "NotImplemented"


def set_(self: Tensor, source: Tensor | None = None) -> Tensor:
    """Move the tensor to the memory and the geometry of `source`; without one, to an empty memory.

    Raises:
        RuntimeError: the tensor is a leaf or a view that requires grad, or the dtypes differ.
        TypeError: the source is not a tensor.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.Tensor.set_.html
    """
    if source is None:
        source = tensor_of(place(np.zeros(0, self.dtype.numpy_dtype)))
    if not isinstance(source, Tensor):
        raise TypeError(f"set_(): argument 'source' must be Tensor, not {type(source).__name__}")
    if source.dtype is not self.dtype:
        raise RuntimeError(
            f"Could not set tensor of type {kernel_name(source.dtype)} to a tensor of type {kernel_name(self.dtype)}"
        )
    writable(self, repeats=True)
    wanted = local.recorder.grad_enabled and (self.requires_grad or source.requires_grad)
    if wanted and type(self) is ViewTensor:
        raise RuntimeError("set_: a view that requires grad cannot be set to another memory")
    if wanted:
        given = [each._edge() for each in (self, source) if each._current_node() is not None]
        rebase(self, _NotImplementedNode(tuple(given), (source._storage.aval,)), 0)
    self._move_to(shared(self._storage, source._storage))
    self._storage.version += 1
    return self


publish_all({}, {"resize_": resize_, "resize_as_": resize_as_, "set_": set_})
