"""Giving a tensor more or fewer elements of its memory, or another memory: `resize_` and `set_`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.engine import FunctionNode, Storage, Variable, local
from funcgrad.torch._memory import geometry as geometries
from funcgrad.torch._memory.formats import (
    RANKS,
    check_format,
    geometry_in,
    memory_format,
    preserve_format,
)
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
from funcgrad.torch._types.variadic import variadic


def held_elements(of: Tensor) -> int:
    """The number of elements in a tensor's memory."""
    storage = of._storage
    memory = storage.viewed
    return Size(memory.aval.shape).numel()


def resize(self: Tensor, size: tuple[int, ...], wanted: memory_format | None = None) -> bool:
    """Give a tensor another shape over its memory, from its first element on, in this format.

    Returns:
        False if the memory has too few elements. An empty memory is replaced by zeros instead.
    """
    made = geometry_in(wanted, size) or geometries.contiguous(size)
    made = made._replace(offset=geometry(self).offset)
    held = held_elements(self)
    if made.end > held and not held:
        memory = Storage(place(np.zeros(made.end, self.dtype.numpy_dtype)))
        self._move_to(shared(self._storage, memory))
        self._move_to(view_of(self._storage, made))
    elif made.end > held and 0 not in size:
        return False
    else:
        self._move_to(view_of(self._storage, made))
    return True


@variadic("size")
def resize_(self: Tensor, *sizes: Any, memory_format: memory_format | None = None) -> Tensor:
    """Change the shape in place: the tensor takes the elements that follow its first one in memory.

    Args:
        sizes: the new shape.
        memory_format: the order of the elements; contiguous if None.

    Raises:
        RuntimeError: the format keeps the present order; the tensor requires grad; or its memory is not empty and would have to grow, and JAX's arrays do not.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.Tensor.resize_.html
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if not sizes:
        raise TypeError('resize_() missing 1 required positional arguments: "size"')
    size = ints(sizes)
    if min(size, default=0) < 0:
        raise RuntimeError("numel: integer multiplication overflow")
    check_format("resize_", memory_format)
    if memory_format is preserve_format:
        raise RuntimeError("Unsupported memory formatPreserve")
    if size == tuple(self.shape) and memory_format is None:
        return self
    if not resize(self, size, memory_format):
        raise RuntimeError(
            f"resize_: a tensor in a memory of {held_elements(self)} elements cannot be resized to {list(size)} here, since "
            "JAX's arrays do not grow"
        )
    self._storage.version += 1
    return self


def _strides(wanted: memory_format, size: tuple[int, ...]) -> tuple[int, ...]:
    made = geometry_in(wanted, size) or geometries.contiguous(size)
    return made.stride


def resize_as_(
    self: Tensor, the_template: Tensor, *, memory_format: memory_format | None = None
) -> Tensor:
    """`resize_` to the shape of another tensor; `preserve_format` takes its order in memory too."""
    if not isinstance(the_template, Tensor):
        raise TypeError(
            "resize_as_(): argument 'the_template' (position 1) must be Tensor, not "
            f"{type(the_template).__name__}"
        )
    if memory_format is preserve_format:
        size = tuple(the_template.shape)
        formats = [each for each, rank in RANKS.items() if rank == len(size)]
        memory_format = next(
            (each for each in formats if _strides(each, size) == geometry(the_template).stride),
            None,
        )
    return resize_(self, tuple(the_template.shape), memory_format=memory_format)


class _NotImplementedNode(FunctionNode):
    """The node of a tensor after `set_`, which has no derivative."""

    __slots__ = ()

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """Refuse to go on."""
        raise RuntimeError("derivative for set_ is not implemented")


_NotImplementedNode.__name__ = "NotImplemented"


# Marks "source not given"; None is refused.
_NOWHERE: Any = object()


def set_(
    self: Tensor,
    source: Any = _NOWHERE,
    storage_offset: int = 0,
    size: Sequence[int] | None = None,
    stride: Sequence[int] = (),
) -> Tensor:
    """Move the tensor to the memory and the geometry of `source`; without one, to an empty memory.

    Args:
        source: the tensor.
        storage_offset, size, stride: another geometry over the memory of `source`; contiguous without `stride`.

    Raises:
        RuntimeError: the tensor is a leaf or a view that requires grad, the dtypes differ, or the memory is too small.
        TypeError: the source is not a tensor.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.Tensor.set_.html
    """
    if source is _NOWHERE:
        source = tensor_of(place(np.zeros(0, self.dtype.numpy_dtype)))
    if not isinstance(source, Tensor):
        raise TypeError(f"set_(): argument 'source' must be Tensor, not {type(source).__name__}")
    if source.dtype is not self.dtype:
        raise RuntimeError(
            f"Could not set tensor of type {kernel_name(source.dtype)} to a tensor of type {kernel_name(self.dtype)}"
        )
    memory = source._storage
    if size is not None:
        memory = _over_memory(source, int(storage_offset), ints((size,)), ints((stride,)))
    elif storage_offset or stride:
        raise TypeError("set_() takes `storage_offset` and `stride` together with `size`")
    writable(self, repeats=True)
    wanted = local.recorder.grad_enabled and (self.requires_grad or source.requires_grad)
    if wanted and isinstance(self, ViewTensor):
        raise RuntimeError("set_: a view that requires grad cannot be set to another memory")
    if wanted:
        given = [each._edge() for each in (self, source) if each._current_node() is not None]
        rebase(self, _NotImplementedNode(tuple(given), (memory.aval,)), 0)
    self._move_to(shared(self._storage, memory))
    self._storage.version += 1
    return self


def _over_memory(
    source: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> Any:
    """The storage of a tensor with this geometry over the memory of another."""
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    if min(stride, default=0) < 0:
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(size)} and strides={list(stride)}"
        )
    if stride and len(stride) != len(size):
        raise RuntimeError(f"unequal size length ({len(size)}) and stride length ({len(stride)})")
    made = geometries.contiguous(size)
    made = made._replace(offset=geometry(source).offset + offset, stride=stride or made.stride)
    if made.end > held_elements(source):
        raise RuntimeError(
            f"set_: a memory of {held_elements(source)} elements cannot hold size {list(size)} at offset {offset} here, since "
            "JAX's arrays do not grow"
        )
    return view_of(source._storage, made)


publish_all({}, {"resize_": resize_, "resize_as_": resize_as_, "set_": set_})
