"""A call of an imperative function as a program: traced once, then called in place of the function.

The Python code around a program is generated for each plan, without loops: loops would double its time.
"""

from collections.abc import Callable
from typing import Any
from weakref import ref

import jax

from funcgrad.engine import Aval, GraphNode, Leaf, Storage, Value, Variable, compute, local
from funcgrad.engine.compiling import compiled, placed
from funcgrad.engine.recording import State, Trace, Watch
from funcgrad.engine.trace import device_array
from funcgrad.engine.values import is_tracer
from funcgrad.torch._tensor.layout import is_tensor
from funcgrad.torch._tensor.tensor import Tensor

NUMBERS = (bool, int, float, complex, str, type(None))


class CannotCompileError(Exception):
    """A traced program could not repeat the function; the message says why."""


class _TracingWatch(Watch):
    """Refuses reads in a traced call of values that are neither inputs of the program nor made in it."""

    def __init__(self) -> None:
        self.created: set[Value] = set()

    def reads(self, variable: Variable) -> None:
        """Refuse an array that would be a constant of the program.

        Raises:
            CannotCompileError: the array belongs to a tensor, not to a Python number.
        """
        value = variable._storage.read()
        if type(variable) is not Variable and not (is_tracer(value.array) or value in self.created):
            raise CannotCompileError("it reads a tensor that it did not read before")

    def meets(self, node: GraphNode) -> None:
        """Allow every node: outside nodes were refused while the call was watched."""

    def creates(self, value: Value) -> None:
        """Allow a constant of the program."""
        self.created.add(value)

    def ran(self, state: State, made: list[Value], reason: str) -> None:
        """Allow a run."""


class Plan:
    """One traced call: the program, the places of its inputs, and the places of its outputs.

    Args:
        function, args, kwargs: the call to trace.
        captured: the outside storages that the function reads, and the tensors each was read through.
        leaves: the leaves that the call meets.
        ends_graph: whether the call runs `.backward()`.
        guards: readers of outside numbers, and the values expected; the caller of `run` checks them.

    Raises:
        CannotCompileError: a program could not repeat this call.

    Attributes:
        run: takes the storages of the tensors among the arguments, calls the program, writes its
            updates in place, and returns the function's output. If the inputs differ from the
            traced ones, it does nothing and returns NotImplemented.
        call: `run` for the arguments themselves; it also checks their types. None if the arguments
            are not all plain tensors and numbers.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple,
        kwargs: dict,
        captured: dict[Storage, list[ref[Variable]]],
        leaves: list[Leaf],
        ends_graph: bool,
        guards: list[tuple[Callable[[], Any], Any]],
    ) -> None:
        self.ends_graph = ends_graph
        self.captured = list(captured)
        variables: list[Any] = [leaf.reference() for leaf in leaves]
        self.leaves: list[tuple[Callable[[], Any], bool]] = [
            (leaf.reference, variable._grad is not None)
            for leaf, variable in zip(leaves, variables, strict=True)
            if variable is not None
        ]
        given = [cell(tensor) for tensor in tensors_in((args, kwargs))]
        storages = self._storages(given)
        self.avals = [storage.aval for storage in storages]
        arrays = [compute(storage.read()) for storage in storages]
        self.program = compiled(lambda *traced: self._trace(function, args, kwargs, traced), arrays)
        source = _Source(self, [(s, each) for s in captured for each in captured[s]], len(given))
        self.run = source.of_storages()
        self.call = None if kwargs else source.of_arguments(args, guards)

    def _storages(self, given: list[Storage]) -> list[Storage]:
        """The storages of the program's inputs, in order. `given` are the arguments' storages."""
        grads = [cell(variable()._grad) for variable, had in self.leaves if had]
        # A storage comes twice if two arguments share it; the plan's key says which do.
        return [*self.captured, *given, *grads]

    def _trace(self, function: Callable, args: tuple, kwargs: dict, traced: Any) -> list[Any]:
        """Run the function on tracers, restore all state, and return the program's outputs."""
        storages = self._storages([cell(tensor) for tensor in tensors_in((args, kwargs))])
        before = [(storage, storage.read(), storage.version) for storage in storages]
        grads = [(variable(), variable()._grad) for variable, _ in self.leaves]
        nodes = [(tensor, *tensor._edge()) for tensor in tensors_in((args, kwargs))]
        recorder = local.recorder
        held, recorder.trace, recorder.watch = recorder.trace, Trace(), _TracingWatch()
        try:
            inputs = [Value.of(tracer) for tracer in traced]
            for storage, value in zip(storages, inputs, strict=True):
                storage.write(value)
            output = function(*args, **kwargs)
            return self._collect(output, storages, inputs, before, grads)
        finally:
            recorder.trace, recorder.watch = held, None
            for storage, value, version in before:
                storage.write(value)
                storage.version = version
            for variable, grad in grads:
                variable._grad = grad
            for tensor, node, nr in nodes:
                tensor._set_edge(node, nr)

    def _collect(
        self, output: Any, storages: list[Storage], inputs: list[Value], before: Any, grads: Any
    ) -> list[Any]:
        """The arrays that the program returns; the plan remembers the place of each."""
        leaves, self.tree = jax.tree.flatten(output, is_leaf=is_tensor)
        if not self.ends_graph and any(is_tensor(leaf) and leaf.requires_grad for leaf in leaves):
            raise CannotCompileError("it returns a result that requires grad")
        results: list[Any] = []

        def returned(value: Value) -> Aval:
            results.append(compute(value))
            return Value.of(results[-1]).aval

        self.changed = [
            (k, storage.version - before[k][2], returned(storage.read()))
            for k, storage in enumerate(storages)
            if storage.read() is not inputs[k]
        ]
        self.new_grads = [
            (k, returned(variable._grad._storage.read()))
            for k, (variable, old) in enumerate(grads)
            if variable._grad is not None and variable._grad is not old
        ]
        self.no_grads = [
            k
            for k, (variable, old) in enumerate(grads)
            if variable._grad is None and old is not None
        ]
        self.output = [None if is_tensor(leaf) else (leaf,) for leaf in leaves]
        self.output_types = [returned(leaf._storage.read()) for leaf in leaves if is_tensor(leaf)]
        self.single = is_tensor(output)
        return results


