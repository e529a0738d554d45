"""`torch.compile`: an imperative function, its updates of the tensors around it included, as one dispatch.

The engine compiles what is recorded, but Python runs again to record it. A compiled function is
traced once, with its tensors carrying tracers; from then on it is a program that takes every tensor
the function reads and returns every tensor it changes.
"""

import functools
from collections.abc import Callable
from typing import Any
from weakref import ref

import jax
import numpy as np

from funcgrad.engine import Aval, GraphNode, Leaf, Storage, Value, Variable, compute, flush, local
from funcgrad.engine.nodes import next_sequence
from funcgrad.engine.programs import compiled
from funcgrad.engine.trace import State, Trace
from funcgrad.engine.values import is_tracer
from funcgrad.torch.random_stream import default_generator
from funcgrad.torch.tensor import Tensor, tensor_of

# Calls run as they are until two in a row have done the same. After so many that did not, all do.
_MOST_WATCHED_CALLS = 6
_NUMBERS = (bool, int, float, complex, str, type(None))
_LEAVES = {Tensor, *_NUMBERS}


class _CannotCompileError(Exception):
    """A traced program could not repeat what the function does; the message says why."""


class _Watch:
    """What one call reads from outside itself, and what happens in it."""

    def __init__(self) -> None:
        self.storages: dict[Storage, list[ref[Variable]]] = {}
        self.leaves: dict[Leaf, None] = {}
        self.happened: list[Any] = []
        self.made: set[Value] = set()
        self.continues_graph = False
        self.start = next_sequence()
        self.random = default_generator.get_state().tobytes()

    def reads(self, variable: Variable) -> None:
        """Note a storage from outside, or the number read."""
        storage = getattr(variable.storage, "source", variable.storage)
        if type(variable) is Variable:
            self.happened.append(np.asarray(storage.value.array).item())
        elif storage.value not in self.made:
            self.storages.setdefault(storage, []).append(ref(variable))

    def meets(self, node: GraphNode) -> None:
        """Note a leaf, or a node of a graph that was made before the call."""
        if isinstance(node, Leaf):
            self.leaves[node] = None
        elif node.sequence < self.start:
            self.continues_graph = True

    def ran(self, state: State, made: list[Value], reason: str) -> None:
        """Note a run, and that what it made is not from outside."""
        self.made.update(made)
        self.happened.append((state, reason))

    def result(self, given: list[Tensor]) -> tuple[Any, ...]:
        """What must be the same in two calls for them to have done the same.

        Args:
            given: the tensors among the arguments, which may be others at every call.

        Raises:
            _CannotCompileError: a program could not repeat this call.
        """
        runs = [event for event in self.happened if type(event) is tuple]
        if any(reason == "a value was looked at" for _, reason in runs):
            raise _CannotCompileError("it looks at a tensor's value")
        if self.continues_graph:
            raise _CannotCompileError("it continues a graph that was made outside it")
        if self.random != default_generator.get_state().tobytes():
            raise _CannotCompileError("it draws random numbers")
        cells = {_cell(tensor) for tensor in given}
        captured = tuple(storage for storage in self.storages if storage not in cells)
        return captured, tuple(self.leaves), tuple(self.happened)


class _TracingWatch:
    """Sees to it that a traced call reads nothing that is not among the program's inputs."""

    def reads(self, variable: Variable) -> None:
        """Refuse an array that would be a constant of the program.

        Raises:
            _CannotCompileError: it is a tensor's, and not a Python number's.
        """
        if type(variable) is not Variable and not is_tracer(variable.storage.value.array):
            raise _CannotCompileError("it reads a tensor that it did not read before")

    def meets(self, node: GraphNode) -> None:
        """Let any node pass: those from outside were refused while the call was watched."""

    def ran(self, state: State, made: list[Value], reason: str) -> None:
        """Let a run pass."""


