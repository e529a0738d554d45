"""Tensors and optimizers as the state of a pure function: their arrays go in, and their new arrays come out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Value
from funcgrad.engine.values import settled, with_wide_types
from funcgrad.torch._memory.storages import DataStorage
from funcgrad.torch._random.generator import Generator
from funcgrad.torch._tensor.layout import is_tensor
from funcgrad.torch._tensor.tensor import Tensor, tensor_of

# Optimizers live in a room above this one, so they are recognised by these attributes, not imported.
_PARTS = ("param_groups", "state")
_CHANGING = ("lr",)


class Objects:
    """The state of a pure function.

    Args:
        objects: tensors and optimizers, in any pytree; an optimizer's parameters are included.

    Raises:
        TypeError: there is an object of another type.
        ValueError: a tensor is a result or a view, or two share their memory.

    Attributes:
        tensors: all tensors, each one once.
    """

    def __init__(self, objects: Any) -> None:
        self.tensors: list[Tensor] = []
        self.optimizers: list[Any] = []
        for leaf in jax.tree.leaves(objects, is_leaf=is_tensor):
            if is_tensor(leaf):
                self._add(leaf)
            elif all(hasattr(leaf, part) for part in _PARTS):
                self.optimizers.append(leaf)
                for group in leaf.param_groups:
                    for parameter in group["params"]:
                        self._add(parameter)
            else:
                raise TypeError(_refusal(leaf))

    def _add(self, tensor: Tensor) -> None:
        if any(tensor is each for each in self.tensors):
            return
        what = f"the state's tensor of shape {tuple(tensor.shape)}"
        if not tensor.is_leaf:
            raise ValueError(f"{what} is a result: name the tensors it is made of, or its detach()")
        memory = tensor._storage.memory
        if tensor._storage is not memory and not isinstance(tensor._storage, DataStorage):
            raise ValueError(f"{what} is a view: name the tensor that it is a view of")
        if any(each._storage.memory is memory for each in self.tensors):
            raise ValueError(f"{what} shares its memory with another: name one of them")
        self.tensors.append(tensor)

    def tree(self, of: Callable[[Any], Any]) -> Any:
        """The present content of the objects as a pytree; `of` is called with each tensor and number."""
        return {
            "tensors": [of(tensor) for tensor in self.tensors],
            "grads": [None if each._grad is None else of(each._grad) for each in self.tensors],
            "optimizers": [
                {
                    "options": [
                        {name: of(group[name]) for name in _CHANGING if name in group}
                        for group in optimizer.param_groups
                    ],
                    "parameters": [
                        {
                            kind: {
                                name: of(each)
                                for name, each in optimizer.state.get(tensor, {}).items()
                                if is_tensor(each) is tensors
                            }
                            for kind, tensors in (("tensors", True), ("numbers", False))
                        }
                        for group in optimizer.param_groups
                        for tensor in group["params"]
                    ],
                }
                for optimizer in self.optimizers
            ],
        }

    def check(self, tree: Any) -> None:
        """Check that a state fits these objects.

        Raises:
            ValueError: it does not fit.
        """
        try:
            counts = [len(tree["tensors"]), len(tree["grads"]), len(tree["optimizers"])]
        except (TypeError, KeyError, IndexError):
            counts = []
        if counts != [len(self.tensors), len(self.tensors), len(self.optimizers)]:
            raise ValueError(
                "the first argument is no state of this function: begin with what its `state()` returns, and go on with "
                "what the function returns"
            )
        for tensor, array in zip(self.tensors, tree["tensors"], strict=True):
            if tuple(array.shape) != tuple(tensor.shape):
                raise ValueError(
                    f"the state has an array of shape {tuple(array.shape)} for a tensor of shape {tuple(tensor.shape)}"
                )

    def put(self, tree: Any, number: Callable[[Any, Any], Any]) -> None:
        """Put these tensors into the objects. `number(new, old)` turns a stand-in tensor into a number, given the old one."""
        for tensor, given, grad in zip(self.tensors, tree["tensors"], tree["grads"], strict=True):
            storage = tensor._storage
            storage.write(settled(given._storage.read()))
            storage.version += 1
            tensor._grad = grad
        for optimizer, held in zip(self.optimizers, tree["optimizers"], strict=True):
            for group, options in zip(optimizer.param_groups, held["options"], strict=True):
                group.update({name: number(each, group[name]) for name, each in options.items()})
            parameters = [each for group in optimizer.param_groups for each in group["params"]]
            for parameter, state in zip(parameters, held["parameters"], strict=True):
                made = state["tensors"] | {
                    name: number(each, None) for name, each in state["numbers"].items()
                }
                if made:
                    optimizer.state[parameter] = made
                else:
                    optimizer.state.pop(parameter, None)

    @contextmanager
    def holding(self, tree: Any) -> Iterator[None]:
        """A block in which the objects hold these tensors; its end restores the objects."""
        tensors = [
            (
                t,
                t._storage,
                t._storage.memory.read(),
                t._storage.version,
                t._edge(),
                t._grad,
            )
            for t in self.tensors
        ]
        optimizers = [
            (each, dict(each.state), [dict(group) for group in each.param_groups])
            for each in self.optimizers
        ]
        try:
            self.put(tree, lambda tensor, _: tensor._jax_array())
            yield
        finally:
            for tensor, storage, value, version, edge, grad in tensors:
                tensor._storage = storage
                tensor._set_edge(*edge)
                storage.memory.write(value)
                storage.version, tensor._grad = version, grad
            for optimizer, state, groups in optimizers:
                optimizer.state.clear()
                optimizer.state.update(state)
                for group, before in zip(optimizer.param_groups, groups, strict=True):
                    group.clear()
                    group.update(before)


def _refusal(leaf: Any) -> str:
    if isinstance(leaf, Generator):
        return (
            "a generator cannot be part of the state: its numbers are drawn outside of JAX. Draw them outside the "
            "function, and pass them as an argument"
        )
    return f"the state is made of tensors and optimizers, not of {type(leaf).__name__}"


def number_of(tensor: Tensor, before: Any) -> Any:
    """The number that a tensor stands for; `before` itself if the tensor is merely its rounded value."""
    array = np.asarray(tensor._array())
    return before if before is not None and array.dtype.type(before) == array else array.item()


def array_of(leaf: Any) -> Any:
    """A tensor's elements, or a number as an array."""
    return leaf._jax_array() if is_tensor(leaf) else with_wide_types(jnp.asarray, leaf)


def tensor_from(array: Any) -> Tensor:
    """A tensor made from an array."""
    return tensor_of(Value.of(with_wide_types(jnp.asarray, array)))
