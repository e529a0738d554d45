"""`Proxy`: stands for a value while a function is traced. Each use of it puts a node into the graph."""

import dis
import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from funcgrad.torch._tensor.overriding import begin
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.fx.graph import Graph
from funcgrad.torch.fx.node import Node, map_aggregate
from funcgrad.torch.overrides import is_tensor_method_or_property

__all__ = ["Attribute", "GraphAppendingTracer", "Proxy", "TraceError", "TracerBase"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class TraceError(ValueError):
    """A function does something that has no place in a graph, such as a branch."""


class TracerBase:
    """Puts nodes into a graph."""

    graph: Graph

    def create_node(
        self,
        kind: str,
        target: Any,
        args: Any,
        kwargs: Any,
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """A node of the graph."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> "Proxy":
        """The proxy that stands for a node's result."""
        return Proxy(node, self)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: Any,
        kwargs: Any,
        name: str | None = None,
        type_expr: Any = None,
    ) -> "Proxy":
        """A node of the graph, and the proxy that stands for its result."""
        given = self.create_arg(tuple(args)), self.create_arg(dict(kwargs))
        return self.proxy(self.create_node(kind, target, *given, name, type_expr))

    def create_arg(self, a: Any) -> Any:
        """An argument as nodes have it: proxies as their nodes.

        Raises:
            NotImplementedError: it is of a kind that code cannot name.
        """
        return map_aggregate(a, self._leaf)

    def _leaf(self, a: Any) -> Any:
        if isinstance(a, Proxy):
            return a.node
        return a

    def to_bool(self, obj: "Proxy") -> bool:
        """Refuse a branch.

        Raises:
            TraceError: always.
        """
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj: "Proxy") -> Iterator["Proxy"]:
        """Refuse a loop.

        Raises:
            TraceError: always.
        """
        raise TraceError(
            "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a loop or as a *args or "
            "**kwargs function argument. See the torch.fx docs on pytorch.org for a more detailed explanation of what types "
            "of control flow can be traced, and check out the Proxy docstring for help troubleshooting Proxy iteration errors"
        )

    def keys(self, obj: "Proxy") -> Any:
        """The keys of a value, for `**`."""
        return Attribute(obj, "keys")()


class GraphAppendingTracer(TracerBase):
    """Puts nodes at the end of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


class Proxy:
    """Stands for a value while a function is traced.

    Behaviour: https://docs.pytorch.org/docs/stable/fx.html#torch.fx.Proxy
    """

    def __init__(self, node: Node, tracer: TracerBase | None = None) -> None:
        begin()  # functions that are written in Python ask no argument before
        self.node = node
        self.tracer = GraphAppendingTracer(node.graph) if tracer is None else tracer

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, k: str) -> "Attribute":
        """A method that may be called, or an attribute."""
        return Attribute(self, k)

    def __call__(self, *args: Any, **kwargs: Any) -> "Proxy":
        """A call of the value itself."""
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator["Proxy"]:
        frame: Any = sys._getframe(1)
        code = list(dis.get_instructions(frame.f_code))
        at = next(each for each in reversed(code) if each.offset <= frame.f_lasti)
        if at.opname == "UNPACK_SEQUENCE":
            of: Any = self
            return (of[k] for k in range(at.argval))
        return self.tracer.iter(self)

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    def __abs__(self) -> "Proxy":
        return self.tracer.create_proxy("call_function", operator.abs, (self,), {})

    def keys(self) -> Any:
        """The keys, for `**`."""
        return self.tracer.keys(self)

    def __len__(self) -> NoReturn:
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be recorded, please call "
            "torch.fx.wrap('len') at module scope"
        )

    def __deepcopy__(self, memo: Any) -> "Proxy":
        return Proxy(self.node, self.tracer)

    @classmethod
    def __torch_function__(
        cls, orig_method: Any, types: Any, args: Any = None, kwargs: Any = None
    ) -> "Proxy":
        """A call of a function, or of a tensor's method with a proxy among its arguments."""
        args, kwargs = args or (), kwargs or {}
        found: dict[TracerBase, None] = {}

        def look(each: Any) -> Any:
            if isinstance(each, cls):
                found[each.tracer] = None
            return each

        map_aggregate((args, kwargs), look)
        if len(found) > 1:
            raise RuntimeError(
                f"Found multiple different tracers {list(found)} while trying to trace operations {orig_method}"
            )
        tracer = next(iter(found))
        if is_tensor_method_or_property(orig_method):
            return tracer.create_proxy("call_method", orig_method.__name__, args, kwargs)
        name = tracer.graph._target_to_str(orig_method.__name__)
        return tracer.create_proxy("call_function", orig_method, args, kwargs, name)


class Attribute(Proxy):
    """An attribute of a value. A call of it is a call of a method; else it becomes a node when it is used."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        """The node of the attribute's value."""
        if self._node is None:
            self._node = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {}).node  # fmt: skip
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Proxy:
        """A call of the method."""
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


def _operator(function: Callable[..., Any], turned: bool = False) -> Callable[..., Proxy]:
    def call(self: Proxy, *args: Any) -> Proxy:
        given = (*args, self) if turned else (self, *args)
        return self.tracer.create_proxy("call_function", function, given, {})

    return call


_REFLECTED = ("add", "sub", "mul", "floordiv", "truediv", "mod", "pow", "lshift", "rshift", "and", "or", "xor", "matmul")  # fmt: skip
for _name in (*_REFLECTED, "eq", "ne", "lt", "gt", "le", "ge", "pos", "neg", "invert", "getitem"):
    _function = getattr(operator, f"{_name}_" if _name in ("and", "or") else _name)
    setattr(Proxy, f"__{_name}__", _operator(_function))
    if _name in _REFLECTED:
        setattr(Proxy, f"__r{_name}__", _operator(_function, turned=True))
Proxy.__hash__ = object.__hash__  # type: ignore[method-assign]