class _Plan:
    """One traced call: the program, where its inputs are found, and where its outputs go."""

    def __init__(
        self, function: Callable[..., Any], args: tuple, kwargs: dict, seen: Any, watch: _Watch
    ) -> None:
        captured, leaves, happened = seen
        self.ends_graph = any(
            type(event) is tuple and event[1] == "backward ended" for event in happened
        )
        self.captured = list(captured)
        self.grad_enabled = local.recorder.grad_enabled
        # What `match` asks of the arguments: types, where all are tensors; nothing fits a None.
        self.kinds: Any = [
            (arg.storage.value.aval, arg.node is None) if _is_tensor(arg) else (None, None)
            for arg in args
        ]
        variables = [leaf.reference() for leaf in leaves]
        self.leaves = [
            (leaf.reference, variable._grad is not None)
            for leaf, variable in zip(leaves, variables, strict=True)
            if variable is not None
        ]
        # Where a tensor around the function is replaced, the one that was captured dies, and the plan with it.
        self.alive = True
        self.owners = [
            ref(variable, self._captured_died)
            for storage in captured
            for each in watch.storages[storage]
            if (variable := each()) is not None
        ]
        storages = self._storages([_cell(tensor) for tensor in _tensors((args, kwargs))])
        self.avals = [storage.value.aval for storage in storages]
        arrays = [compute(storage.value) for storage in storages]
        # Mostly the inputs are the same storages at every call.
        self.fixed = (
            list(zip(storages, self.avals, strict=True)) if storages == self.captured else None
        )
        self.program = compiled(lambda *traced: self._trace(function, args, kwargs, traced), arrays)

    def _captured_died(self, _: Any) -> None:
        self.alive = False

    def _storages(self, given: list[Storage]) -> list[Storage]:
        """The storages of the program's inputs, in order; those of the arguments are given."""
        grads = [_cell(variable()._grad) for variable, had in self.leaves if had]
        # A storage may come twice, where two arguments share one; the key of the plan tells which do.
        return [*self.captured, *given, *grads]

    def _trace(self, function: Callable, args: tuple, kwargs: dict, traced: Any) -> list[Any]:
        """Run the function on tracers; leave everything as it was; return all that it changed."""
        storages = self._storages([_cell(tensor) for tensor in _tensors((args, kwargs))])
        before = [(storage, storage.value, storage.version) for storage in storages]
        grads = [(variable(), variable()._grad) for variable, _ in self.leaves]
        nodes = [(tensor, tensor.node, tensor.nr) for tensor in _tensors((args, kwargs))]
        recorder = local.recorder
        held, recorder.trace, recorder.watch = recorder.trace, Trace(), _TracingWatch()
        try:
            inputs = [Value.of(tracer) for tracer in traced]
            for storage, value in zip(storages, inputs, strict=True):
                storage.value = value
            output = function(*args, **kwargs)
            return self._collect(output, storages, inputs, before, grads)
        finally:
            recorder.trace, recorder.watch = held, None
            for storage, value, version in before:
                storage.value, storage.version = value, version
            for variable, grad in grads:
                variable._grad = grad
            for tensor, node, nr in nodes:
                tensor.node, tensor.nr = node, nr

    def _collect(
        self, output: Any, storages: list[Storage], inputs: list[Value], before: Any, grads: Any
    ) -> list[Any]:
        """The arrays that the program returns; remembers which is what."""
        leaves, self.tree = jax.tree.flatten(output, is_leaf=_is_tensor)
        if not self.ends_graph and any(_is_tensor(leaf) and leaf.requires_grad for leaf in leaves):
            raise _CannotCompileError("it returns a result that requires grad")
        results: list[Any] = []

        def returned(value: Value) -> Aval:
            results.append(compute(value))
            return Value.of(results[-1]).aval

        self.changed = [
            (k, storage.version - before[k][2], returned(storage.value))
            for k, storage in enumerate(storages)
            if storage.value is not inputs[k]
        ]
        self.new_grads = [
            (k, returned(variable._grad.storage.value))
            for k, (variable, old) in enumerate(grads)
            if variable._grad is not None and variable._grad is not old
        ]
        self.no_grads = [
            k
            for k, (variable, old) in enumerate(grads)
            if variable._grad is None and old is not None
        ]
        self.output = [None if _is_tensor(leaf) else (leaf,) for leaf in leaves]
        self.output_types = [returned(leaf.storage.value) for leaf in leaves if _is_tensor(leaf)]
        self.single = self.output_types[0] if _is_tensor(output) else None
        return results

    def match(self, args: tuple) -> list[Storage] | None:
        """The storages of arguments that are all tensors, if they are of the types traced; a short cut."""
        if len(args) != len(self.kinds) or local.recorder.grad_enabled is not self.grad_enabled:
            return None
        storages = []
        for tensor, (aval, no_grad) in zip(args, self.kinds, strict=True):
            if type(tensor) is not Tensor or (tensor.node is None) is not no_grad:
                return None
            storage = tensor.storage
            if type(storage) is not Storage or storage.value.aval is not aval:
                return None
            storages.append(storage)
        return storages if len(args) < 2 or len(set(storages)) == len(args) else None

    def run(self, given: list[Storage]) -> Any:
        """Call the program, put what it changed in place, and return the function's output.

        Returns NotImplemented, with nothing done, where the inputs are not what they were when the
        function was traced.
        """
        if not self.alive:
            return NotImplemented
        variables = []
        for reference, had in self.leaves:
            variable: Any = reference()
            if variable is None or (variable._grad is not None) is not had:
                return NotImplemented
            variables.append(variable)
        inputs = self.fixed
        if inputs is None:
            inputs = list(zip(self._storages(given), self.avals, strict=True))
        arrays = []
        for storage, aval in inputs:
            value = storage.value
            if value.aval is not aval:
                return NotImplemented
            array = value.array
            arrays.append(compute(value) if array is None else array)
        results = self.program(*arrays)
        position = 0
        for k, writes, aval in self.changed:
            storage = inputs[k][0]
            storage.value = Value(results[position], aval)
            storage.version += writes
            position += 1
        for k, aval in self.new_grads:
            variables[k]._grad = tensor_of(Value(results[position], aval))
            position += 1
        for k in self.no_grads:
            variables[k]._grad = None
        if self.single is not None:
            return tensor_of(Value(results[position], self.single))
        made = map(tensor_of, map(Value, results[position:], self.output_types))
        leaves = [next(made) if kept is None else kept[0] for kept in self.output]
        return jax.tree.unflatten(self.tree, leaves)