class _Source:
    """Writes a plan's `run` and `call`."""

    def __init__(self, plan: Plan, owners: list[tuple[Storage, Any]], given: int) -> None:
        self.plan, self.given = plan, given
        self.scope: dict[str, Any] = {
            "Storage": Storage,
            "Tensor": Tensor,
            "Value": Value,
            "cell": cell,
            "device_array": device_array,
            "jax_array": type(placed(0)),
            "local": local,
            "new": object.__new__,
            "program": plan.program,
        }
        self.names: dict[int, str] = {}
        self.body = [*self._checks(owners), *self._inputs(), *self._outputs()]

    def _name(self, constant: Any) -> str:
        """The name of an outside object in the source."""
        name = self.names.setdefault(id(constant), f"c{len(self.names)}")
        self.scope[name] = constant
        return name

    def _checks(self, owners: list[tuple[Storage, Any]]) -> list[str]:
        """Lines that check that the outside tensors are the captured ones."""
        lines, unless = [], "return NotImplemented"
        for storage, owner in owners:
            if (tensor := owner()) is not None:
                behind = "" if tensor._storage is storage else ".source"
                lines += [
                    f"owner = {self._name(owner)}()",
                    f"if owner is None or owner._storage{behind} is not {self._name(storage)}: {unless}",
                ]
        for k, (reference, had) in enumerate(self.plan.leaves):
            other = "is" if had else "is not"
            lines += [
                f"leaf{k} = {self._name(reference)}()",
                f"if leaf{k} is None or leaf{k}._grad {other} None: {unless}",
            ]
        return lines

    def _inputs(self) -> list[str]:
        """Lines that name the inputs' storages `s0`, `s1`, ..., and their arrays `a0`, `a1`, ..."""
        captured = len(self.plan.captured)
        lines = [f"s{k} = {self._name(s)}" for k, s in enumerate(self.plan.captured)]
        grads = [k for k, (_, had) in enumerate(self.plan.leaves) if had]
        lines += [
            f"s{position} = cell(leaf{k}._grad)"
            for position, k in enumerate(grads, captured + self.given)
        ]
        for k, aval in enumerate(self.plan.avals):
            lines += [
                f"value{k} = s{k}.read()",
                f"if value{k}.aval is not {self._name(aval)}: return NotImplemented",
                f"a{k} = value{k}.array",
            ]
        for k in range(len(self.plan.avals)):
            lines.append(f"if type(a{k}) is not jax_array: a{k} = device_array(value{k})")
        return lines

    def _outputs(self) -> list[str]:
        """Lines that call the program and store each result in its place."""
        plan = self.plan
        count = len(plan.changed) + len(plan.new_grads) + len(plan.output_types)
        results = iter([f"r{k}" for k in range(count)])
        arguments = ", ".join(f"a{k}" for k in range(len(plan.avals)))
        lines = [f"[{', '.join(f'r{k}' for k in range(count))}] = program({arguments})"]
        for k, writes, aval in plan.changed:
            lines.append(f"s{k}.write(Value({next(results)}, {self._name(aval)}))")
            lines.append(f"s{k}.version += {writes}")
        for k, aval in plan.new_grads:
            lines += [*self._tensor(next(results), aval), f"leaf{k}._grad = made"]
        lines += [f"leaf{k}._grad = None" for k in plan.no_grads]
        types = iter(plan.output_types)
        if plan.single:
            return [*lines, *self._tensor(next(results), next(types)), "return made"]
        lines.append("leaves = []")
        for kept in plan.output:
            if kept is None:
                lines += [*self._tensor(next(results), next(types)), "leaves.append(made)"]
            else:
                lines.append(f"leaves.append({self._name(kept[0])})")
        return [*lines, f"return {self._name(plan.tree)}.unflatten(leaves)"]

    def _tensor(self, result: str, aval: Aval) -> list[str]:
        """Lines that make a tensor of a result: `tensor_of`, inlined."""
        return [
            "made, storage = new(Tensor), new(Storage)",
            f"storage.value, storage.version = Value({result}, {self._name(aval)}), 0",
            "made._storage, made._node, made._nr = storage, None, 0",
        ]

    def of_storages(self) -> Callable[[list[Storage]], Any]:
        """The plan's `run`."""
        first = len(self.plan.captured)
        targets = ", ".join(f"s{k}" for k in range(first, first + self.given))
        return self._function("given", [f"[{targets}] = given"])

    def of_arguments(
        self, args: tuple, guards: list[tuple[Callable[[], Any], Any]]
    ) -> Callable[[tuple], Any] | None:
        """The plan's `call`."""
        unless = "return NotImplemented"
        lines = [
            f"if len(args) != {len(args)} or local.recorder.grad_enabled is not {local.recorder.grad_enabled}: {unless}",
            f"[{', '.join(f't{k}' for k in range(len(args)))}] = args",
        ]
        lines += [f"if {self._name(read)}() is not {self._name(n)}: {unless}" for read, n in guards]
        storages: list[str] = []
        for k, arg in enumerate(args):
            if type(arg) is Tensor and arg._storage.is_plain:
                storage = f"s{len(self.plan.captured) + len(storages)}"
                other = "is not" if arg._current_node() is None else "is"
                same = "".join(f" or {storage} is {each}" for each in storages)
                lines += [
                    f"if type(t{k}) is not Tensor or t{k}._node {other} None: {unless}",
                    f"{storage} = t{k}._storage",
                    f"if not {storage}.is_plain{same}: {unless}",
                ]
                storages.append(storage)
            elif type(arg) in NUMBERS:
                lines.append(f"if t{k} is not {self._name(arg)}: {unless}")
            else:
                return None
        return self._function("args", lines)

    def _function(self, argument: str, head: list[str]) -> Callable[[Any], Any]:
        lines = [f"def function({argument}):", *head, *self.body]
        exec("\n    ".join(lines), self.scope)
        return self.scope.pop("function")


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors in a pytree."""
    return [leaf for leaf in jax.tree.leaves(tree, is_leaf=is_tensor) if is_tensor(leaf)]


def cell(tensor: Tensor) -> Storage:
    """The storage that holds a tensor's elements, behind any `.data`."""
    return tensor._storage.memory
