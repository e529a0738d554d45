"""`torch.compile`: an imperative function as one dispatch, including its updates of outside tensors.

The engine compiles what is recorded, but Python runs again to record it. A compiled function is
traced once, with its tensors carrying tracers; from then on it is a program that takes every tensor
the function reads and returns every tensor it changes.
"""

import functools
from collections.abc import Callable
from hashlib import blake2b
from typing import Any
from weakref import ref

import jax
import numpy as np

from funcgrad.engine import GraphNode, Leaf, Storage, Value, Variable, flush, local
from funcgrad.engine.nodes import next_sequence
from funcgrad.engine.recording import State, Watch
from funcgrad.engine.values import is_tracer
from funcgrad.torch._compile.plan import (
    NUMBERS,
    CannotCompileError,
    Plan,
    cell,
    tensors_in,
)
from funcgrad.torch._memory.storages import OrderedStorage
from funcgrad.torch._random.generator import default_generator
from funcgrad.torch._tensor.layout import is_tensor
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor

# Calls run uncompiled until two in a row do the same. After this many calls without such a pair, all run uncompiled.
_MOST_WATCHED_CALLS = 6
_LEAVES = {Tensor, *NUMBERS}


class _Watch(Watch):
    """Records the outside tensors that one call reads, and the events in the call."""

    def __init__(self) -> None:
        self.storages: dict[Storage, list[ref[Variable]]] = {}
        self.leaves: dict[Leaf, None] = {}
        self.happened: list[Any] = []
        self.made: set[Value] = set()
        self.read: set[Value] = set()
        self.guards: list[Callable[[], Any]] = []
        self.continues_graph = False
        self.start = next_sequence()
        self.random = default_generator.position().tobytes()

    def reads(self, variable: Variable) -> None:
        """Record a storage from outside, or the number read."""
        storage = variable._storage.memory
        if isinstance(storage, OrderedStorage) and storage.logical not in self.made:
            local.recorder.watch = None  # its elements are only put in order
            try:
                storage.read()
            finally:
                local.recorder.watch = self
        value = storage.read()
        if value in self.made:
            return
        if type(variable) is not Variable:  # a tensor's: a Python number has a bare variable
            self.storages.setdefault(storage, []).append(ref(variable))
            self.read.add(value)
        elif value not in self.read:  # else backward reads a tensor's earlier value
            self.happened.append(np.asarray(value.array).item())

    def meets(self, node: GraphNode) -> None:
        """Record a leaf, or that the call meets a node made before it."""
        if isinstance(node, Leaf):
            self.leaves[node] = None
        elif node.sequence < self.start:
            self.continues_graph = True

    def creates(self, value: Value) -> None:
        """Record a value and its elements."""
        self.made.add(value)
        elements = np.asarray(value.array)
        digest = blake2b(elements.tobytes(), digest_size=16).hexdigest()
        self.happened.append(f"{elements.dtype}{elements.shape}{digest}")

    def ran(self, state: State, made: list[Value], reason: str) -> None:
        """Record a run; its values are not from outside."""
        self.made.update(made)
        self.happened.append((state, reason))

    def depends(self, read: Callable[[], Any]) -> None:
        """Record a reader of numbers from outside."""
        if read not in self.guards:
            self.guards.append(read)

    def result(self, given: list[Tensor]) -> tuple[Any, ...]:
        """The record of the call. Two calls did the same if their records are equal.

        Args:
            given: the tensors among the arguments; each call may have different ones.

        Raises:
            CannotCompileError: a program could not repeat this call.
        """
        runs = [event for event in self.happened if isinstance(event, tuple)]
        if any(reason == "a value was looked at" for _, reason in runs):
            raise CannotCompileError("it looks at a tensor's value")
        if self.continues_graph:
            raise CannotCompileError("it continues a graph that was made outside it")
        if self.random != default_generator.position().tobytes():
            raise CannotCompileError("it draws random numbers")
        cells = {cell(tensor) for tensor in given}
        captured = tuple(storage for storage in self.storages if storage not in cells)
        return captured, tuple(self.leaves), tuple(self.happened)


