"""Tracing: a function is run with proxies for its arguments, and its calls become a graph."""

import builtins
import functools
import inspect
import math
import operator
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

from funcgrad.torch._tensor import overriding
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.fx.graph import Graph
from funcgrad.torch.fx.graph_module import GraphModule
from funcgrad.torch.fx.node import map_aggregate
from funcgrad.torch.fx.proxy import Proxy, TracerBase
from funcgrad.torch.nn.modules.container import Sequential
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.parameter import Parameter

# Global names whose functions are calls in a graph: those of `wrap`, and the names of `math`.
_wrapped: dict[tuple[int, str], dict[str, Any]] = {}
_MISSING: Any = object()


def wrap(fn_or_name: Any) -> Any:
    """Let a function of the module that calls this, given itself or by name, be one call in a graph.

    Raises:
        RuntimeError: it is neither a function nor a name.
        NotImplementedError: the call does not stand at the top of a module.
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError(
            "Unsupported type for global function! Must be either a callable or string name"
        )
    name = fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__
    frame = sys._getframe(1)
    if frame.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    _wrapped[id(frame.f_globals), name] = frame.f_globals
    return fn_or_name


def _recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is a call in the graph if a proxy is among its arguments."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        found: list[Proxy] = []
        map_aggregate((args, kwargs), lambda a: found.append(a) if isinstance(a, Proxy) else None)
        if not found:
            return function(*args, **kwargs)
        made = found[0].tracer.create_proxy("call_function", function, args, kwargs)
        made.node.meta["is_wrapped"] = True
        return made

    return call


def _of_single_arguments(function: Any) -> Any:
    """The function with `*args` and `**kwargs` as two arguments after all others, so that a proxy can stand for each."""
    several = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    code = getattr(function, "__code__", None)
    if code is None or not code.co_flags & several:
        return function
    count = code.co_argcount + code.co_kwonlyargcount + (code.co_flags & several).bit_count()
    single = code.replace(
        co_flags=code.co_flags & ~several,
        co_argcount=count,
        co_posonlyargcount=0,
        co_kwonlyargcount=0,
    )
    made = types.FunctionType(
        single, function.__globals__, function.__name__, None, function.__closure__
    )
    return functools.update_wrapper(made, function)


class Tracer(TracerBase):
    """Traces modules and functions. A subclass may say which modules are one call (`is_leaf_module`).

    Args:
        autowrap_modules: modules whose functions are calls in the graph.
        autowrap_functions: more such functions.
        param_shapes_constant: refused if true.

    Behaviour: https://docs.pytorch.org/docs/stable/fx.html#torch.fx.Tracer
    """

    def __init__(
        self,
        autowrap_modules: tuple[Any, ...] = (math,),
        autowrap_functions: tuple[Callable[..., Any], ...] = (),
        param_shapes_constant: bool = False,
    ) -> None:
        if param_shapes_constant:
            raise NotImplementedError("param_shapes_constant")
        self._autowrap = [*autowrap_functions]
        for module in autowrap_modules:
            self._autowrap += [each for name, each in vars(module).items() if name[0] != "_" and callable(each)]  # fmt: skip
        self._autowrap_modules = autowrap_modules
        self.root: Any = None
        self._paths: dict[Any, str] = {}
        self._constants: dict[int, str] = {}

    def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
        """Whether a module is one call in the graph: PyTorch's own are, but for `Sequential`."""
        own = type(m).__module__.startswith(("funcgrad.torch.nn", "torch.nn"))
        return own and not isinstance(m, Sequential)

    def path_of_module(self, mod: Any) -> str:
        """The name of a module in the root.

        Raises:
            NameError: it is not in the root.
        """
        if mod not in self._paths:
            raise NameError("module is not installed as a submodule")
        return self._paths[mod]

    def call_module(self, m: Any, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The result of a module in the root: a call in the graph, or that of its forward."""
        path = self.path_of_module(m)
        if self.is_leaf_module(m, path):
            return self.create_proxy("call_module", path, args, kwargs)
        return forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Proxy]) -> Any:
        """An attribute of a module while it is traced: a parameter is a node."""
        if not isinstance(attr_val, Parameter):
            return attr_val
        for name, each in self.root.named_parameters():
            if each is attr_val:
                if name not in parameter_proxy_cache:
                    parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {})
                return parameter_proxy_cache[name]
        return attr_val

    def create_arg(self, a: Any) -> Any:
        """An argument as nodes have it; a tensor is an attribute of the root."""
        if isinstance(a, Parameter):
            for name, each in self.root.named_parameters():
                if each is a:
                    return self.create_node("get_attr", name, (), {})
            raise NameError("parameter is not a member of this module")
        if isinstance(a, Tensor):
            for name, each in self.root.named_buffers():
                if each is a:
                    return self.create_node("get_attr", name, (), {})
            return self.create_node("get_attr", self._constant(a), (), {})
        if isinstance(a, Module) and a in self._paths:
            return self.create_node("get_attr", self._paths[a], (), {})
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            return self.create_node("call_function", type(a), tuple(map(self.create_arg, a)), {})
        if isinstance(a, (tuple, list)):
            return type(a)(map(self.create_arg, a))
        if isinstance(a, dict):
            return {key: self.create_arg(value) for key, value in a.items()}
        if isinstance(a, slice):
            return slice(*map(self.create_arg, (a.start, a.stop, a.step)))
        return super().create_arg(a)

    def _constant(self, tensor: Tensor) -> str:
        """The name of a tensor that is no parameter, as an attribute of the root."""
        if id(tensor) not in self._constants:
            number = 0
            while hasattr(self.root, name := f"_tensor_constant{number}"):
                number += 1
            setattr(self.root, name, tensor)
            self._constants[id(tensor)] = name
        return self._constants[id(tensor)]

    def _arguments(
        self, function: Any, is_module: bool, given: Any
    ) -> tuple[list[Any], dict[str, Any]]:
        """Proxies for the arguments of a function, but for those that are given: by position, and by name.

        Raises:
            RuntimeError: there are fewer or more of those that are given.
        """
        parameters = list(inspect.signature(inspect.unwrap(function)).parameters.values())
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        if is_module:
            args.append(self.root)
        named = parameters[len(args) :]
        if isinstance(given, tuple):
            if len(given) != len(named):
                raise RuntimeError(
                    f"Tracing expected {len(named)} arguments but got {len(given)} concrete arguments"
                )
            given = dict(zip([each.name for each in named], given, strict=True))
        own = (function.__module__ or "").startswith("funcgrad.")
        stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
        for each in sorted(named, key=lambda each: each.kind in stars):
            if each.kind in stars:
                name = stars[each.kind] + each.name
                args.append(self.create_proxy("placeholder", name, (), {}))
                continue
            default = () if each.default is each.empty else (each.default,)
            kind = None if own or each.annotation is each.empty else each.annotation
            value: Any = self.create_proxy("placeholder", each.name, default, {}, type_expr=kind)
            if given and each.name in given:
                value = self._fixed(each.name, value, given[each.name])
            if each.kind is each.KEYWORD_ONLY and not any(other.kind in stars for other in named):
                kwargs[each.name] = value
            else:
                args.append(value)
        return args, kwargs

    def _fixed(self, name: str, proxy: Proxy, value: Any) -> Any:
        """The value of an argument that is not traced; the graph checks that it is given.

        Raises:
            NotImplementedError: it is no number, text or None.
        """
        if value is not None and not isinstance(value, (bool, int, float, complex, str)):
            raise NotImplementedError(f"concrete_args: {name} is of {type(value)}; numbers, texts and None are fixed here")  # fmt: skip
        told = f"{name} has been specialized to have value {value} but got another value"
        same = operator.is_ if value is None else operator.eq
        is_so = self.create_proxy("call_function", same, (proxy, value), {})
        self.create_proxy("call_function", FUNCTIONS["_assert"], (is_so, told), {})
        return value

    def trace(self, root: Any, concrete_args: dict[str, Any] | tuple[Any, ...] | None = None) -> Graph:  # fmt: skip
        """The graph of a module's forward, or of a function.

        Args:
            root: the module or function.
            concrete_args: arguments that are not traced, by name.
        """
        overriding.begin()
        is_module = isinstance(root, Module)
        function = type(root).forward if is_module else root
        self.root = root if is_module else Module()
        self.graph = Graph(tracer_cls=type(self))
        self._paths = {module: name for name, module in self.root.named_modules()}
        self._constants = {
            id(value): ".".join(filter(None, (path, name)))
            for module, path in self._paths.items()
            for name, value in vars(module).items()
            if isinstance(value, Tensor)
        }
        args, kwargs = self._arguments(function, is_module, concrete_args)
        function = _of_single_arguments(function)
        with self._patched(getattr(inspect.unwrap(function), "__globals__", None)):
            result = function(*args, **kwargs)
            returns = inspect.signature(inspect.unwrap(function)).return_annotation
            own = (function.__module__ or "").startswith("funcgrad.")
            kind = None if own or returns is inspect.Signature.empty else returns
            self.create_node("output", "output", (self.create_arg(result),), {}, type_expr=kind)
        return self.graph

    @contextmanager
    def _patched(self, scope: dict[str, Any] | None) -> Iterator[None]:
        """Let modules, parameters and wrapped functions be nodes inside the block.

        Args:
            scope: the global names of the traced function.
        """
        get, call = Module.__getattr__, Module.__call__
        cache: dict[str, Proxy] = {}
        kept: list[tuple[dict[str, Any], str, Any]] = []
        seen: set[int] = set()

        def put(space: dict[str, Any], name: str, function: Any) -> None:
            kept.append((space, name, space.get(name, _MISSING)))
            space[name] = _recorded(function)

        def patch(space: dict[str, Any] | None) -> None:
            """Replace the functions of `math` that a module knows by name."""
            if space is not None and id(space) not in seen:
                seen.add(id(space))
                for name, value in list(space.items()):
                    if name[0] != "_" and any(value is each for each in self._autowrap):
                        put(space, name, value)

        def attribute(of: Any, name: str) -> Any:
            return self.getattr(name, get(of, name), cache)

        def called(of: Any, *args: Any, **kwargs: Any) -> Any:
            patch(getattr(inspect.unwrap(type(of).forward), "__globals__", None))
            return self.call_module(of, partial(call, of), args, kwargs)

        Module.__getattr__, Module.__call__ = attribute, called  # type: ignore[method-assign, assignment]
        try:
            for (_, name), space in _wrapped.items():
                put(space, name, space.get(name) or vars(builtins)[name])
            for each in (*(module.__dict__ for module in self._autowrap_modules), scope):
                patch(each)
            yield
        finally:
            Module.__getattr__, Module.__call__ = get, call  # type: ignore[method-assign]
            for space, name, before in reversed(kept):
                if before is _MISSING:
                    del space[name]
                else:
                    space[name] = before


def symbolic_trace(root: Any, concrete_args: Any = None) -> GraphModule:
    """A module that makes the calls of a module, or of a function, with their graph as its attribute.

    Args:
        root: the module or function.
        concrete_args: arguments that are not traced, by name.

    >>> import funcgrad.torch as torch
    >>> traced = symbolic_trace(lambda x: torch.relu(x) + 1)
    >>> print(traced.code.strip())
    def forward(self, x):
        relu = torch.relu(x);  x = None
        add = relu + 1;  relu = None
        return add
    >>> traced(torch.tensor([-1.0, 2.0]))
    tensor([1., 3.])
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)
