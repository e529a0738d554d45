"""Tensors on their way into a transformed function and out of it, and PyTorch's checks of both."""

from collections.abc import Callable
from typing import Any

from funcgrad.engine import Value, Variable
from funcgrad.engine.levels import (
    Level,
    settled,
)
from funcgrad.engine.values import Indirect, Wrapped
from funcgrad.torch._levels.storages import _along
from funcgrad.torch._tensor.in_place import writable, write
from funcgrad.torch._tensor.tensor import Tensor, tensor_of, tensor_of_variable
from funcgrad.torch._types.trees import flatten, leaves_of, tree_map


def enter(level: Level, tensor: Tensor, wrap: Callable[[Tensor], Value] | None = None) -> Tensor:
    """Bring a tensor from the next level out to this level. Writes to it also change the outer tensor."""
    made = object.__new__(Tensor)
    made._storage = InputStorage(level, tensor, wrap or level.wrap)
    made._node, made._nr = None, 0
    return made


def enter_all(level: Level, tree: Any) -> Any:
    """Bring every tensor of a tree to this level."""
    return tree_map(lambda leaf: enter(level, leaf) if isinstance(leaf, Tensor) else leaf, tree)


def settled_tensor(variable: Variable) -> Tensor:
    """A variable as a tensor, unwrapped from levels that have ended."""
    return tensor_of_variable(settled(variable))


def looked_at(tree: Any) -> Any:
    """Read every view of a tree now, while its level is alive."""

    def each(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf._storage.is_part:
            return leaf
        return tensor_of(leaf._storage.read(), *leaf._edge())

    return tree_map(each, tree)


def leave(level: Level, tensor: Tensor) -> Tensor:
    """Bring a tensor of this level to the next level out."""
    value = tensor._storage.read()
    if isinstance(value, Wrapped) and value.level is level:
        return settled_tensor(value.inner)
    return tensor


def leave_all(level: Level, tree: Any) -> Any:
    """Bring every tensor of a tree to the next level out.

    Raises:
        RuntimeError: a leaf of the tree is not a tensor.
    """

    def each(leaf: Any) -> Tensor:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(f"Expected tensors, got unsupported type {type(leaf)}")
        return leave(level, leaf)

    return tree_map(each, tree)


def positions(argnums: Any, count: int) -> Any:
    """`argnums` counted from the front.

    Raises:
        RuntimeError: a position is not an integer, is out of range for `count` arguments, or comes twice.
    """

    def position(argnum: Any) -> int:
        if not isinstance(argnum, int):
            raise RuntimeError(f"argnum must be int, got: {type(argnum)}")
        if not -count <= argnum < count:
            raise RuntimeError(f"Got argnum={argnum}, but only {count} positional inputs")
        return argnum % count

    if isinstance(argnums, int):
        return position(argnums)
    if not isinstance(argnums, tuple):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    found = tuple([position(argnum) for argnum in argnums])
    if not found:
        raise RuntimeError("argnums must be non-empty")
    if len(set(found)) != len(found):
        raise RuntimeError(f"argnums elements must be unique, got {found}")
    return found


def chosen(args: tuple[Any, ...], argnums: Any) -> Any:
    """The arguments at `argnums`: one of them, or a tuple."""
    where = positions(argnums, len(args))
    return args[where] if isinstance(where, int) else tuple([args[each] for each in where])


def output_and_aux(output: Any, called: str) -> tuple[Any, Any]:
    """Check the result of a function with auxiliary output, and return the pair.

    Raises:
        RuntimeError: the result is not a pair.
    """
    if not (isinstance(output, tuple) and len(output) == 2):
        raise RuntimeError(
            f"{called}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return output


def check_tensors(output: list[Any], called: str) -> None:
    """Check that a function returned at least one tensor, and only tensors.

    Raises:
        RuntimeError: it did not.
    """
    if not output or (len(output) == 1 and output[0] is None):
        raise RuntimeError(
            f"{called}: Expected f to be a function that has non-empty output (got output = {output})"
        )
    for leaf in output:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(
                f"{called}: expected f(*primals) to return only tensors, got unsupported type {type(leaf)}"
            )


def check_real(tree: Any, name: str, what: str) -> None:
    """Check that no tensor of a tree is complex.

    Raises:
        RuntimeError: one is.
    """
    for position, leaf in enumerate(leaves_of(tree)):
        if isinstance(leaf, Tensor) and leaf.dtype.is_complex:
            raise RuntimeError(
                f"{name}: Expected all {what} to be real but received complex tensor at flattened input idx: {position}"
            )


__all__ = [
    "check_real",
    "check_tensors",
    "chosen",
    "enter",
    "enter_all",
    "flatten",
    "leave",
    "leave_all",
    "looked_at",
    "output_and_aux",
    "positions",
    "settled_tensor",
]


class InputStorage(Indirect):
    """The storage of a transformed function's argument. Writes to it also change the given tensor."""

    __slots__ = ("cached", "level", "seen", "tensor", "wrap")

    def __init__(self, level: Any, tensor: Any, wrap: Any) -> None:
        self.level, self.tensor, self.wrap = level, tensor, wrap
        self.seen: Any = None
        self.cached: Any = None
        self.version = 0

    def read(self) -> Value:
        """The given tensor's value at this level."""
        value = self.tensor._storage.read()
        if value is not self.seen:
            self.seen, self.cached = value, self.wrap(self.tensor)
        return self.cached

    def write(self, value: Any) -> None:
        """Write the value to the outer tensor."""
        target = self.tensor
        if not (isinstance(value, Wrapped) and value.level is self.level):
            write(target, (value, None, 0))
            return
        axis = self.read().axis  # type: ignore[attr-defined]
        inner = _along(self.level, value, axis)
        with self.level.below():
            writable(target)
            write(target, (inner._storage.read(), *inner._edge()))
        # A batch along another axis is read again, along the argument's axis.
        self.seen, self.cached = (
            (target._storage.read(), value) if value.axis == axis else (None, None)
        )
