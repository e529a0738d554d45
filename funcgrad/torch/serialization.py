"""Copies of tensors: `copy`, `deepcopy` and pickling, and files: `save` and `load`, as in PyTorch."""

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from funcgrad.engine import Storage, compute
from funcgrad.engine.values import settled
from funcgrad.torch._levels import refusals
from funcgrad.torch._memory.storages import DataStorage, Reinterpreted, ViewStorage
from funcgrad.torch._ops.legacy import rebuilt
from funcgrad.torch._saving.reading import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    load,
    safe_globals,
)
from funcgrad.torch._saving.writing import save
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor, apart, place, tensor_of, without_history
from funcgrad.torch._tensor.view import attributes
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.utils.hooks import warn_if_has_hooks

__all__ = [
    "DEFAULT_PROTOCOL",
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "load",
    "safe_globals",
    "save",
]


def __dir__() -> list[str]:
    return __all__


# The protocol of pickles in the files.
DEFAULT_PROTOCOL = 2

# PyTorch's annotation of `map_location`.
MAP_LOCATION: TypeAlias = Callable[[Any, str], Any] | device | str | dict[str, str] | None


def _copy(self: Tensor) -> Tensor:
    """A new tensor with the same storage."""
    alias = self.detach()
    alias.requires_grad = self.requires_grad
    return rebuilt(self.__class__, alias, attributes(self))


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """A leaf with a storage of its own. Tensors that share a storage share one in the copy too.

    Raises:
        RuntimeError: the tensor is not a leaf.
    """
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
            "If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm "
            "usage, see https://github.com/pytorch/pytorch/pull/103001"
        )
    refusals.check_storage(self._storage.read())
    # Values never change, so a new storage is enough for a copy. Tensors that share a storage also share one
    # in the copy, if one `deepcopy` copies them.
    memory = apart(self._storage).memory
    known = id(memory) in memo
    copied = memo.setdefault(id(memory), Storage(settled(memory.read())))
    if self._storage.is_part and isinstance(self._storage.viewed, Reinterpreted):
        copied = Storage(settled(self._storage.read()))
    elif self._storage.is_part:
        copied = ViewStorage(copied, DataStorage(copied), self._storage.geometry)
    elif known:
        copied = DataStorage(copied)
    memo[id(self)] = made = without_history(copied)
    made.requires_grad = self.requires_grad
    made._grad = copy.deepcopy(self._grad, memo)
    vars(made).update(copy.deepcopy(attributes(self), memo))
    return made


def _reduce(self: Tensor, protocol: Any) -> tuple[Any, ...]:
    """The pickled form of a tensor: its elements, and whether it requires grad."""
    refusals.check_storage(self._storage.read())
    warn_if_has_hooks(self)
    storage: Any = self._storage
    elements, geometry = self._array(), None
    strided = storage.is_part and not isinstance(storage.viewed, Reinterpreted)
    if strided and not storage.geometry.is_contiguous:
        # In memory order, so that the strides come back.
        elements, geometry = compute(storage.viewed.read()), storage.geometry
    return _rebuild, (
        np.asarray(elements),
        self.requires_grad,
        geometry,
        attributes(self),
        self.__class__,
    )


def _rebuild(
    elements: np.ndarray,
    requires_grad: bool,
    geometry: Any = None,
    state: dict[str, Any] | None = None,
    kind: type = Tensor,
) -> Tensor:
    """Rebuild a pickled tensor, without history and gradient, as in PyTorch."""
    made = tensor_of(place(elements))
    if geometry is not None:
        memory = Storage(made._storage.read())
        made = without_history(ViewStorage(memory, DataStorage(memory), geometry))
    made.requires_grad = requires_grad
    return rebuilt(kind, made, state)


publish_all(
    {"save": save, "load": load},
    {"__copy__": _copy, "__deepcopy__": _deepcopy, "__reduce_ex__": _reduce},
)


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
