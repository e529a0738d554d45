"""`Interpreter`: runs a graph node by node. `Transformer`: makes another graph of one that way."""

from collections.abc import Callable
from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.fx.graph import Graph
from funcgrad.torch.fx.graph_module import GraphModule
from funcgrad.torch.fx.node import Node, map_aggregate, map_arg
from funcgrad.torch.fx.proxy import GraphAppendingTracer, Proxy

__all__ = ["Interpreter", "Transformer"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class Interpreter:
    """Runs a graph node by node. A subclass may do more at each, or something else.

    Args:
        module: the module whose attributes the graph uses.
        garbage_collect_values: whether results are let go after their last use.
        graph: the graph; the module's own if None.

    Behaviour: https://docs.pytorch.org/docs/stable/fx.html#torch.fx.Interpreter
    """

    def __init__(
        self, module: Any, garbage_collect_values: bool = True, graph: Graph | None = None
    ) -> None:
        self.module = module
        self.submodules = dict(module.named_modules())
        self.graph: Graph = module.graph if graph is None else graph
        self.env: dict[Node, Any] = {}
        self.name = "Interpreter"
        self.garbage_collect_values = garbage_collect_values
        self.user_to_last_uses: dict[Node, list[Node]] = {}
        seen: set[Node] = set()
        for node in reversed(self.graph.nodes):
            for each in node.all_input_nodes:
                if each not in seen:
                    seen.add(each)
                    self.user_to_last_uses.setdefault(node, []).append(each)

    def run(
        self, *args: Any, initial_env: dict[Node, Any] | None = None, enable_io_processing: bool = True
    ) -> Any:  # fmt: skip
        """The graph's result for these arguments.

        Args:
            args: the arguments.
            initial_env: results that are known already, by node.
            enable_io_processing: accepted.
        """
        self.env = {} if initial_env is None else dict(initial_env)
        self.args_iter = iter(args)
        for node in self.graph.nodes:
            if node not in self.env:
                self.env[node] = self.run_node(node)
            if self.garbage_collect_values:
                for each in self.user_to_last_uses.get(node, []):
                    del self.env[each]
            if node.op == "output":
                return self.env[node]
        return None

    def run_node(self, n: Node) -> Any:
        """The result of one node."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The next argument, or its default.

        Raises:
            RuntimeError: there is neither.
        """
        if target.startswith("*"):
            return list(self.args_iter)
        for each in self.args_iter:
            return each
        if args:
            return args[0]
        raise RuntimeError(
            f"Expected positional argument for parameter {target}, but one was not passed in!"
        )

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """An attribute of the module."""
        return self.fetch_attr(target)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The result of a function."""
        return target(*args, **kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The result of a method of the first argument."""
        of, *rest = args
        return getattr(of, target)(*rest, **kwargs)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The result of a module in the module."""
        return self.fetch_attr(target)(*args, **kwargs)

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The graph's result."""
        return args[0]

    def fetch_attr(self, target: str) -> Any:
        """The attribute of the module at a dotted name.

        Raises:
            RuntimeError: there is none.
        """
        found, way = self.module, target.split(".")
        for k, part in enumerate(way):
            if not hasattr(found, part):
                raise RuntimeError(
                    f"Node referenced nonexistent target {'.'.join(way[: k + 1])}; original target: {target}"
                )
            found = getattr(found, part)
        return found

    def fetch_args_kwargs_from_env(self, n: Node) -> tuple[Any, Any]:
        """The arguments of a node, with results in place of nodes."""
        return self.map_nodes_to_values(n.args, n), self.map_nodes_to_values(n.kwargs, n)

    def map_nodes_to_values(self, args: Any, n: Node) -> Any:
        """Arguments with results in place of nodes.

        Raises:
            RuntimeError: a result is not known.
        """

        def value(node: Node) -> Any:
            if node not in self.env:
                raise RuntimeError(
                    f"Node {n} referenced nonexistent value {node}! Run Graph.lint() to diagnose such issues"
                )
            return self.env[node]

        return map_arg(args, value)


class Transformer(Interpreter):
    """Makes another module of a graph. A subclass changes what its methods return.

    Args:
        module: a module with a graph.

    Behaviour: https://docs.pytorch.org/docs/stable/fx.html#torch.fx.Transformer
    """

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.new_graph = Graph()
        self.tracer = GraphAppendingTracer(self.new_graph)

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Proxy:
        """An argument of the new graph."""
        return Proxy(self.new_graph.placeholder(target, default_value=args[0] if args else ...), self.tracer)  # fmt: skip

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Proxy:
        """An attribute in the new graph."""
        return self.tracer.create_proxy("get_attr", target, args, kwargs)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A call of a module in the new graph."""
        return self.tracer.create_proxy("call_module", target, args, kwargs)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A call of a function in the new graph."""
        return self.tracer.create_proxy("call_function", target, args, kwargs)

    def transform(self) -> GraphModule:
        """The new module."""
        result = self.run()
        if result is not None:
            node: Callable[[Any], Any] = lambda a: a.node if isinstance(a, Proxy) else a  # noqa: E731
            self.new_graph.output(map_aggregate(result, node))
        return GraphModule(self.module, self.new_graph)