class CompiledFunction:
    """What `compile` returns: call it as the function.

    Attributes:
        why: why calls run as they are, where they do; None once a program runs.
    """

    def __init__(self, function: Callable[..., Any], fullgraph: bool = False) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.fullgraph = fullgraph
        self.why: str | None = "it has not been called yet"
        self._plans: dict[Any, Any] = {}
        self._last: _Plan | None = None
        self._guards = _guards(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, or the program that it was traced to."""
        last = self._last
        if last is not None and not kwargs and not self._guards:
            given = last.match(args)
            if given is not None:
                output = last.run(given)
                if output is not NotImplemented:
                    return output
        tensors, key = self._signature(args, kwargs)
        plan = self._plans.get(key)
        if type(plan) is _Plan:
            output = plan.run([_cell(tensor) for tensor in tensors])
            if output is not NotImplemented:
                self._last = plan
                return output
            plan = self._last = None
        if plan is False or local.recorder.watch is not None or _inside_a_trace(tensors):
            return self.function(*args, **kwargs)
        return self._watch(key, plan or [], args, kwargs)

    def _signature(self, args: tuple, kwargs: dict) -> tuple[list[Tensor], Any]:
        """The tensors among the arguments, and what a program is good for."""
        guards = tuple([read() for read in self._guards])
        leaves: Any = args
        tree = None
        if kwargs or not _LEAVES.issuperset(map(type, args)):
            leaves, tree = jax.tree.flatten((args, kwargs), is_leaf=_is_tensor)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        kinds = tuple(
            [
                (leaf.storage.value.aval, leaf.node is None) if isinstance(leaf, Tensor) else leaf
                for leaf in leaves
            ]
        )
        shared: tuple[int, ...] = ()
        if len(tensors) > 1:
            cells = [id(_cell(tensor)) for tensor in tensors]
            shared = () if len(set(cells)) == len(cells) else tuple(map(cells.index, cells))
        return tensors, (guards, local.recorder.grad_enabled, tree, kinds, shared)

    def _watch(self, key: Any, calls: list[Any], args: tuple, kwargs: dict) -> Any:
        """Call the function as it is, and make a plan if it did what it did the time before."""
        flush("a compiled function was called")
        recorder = local.recorder
        watch = recorder.watch = _Watch()
        try:
            output = self.function(*args, **kwargs)
            flush("a compiled function ended")
        finally:
            recorder.watch = None
        try:
            seen = watch.result(_tensors((args, kwargs)))
            if len(self._plans) >= 64:
                self._plans.clear()
            if calls and calls[-1] == seen:
                self._plans[key] = _Plan(self.function, args, kwargs, seen, watch)
                self.why = None
            elif len(calls) + 1 >= _MOST_WATCHED_CALLS:
                raise _CannotCompileError("no two calls in a row do the same")
            else:
                self._plans[key] = [*calls, seen]
                self.why = "it has to do the same in two calls in a row first"
        except _CannotCompileError as error:
            self._plans[key] = False
            self.why = str(error)
            if self.fullgraph:
                raise RuntimeError(
                    f"{self.function.__name__} cannot be compiled: {error}"
                ) from None
        return output


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in jax.tree.leaves(tree, is_leaf=_is_tensor) if _is_tensor(leaf)]


def _cell(tensor: Tensor) -> Storage:
    """The storage that holds a tensor's elements, behind any `.data`."""
    storage = tensor.storage
    return storage if type(storage) is Storage else storage.source  # type: ignore[attr-defined]


def _inside_a_trace(tensors: list[Tensor]) -> bool:
    return any(is_tracer(tensor.storage.value.array) for tensor in tensors)


def _guards(function: Callable[..., Any]) -> list[Callable[[], Any]]:
    """Readers of the Python numbers that a function takes from around it: a program is good for their values."""
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    cells = [cell for cell in function.__closure__ or () if isinstance(_contents(cell), _NUMBERS)]
    names = [
        name
        for name in code.co_names
        if name in function.__globals__ and isinstance(function.__globals__[name], _NUMBERS)
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

    The function may read tensors around it, change them in place, call `.backward()` and clear
    gradients. It runs as it is until two calls in a row have done the same; then it is traced, and
    from then on Python does not run it. Where a program could not repeat it (it looks at a value,
    draws random numbers, uses numbers that change from call to call), it keeps running as it is:
    `.why` tells the reason. Numbers among the arguments, and those the function takes from its
    closure and globals, are part of what a program is good for; other Python state is read when the
    function is traced. A tensor returned after `.backward()` carries no graph.

    Args:
        model: the function; None to use `compile` as a decorator with options.
        fullgraph: raise where the function cannot be traced, in place of running it as it is.
        dynamic, backend, mode, options: taken for PyTorch's sake, without effect.
        disable: return the function as it is.

    >>> import funcgrad.torch as torch
    >>> w = torch.ones(2, requires_grad=True)
    >>> @torch.compile
    ... def step():
    ...     loss = (w * w).sum()
    ...     loss.backward()
    ...     w.data -= 0.25 * w.grad
    ...     w.grad = None
    ...     return loss
    >>> [step().item() for _ in range(5)]
    [2.0, 0.5, 0.125, 0.03125, 0.0078125]
    """
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, disable=disable)
    return model if disable else CompiledFunction(model, fullgraph)


FUNCTIONS = {"compile": compile}
METHODS: dict[str, Any] = {}