class CompiledFunction:
    """The result of `compile`; call it like the function.

    Attributes:
        why: the reason why calls run uncompiled; None once a program runs.
    """

    def __init__(self, function: Callable[..., Any], fullgraph: bool = False) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.fullgraph = fullgraph
        self.why: str | None = "it has not been called yet"
        self._plans: dict[Any, Any] = {}
        self._last: Callable[[tuple], Any] | None = None
        self._guards = _guards(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, or its traced program."""
        last = self._last
        if last is not None and not kwargs:
            output = last(args)
            if output is not NotImplemented:
                return output
        tensors, key = self._signature(args, kwargs)
        try:
            plan = self._plans.get(key)
        except TypeError as error:
            self.why = f"it takes an argument of {error}"
            if self.fullgraph:
                raise self._refusal() from None
            return self.function(*args, **kwargs)
        if isinstance(plan, Plan):
            output = plan.run([cell(tensor) for tensor in tensors])
            if output is not NotImplemented:
                self._last = plan.call
                return output
            plan = self._last = None
        if plan is False or local.recorder.watch is not None or _inside_a_trace(tensors):
            return self.function(*args, **kwargs)
        return self._watch(key, plan or [], args, kwargs)

    def _signature(self, args: tuple, kwargs: dict) -> tuple[list[Tensor], Any]:
        """The tensors among the arguments, and the key of the calls that one program can serve."""
        guards = tuple([_exactly(read()) for read in self._guards])
        leaves: Any = args
        tree = None
        if kwargs or not _LEAVES.issuperset(map(type, args)):
            leaves, tree = jax.tree.flatten((args, kwargs), is_leaf=is_tensor)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        kinds = tuple(
            [
                (leaf._storage.aval, leaf._current_node() is None)
                if isinstance(leaf, Tensor)
                else _exactly(leaf)
                for leaf in leaves
            ]
        )
        shared: tuple[int, ...] = ()
        if len(tensors) > 1:
            cells = [id(cell(tensor)) for tensor in tensors]
            shared = () if len(set(cells)) == len(cells) else tuple(map(cells.index, cells))
        return tensors, (guards, local.recorder.grad_enabled, tree, kinds, shared)

    def _watch(self, key: Any, calls: list[Any], args: tuple, kwargs: dict) -> Any:
        """Call the function uncompiled, and make a plan if the call did the same as the one before."""
        flush("a compiled function was called")
        guards = [(read, read()) for read in self._guards]
        recorder = local.recorder
        watch = recorder.watch = _Watch()
        try:
            output = self.function(*args, **kwargs)
            flush("a compiled function ended")
        finally:
            recorder.watch = None
            self._guards += [read for read in watch.guards if read not in self._guards]
        try:
            seen = watch.result(tensors_in((args, kwargs)))
            if len(self._plans) >= 64:
                self._plans.clear()
            if calls and calls[-1] == seen:
                self._plans[key] = self._plan(args, kwargs, seen, watch, guards)
                self.why = None
            elif len(calls) + 1 >= _MOST_WATCHED_CALLS:
                raise CannotCompileError("no two calls in a row do the same")
            else:
                self._plans[key] = [*calls, seen]
                self.why = "it has to do the same in two calls in a row first"
        except CannotCompileError as error:
            self._plans[key] = False
            self.why = str(error)
            if self.fullgraph:
                raise self._refusal() from None
        return output

    def _refusal(self) -> RuntimeError:
        return RuntimeError(f"{self.function.__name__} cannot be compiled: {self.why}")

    def _plan(self, args: tuple, kwargs: dict, seen: Any, watch: _Watch, guards: Any) -> Plan:
        """A plan that repeats the call seen by `watch`, valid while the guards read the same numbers."""
        captured, leaves, happened = seen
        ends_graph = any(
            isinstance(each, tuple) and each[1] == "backward ended" for each in happened
        )
        owners = {storage: watch.storages[storage] for storage in captured}
        return Plan(self.function, args, kwargs, owners, list(leaves), ends_graph, guards)


def _exactly(leaf: Any) -> Any:
    """A key that tells apart numbers which Python calls equal: 1, 1.0 and True, or 0.0 and -0.0."""
    return (type(leaf), repr(leaf)) if isinstance(leaf, NUMBERS) else leaf


def _inside_a_trace(tensors: list[Tensor]) -> bool:
    return any(is_tracer(tensor._storage.read().array) for tensor in tensors)


def _guards(function: Callable[..., Any]) -> list[Callable[[], Any]]:
    """Readers of the Python numbers in a function's closure and globals. A program is valid for their current values."""
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    cells = [cell for cell in function.__closure__ or () if isinstance(_contents(cell), NUMBERS)]
    names = [
        name
        for name in code.co_names
        if name in function.__globals__ and isinstance(function.__globals__[name], NUMBERS)
    ]
    return [
        *(functools.partial(_contents, cell) for cell in cells),
        *(functools.partial(function.__globals__.get, name) for name in names),
    ]


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = None,
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """Make an imperative function, such as a training step, one program that is dispatched at once.

    The function may read outside tensors, change them in place, call `.backward()` and clear
    gradients. It runs uncompiled until two calls in a row do the same. Then it is traced, and Python
    no longer runs it. Some functions cannot be repeated by a program: they look at a value, draw
    random numbers, or use numbers that change from call to call. They stay uncompiled, and `.why`
    gives the reason. A program is valid for the numbers in its arguments, closure and globals; other
    numbers need another program. Other Python state is read once, when the function is traced. A
    tensor returned after `.backward()` has no graph.

    Args:
        model: the function; None to use `compile` as a decorator with options.
        fullgraph: raise if the function cannot be traced, in place of running it uncompiled.
        dynamic, backend, mode, options: accepted for PyTorch's sake, without effect.
        disable: return the function unchanged.

    >>> import funcgrad.torch as torch
    >>> w = torch.ones(2, requires_grad=True)
    >>> @torch.compile
    ... def step():
    ...     loss = (w * w).sum()
    ...     loss.backward()
    ...     w.data -= 0.25 * w.grad
    ...     w.grad = None
    ...     return loss
    >>> [step().item() for _ in (1, 2, 3, 4, 5)]
    [2.0, 0.5, 0.125, 0.03125, 0.0078125]
    """
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, disable=disable)
    return model if disable else CompiledFunction(model, fullgraph)


publish_all({"compile": compile}, {})
