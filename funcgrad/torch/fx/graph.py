"""`Graph`: nodes in the order of their calls, and the Python code that makes the same calls."""

import copy
import enum
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.fx._names import Names, qualified_name, snake_case, type_name
from funcgrad.torch.fx.node import Node, map_arg

__all__ = ["Graph", "PythonCode"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


_BINARY = {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "truediv": "/", "mod": "%", "pow": "**", "lshift": "<<"}  # fmt: skip
_BINARY |= {"rshift": ">>", "and_": "&", "or_": "|", "xor": "^", "matmul": "@", "eq": "==", "ne": "!=", "lt": "<"}  # fmt: skip
_BINARY |= {"gt": ">", "le": "<=", "ge": ">="}
_OPERATORS = {name: f"{{}} {sign} {{}}" for name, sign in _BINARY.items()}
_OPERATORS |= {"getitem": "{}[{}]", "pos": "+{}", "neg": "-{}", "invert": "~{}"}
_IN_PLACE = {"iadd": "+", "iand": "&", "ifloordiv": "//", "ilshift": "<<", "imod": "%", "imul": "*", "imatmul": "@"}  # fmt: skip
_IN_PLACE |= {"ior": "|", "ipow": "**", "irshift": ">>", "isub": "-", "itruediv": "/", "ixor": "^"}  # fmt: skip
_WRITES = {name: f"{{}} {sign}= {{}}" for name, sign in _IN_PLACE.items()}
_WRITES["setitem"] = "{}[{}] = {}"


@dataclass
class PythonCode:
    """Code, and the values of the global names in it."""

    src: str
    globals: dict[str, Any]


class _Nodes:
    """A graph's nodes in order. A node that is erased meanwhile is left out, and one that is put in further on comes."""

    def __init__(self, root: Node, backward: bool = False) -> None:
        self._root, self._backward = root, backward

    def __iter__(self) -> Iterator[Node]:
        at = self._root
        while (at := at._prev if self._backward else at._next) is not self._root:
            if not at._erased:
                yield at

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __reversed__(self) -> Iterator[Node]:
        return iter(_Nodes(self._root, not self._backward))


class Graph:
    """Calls, as nodes in order.

    Behaviour: https://docs.pytorch.org/docs/stable/fx.html#torch.fx.Graph

    >>> graph = Graph()
    >>> x = graph.placeholder("x")
    >>> _ = graph.output(graph.call_method("relu", (x,)))
    >>> print(graph)
    graph():
        %x : [num_users=1] = placeholder[target=x]
        %relu : [num_users=1] = call_method[target=relu](args = (%x,), kwargs = {})
        return relu
    """

    def __init__(self, owning_module: Any = None, tracer_cls: Any = None) -> None:
        self._names = Names()
        self._root = Node(self, "", "root", "", (), {})
        self._at = self._root
        self.owning_module = owning_module
        self._tracer_cls = tracer_cls

    @property
    def nodes(self) -> _Nodes:
        """The nodes in order; `reversed` gives them backward."""
        return _Nodes(self._root)

    def output_node(self) -> Node:
        """The node of the result."""
        return next(node for node in reversed(self.nodes) if node.op == "output")

    def find_nodes(self, *, op: str, target: Any = None, sort: bool = True) -> list[Node]:
        """All nodes of an op, and of a target if it is given."""
        return [
            node
            for node in self.nodes
            if node.op == op and (target is None or node.target == target)
        ]

    # -- making nodes ---------------------------------------------------------------------------------------------

    def create_node(
        self,
        op: str,
        target: Any,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """Put a node into the graph, at its end or where `inserting_before` and `inserting_after` say."""
        found = self._names.create(name if name is not None else self._target_to_str(target))
        node = Node(self, found, op, target, args or (), kwargs or {}, type_expr)
        self._at.prepend(node)
        return node

    def _target_to_str(self, target: Any) -> str:
        """A name for the result of a call."""
        if callable(target):
            name = target.__name__
        else:
            name = target
            if name.startswith("__") and name.endswith("__"):
                name = name[2:-2]
        return snake_case(name)

    def placeholder(self, name: str, type_expr: Any = None, default_value: Any = ...) -> Node:
        """Put in an argument of the graph's function."""
        args = () if default_value is ... else (default_value,)
        return self.create_node("placeholder", name, args, type_expr=type_expr)

    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """Put in an attribute of the module, such as a parameter."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_module(
        self, module_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """Put in a call of a module in the module."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def call_method(
        self, method_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """Put in a call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_function(
        self,
        the_function: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        type_expr: Any = None,
        name: str | None = None,
    ) -> Node:
        """Put in a call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name, type_expr)

    def output(self, result: Any, type_expr: Any = None) -> Node:
        """Put in the result."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Any] = lambda x: x) -> Node:
        """Put in a copy of a node of another graph; `arg_transform` gives the nodes to take in place of its own."""
        args, kwargs = map_arg(node.args, arg_transform), map_arg(node.kwargs, arg_transform)
        made = self.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        made.meta = copy.copy(node.meta)
        return made

    def graph_copy(self, g: "Graph", val_map: dict[Node, Any], return_output_node: bool = False) -> Any:  # fmt: skip
        """Put in copies of all nodes of another graph but its output, and return the copy of its result.

        Args:
            g: the other graph.
            val_map: nodes of the other graph with their values here; it gets those of the copies.
            return_output_node: whether to return the other graph's output too.
        """
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                found = map_arg(node.args[0], val_map.__getitem__)
                return (found, node) if return_output_node else found
            val_map[node] = self.node_copy(node, val_map.__getitem__)
        return None

    def __deepcopy__(self, memo: Any = None) -> "Graph":
        """A graph of copies."""
        made = Graph(tracer_cls=self._tracer_cls)
        found = made.graph_copy(self, {}, return_output_node=True)
        if found is not None:
            result, old = found
            made.output(result, old.type).meta = copy.copy(old.meta)
        return made

    # -- changing it ----------------------------------------------------------------------------------------------

    @contextmanager
    def _inserting(self, before: Node) -> Iterator[None]:
        kept, self._at = self._at, before
        try:
            yield
        finally:
            self._at = kept

    def inserting_before(self, n: Node | None = None) -> Any:
        """Put new nodes before a node inside the block; before all if None."""
        return self._inserting(self._root._next if n is None else n)

    def inserting_after(self, n: Node | None = None) -> Any:
        """Put new nodes after a node inside the block; after all if None."""
        return self._inserting(self._root if n is None else n._next)

    def erase_node(self, to_erase: Node) -> None:
        """Take a node out of the graph.

        Raises:
            RuntimeError: another node takes its result.
        """
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in the graph: "
                f"{to_erase.users}!"
            )
        if to_erase.graph is not self:
            raise RuntimeError(f"Attempting to remove {to_erase} from wrong graph!")
        to_erase._cut_out()
        to_erase._erased = True
        to_erase._take((), {})

    def eliminate_dead_code(self, is_impure_node: Callable[[Node], bool] | None = None) -> bool:
        """Take out nodes whose result nobody takes; returns whether there were any."""
        self.lint()
        impure = is_impure_node or Node.is_impure
        found = False
        for node in reversed(self.nodes):
            if not node.users and not node.is_impure() and not impure(node):
                self.erase_node(node)
                found = True
        return found

    def lint(self) -> None:
        """Check that the graph is in order.

        Raises:
            RuntimeError: a node takes one that comes later, or is none of this graph; or two have one name.
        """
        seen: set[Node] = set()
        names: set[str] = set()
        for node in self.nodes:
            if node.graph is not self:
                raise RuntimeError(f"Node '{node}' does not belong to this Graph!")
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            for each in node.all_input_nodes:
                if each.graph is not self:
                    raise RuntimeError(
                        f"Argument '{each}' of Node '{node}' does not belong to this Graph, but was used as an argument! If you "
                        "are copying nodes from another graph, make sure to use ``arg_transform`` on node_copy() to remap "
                        f"values\n{self}"
                    )
                if each not in seen:
                    raise RuntimeError(
                        f"Argument '{each}' of Node '{node}' was used before it has been defined! Please check that Nodes in the "
                        f"graph are topologically ordered\n{self}"
                    )
            seen.add(node)
            names.add(node.name)

    # -- showing it -----------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        """The nodes, one a line."""
        lines = [node.format_node() for node in self.nodes]
        return "graph():" + "".join(f"\n    {line}" for line in lines)

    def print_tabular(self) -> None:
        """Print the nodes as a table, by the package tabulate."""
        rows = [[node.op, node.name, node.target, node.args, node.kwargs] for node in self.nodes]
        table = import_module("tabulate").tabulate
        print(table(rows, headers=["opcode", "name", "target", "args", "kwargs"]))

    def python_code(self, root_module: str) -> PythonCode:
        """Code of a method `forward` that makes the same calls.

        Args:
            root_module: the name of the module in the code.
        """
        writer = _Writer(self, root_module)
        return writer.code()


# The names before Python 3.9 of generic types.
_OLD_GENERICS: dict[Any, Any] = {
    dict: typing.Dict,  # noqa: UP006
    frozenset: typing.FrozenSet,  # noqa: UP006
    list: typing.List,  # noqa: UP006
    set: typing.Set,  # noqa: UP006
    tuple: typing.Tuple,  # noqa: UP006
}


class _Writer:
    """Writes the code of a graph."""

    def __init__(self, graph: Graph, root: str) -> None:
        self.graph, self.root = graph, root
        self.names = Names()
        self.globals: dict[str, Any] = {}
        self.wrapped: dict[str, None] = {}
        for name, value in self.names.free.items():
            self._global(name, value)
        self.globals["torch"] = import_module("funcgrad.torch")
        self.names.used.add("torch")

    def _global(self, hint: str, value: Any) -> str:
        module = getattr(value, "__module__", None)
        if isinstance(module, str) and f"{module}.".startswith("funcgrad.torch.") and value is not device:  # fmt: skip
            return qualified_name(value)
        name = self.names.create(hint, value)
        self.globals[name] = value
        return name

    def _repr(self, arg: Any) -> str:
        """An argument as code."""
        if isinstance(arg, tuple):
            if hasattr(arg, "_fields"):
                return f"{self._global(qualified_name(type(arg)), type(arg))}{tuple(arg)!r}"
            parts = [self._repr(each) for each in arg]
            return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"
        if isinstance(arg, list):
            return f"[{', '.join(map(self._repr, arg))}]"
        if isinstance(arg, slice):
            return f"slice({', '.join(map(self._repr, (arg.start, arg.stop, arg.step)))})"
        if isinstance(arg, enum.Enum):
            return f"{self._global(type(arg).__name__, type(arg))}.{arg.name}"
        if isinstance(arg, Tensor):
            return f"torch.Tensor(size={list(arg.shape)}, dtype={str(arg.dtype).split('.')[-1]})"
        return repr(arg)

    def _arguments(self, args: Any, kwargs: Any) -> str:
        given = [f"{name} = {self._repr(value)}" for name, value in kwargs.items()]
        return ", ".join([*map(self._repr, args), *given])

    def _at(self, target: str) -> str:
        """A dotted name as code; parts that are numbers are looked up."""
        text = self.root
        for part in target.split("."):
            text = f"{text}.{part}" if part.isidentifier() else f'getattr({text}, "{part}")'
        return text

    def _call(self, node: Node) -> str:
        function, args = node.target, node.args
        name = getattr(function, "__name__", "")
        if getattr(function, "__module__", "") == "_operator" and name in _OPERATORS:
            return _OPERATORS[name].format(*map(self._repr, args))
        called = self._global(qualified_name(function), function)
        if called == "getattr" and len(args) == 2 and str(args[1]).isidentifier():
            return f"{self._repr(args[0])}.{args[1]}"
        if node.meta.get("is_wrapped"):
            self.wrapped[called] = None
        return f"{called}({self._arguments(args, node.kwargs)})"

    def _line(self, node: Node, free: list[str], returns: list[str]) -> str:
        kind = "" if node.type is None else f" : {self._kind(node.type)}"
        if node.op == "placeholder":
            default = f" = {self._repr(node.args[0])}" if node.args else ""
            free.append(f"{node.target}{kind}{default}")
            bare = node.target.replace("*", "")
            return "" if bare == node.name else f"{node.name} = {bare}\n"
        if node.op == "output":
            if node.type is not None:
                returns.append(f" -> {self._kind(node.type)}")
            return f"return {self._repr(node.args[0])}"
        name = getattr(node.target, "__name__", "")
        if node.op == "call_function" and getattr(node.target, "__module__", "") == "_operator" and name in _WRITES:  # fmt: skip
            parts = list(map(self._repr, node.args))
            return f"{_WRITES[name].format(*parts)};  {node.name}{kind} = {parts[0]}"
        if node.op == "call_function":
            value = self._call(node)
        elif node.op == "call_method":
            of = self._repr(node.args[0])
            value = f"{of}.{node.target}({self._arguments(node.args[1:], node.kwargs)})"
        elif node.op == "call_module":
            value = f"{self._at(node.target)}({self._arguments(node.args, node.kwargs)})"
        else:
            value = self._at(node.target)
        return f"{node.name}{kind} = {value}"

    def _kind(self, kind: Any) -> str:
        """A type as code; parts of generic types are names of their own."""
        if kind == ():
            return "()"
        if isinstance(kind, types.UnionType) and "|" in type_name(kind):
            return "|".join(map(self._kind, typing.get_args(kind)))
        origin = getattr(kind, "__origin__", None)
        if origin is None:
            return self._global(type_name(kind), kind)
        if isinstance(kind, typing._GenericAlias):  # type: ignore[attr-defined]
            origin = _OLD_GENERICS.get(origin, origin)
        name = self._global(type_name(origin), origin)
        parts = ",".join(map(self._kind, typing.get_args(kind)))
        return f"{name}[{parts}]" if parts else name

    def code(self) -> PythonCode:
        """The code of `forward`; each value is let go after its last use."""
        last: dict[Node, list[Node]] = {}
        seen: set[Node] = set()
        for node in reversed(self.graph.nodes):
            for each in node.all_input_nodes:
                if each not in seen:
                    seen.add(each)
                    last.setdefault(node, []).append(each)
        free: list[str] = []
        returns: list[str] = []
        body = ""
        for node in self.graph.nodes:
            body += self._line(node, free, returns)
            if node.op == "placeholder":
                continue
            gone = [] if node.op == "output" else [*last.get(node, []), *([] if node.users else [node])]  # fmt: skip
            body += f";  {' = '.join([*map(repr, gone), 'None'])}\n" if gone else "\n"
        if not free or free[0] != "self":
            free.insert(0, "self")
        body = body or "pass\n"
        wraps = "\n".join(f'torch.fx._symbolic_trace.wrap("{name}")' for name in self.wrapped)
        text = "\n".join(f"    {line}" for line in body.split("\n"))
        head = f"def forward({', '.join(free)}){''.join(returns)}:"
        return PythonCode(f"\n{wraps}\n\n{head}\n{text}", self.globals)
