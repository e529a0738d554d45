"""The boundary of a pure function: it may touch its arguments and its own results, and no state from outside."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import jax.numpy as jnp

from funcgrad.engine import GraphNode, Leaf, Value, Variable, flush, local
from funcgrad.engine.nodes import next_sequence
from funcgrad.engine.recording import State, Watch
from funcgrad.engine.values import Wrapped, is_tracer
from funcgrad.torch._compile import keeping
from funcgrad.torch._memory.storages import OrderedStorage
from funcgrad.torch._random.generator import refused

_PASS_IT = "pass it as an argument, or name it in `state`"
_RANDOM = (
    "random numbers are drawn inside a function that JAX transforms: they would be drawn once, and be the same numbers "
    "at every call of the program. Draw them outside, and pass them as an argument"
)


class Boundary(Watch):
    """Refuses a pure function's writes to outside state, and gradients that would flow there.

    Args:
        given: the values of its arguments.
        around: the watch active before; it is called as well.
    """

    def __init__(self, given: Iterable[Value], around: Watch | None) -> None:
        self.made: WeakSet[Value] = WeakSet(given)
        self.around = around
        self.start = next_sequence()

    def _is_outside(self, variable: Variable) -> bool:
        memory: Any = variable._storage.memory
        value: Any = memory.logical if isinstance(memory, OrderedStorage) else None
        value = value or memory.read()
        if isinstance(value, Wrapped):
            return False
        # Pending values were recorded inside: none were pending when the call began.
        return value.array is not None and value not in self.made

    def reads(self, variable: Variable) -> None:
        """Allow every read: a value from outside is a constant."""
        if self.around is not None:
            self.around.reads(variable)

    def meets(self, node: GraphNode) -> None:
        """Refuse a graph from outside.

        Raises:
            RuntimeError: a gradient would flow to a node outside.
        """
        if isinstance(node, Leaf):
            variable = node.variable
            if variable is not None and self._is_outside(variable):
                raise RuntimeError(
                    f"{_described(variable)} is met that comes from outside the pure function and requires grad: "
                    f"{_PASS_IT}, or use its detach()"
                )
        elif node.sequence < self.start:
            raise RuntimeError(
                f"a result of a graph that was made outside the pure function is met ({type(node).__name__}): pass the "
                "tensors it was made of as arguments, or use its detach()"
            )
        if self.around is not None:
            self.around.meets(node)

    def creates(self, value: Value) -> None:
        """Record a value made of numbers."""
        self.made.add(value)
        if self.around is not None:
            self.around.creates(value)

    def ran(self, state: State, made: list[Value], reason: str) -> None:
        """Record the values that a run made."""
        self.made.update(made)
        if self.around is not None:
            self.around.ran(state, made, reason)

    def applied(self, made: Sequence[Value]) -> None:
        """Record the values that an op made."""
        self.made.update(made)
        if self.around is not None:
            self.around.applied(made)

    def writes(self, variable: Variable, by: str = "") -> None:
        """Refuse a write to a tensor from outside.

        Raises:
            RuntimeError: the tensor is from outside.
        """
        if self._is_outside(variable):
            whose = f" by {by}, which was made there" if by else ""
            raise RuntimeError(
                f"{_described(variable)} that comes from outside the pure function would be changed{whose}: "
                + ("name the optimizer in `state`" if by else _PASS_IT)
            )
        if self.around is not None:
            self.around.writes(variable, by)

    def escapes(self, variable: Variable) -> None:
        """Refuse to hand JAX an array if JAX has asked the tape for its gradient.

        Raises:
            RuntimeError: JAX has asked for its gradient.
        """
        if keeping.differentiated(variable._current_node()):
            raise RuntimeError(
                f"{_described(variable)} is handed to a function of JAX, which leaves no graph behind, and its gradient "
                "is wanted: make the function an op by `torch.from_jax`, or hand over its detach()"
            )


def _described(variable: Variable) -> str:
    aval = variable._storage.aval
    return f"a tensor of shape {tuple(aval.shape)} and dtype {aval.dtype.name}"


@contextmanager
def guarded(given: Iterable[Value], transformed: bool) -> Iterator[None]:
    """A block that runs a pure function on these values; `transformed` tells whether JAX transforms it."""
    flush("a pure function was called")
    recorder = local.recorder
    around = recorder.watch
    # The block may be traced even if no argument is: `jax.jit` of a function without arguments.
    traced = transformed or is_tracer(jnp.zeros(()))
    recorder.watch = Boundary(given, around)
    try:
        with refused(_RANDOM if traced else ""):
            yield
    finally:
        recorder.watch = around
