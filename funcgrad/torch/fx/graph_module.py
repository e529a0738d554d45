"""`GraphModule`: a module whose forward is made of a graph."""

import copy
import itertools
import linecache
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.fx.graph import Graph
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.parameter import Parameter

__all__ = ["GraphModule"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


_numbers = itertools.count()


def _compiled(code: str, scope: dict[str, Any]) -> Any:
    """The function `forward` of some code, whose lines tracebacks show."""
    name = f"<eval_with_key>.{next(_numbers)}"
    linecache.cache[name] = len(code), None, code.splitlines(True), name
    exec(compile(code, name, "exec"), scope)
    return scope["forward"]


# Where a module's `meta` has attributes that copies keep.
_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"


class _CodeOnlyModule(Module):
    """A module of some attributes, from which a copy of a `GraphModule` takes its parts."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.__dict__ = body


def _copy_attr(from_module: Any, to_module: Any, target: str) -> None:
    """Let a module have a part of another, with the modules on the way to it. Nothing changes if there is no such part."""
    found = from_module
    for each in target.split("."):
        if not hasattr(found, each):
            return
        found = getattr(found, each)
    _put(to_module, target, found)


def _put(place: Any, target: str, part: Any) -> None:
    *way, name = target.split(".")
    for each in way:
        if not hasattr(place, each):
            place.add_module(each, Module())
        place = getattr(place, each)
    if hasattr(place, name):
        return
    if isinstance(part, Tensor) and not isinstance(part, Parameter):
        place.register_buffer(name, part)
    else:
        setattr(place, name, part)


class GraphModule(Module):
    """A module whose forward is made of a graph; it has the parts of another that the graph uses.

    Args:
        root: a module, or a dictionary of parts by name.
        graph: the graph.
        class_name: the name that is printed.

    Behaviour: https://docs.pytorch.org/docs/stable/fx.html#torch.fx.GraphModule
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> "GraphModule":
        """An instance of a class of its own, which holds the forward."""
        made = type("GraphModuleImpl", (cls,), {"__module__": cls.__module__})
        return object.__new__(made)

    def __init__(self, root: Any, graph: Graph, class_name: str = "GraphModule") -> None:
        super().__init__()
        type(self).__name__ = class_name
        parts = not isinstance(root, Module)
        if not parts:
            self.training = root.training
        used = [node.target for node in graph.nodes if node.op in ("get_attr", "call_module")]
        for target in sorted(dict.fromkeys(used), key=lambda name: name.count(".")):
            if not parts:
                _copy_attr(root, self, target)
            elif target in root:
                _put(self, target, root[target])
            else:
                raise RuntimeError(
                    f"Node references target {target} but that target was not provided in ``root``!"
                )
        self.graph = graph

    @property
    def graph(self) -> Graph:
        """The graph. When another one is set, forward is made anew."""
        return self._graph

    @graph.setter
    def graph(self, graph: Graph) -> None:
        if not isinstance(graph, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(graph)}")
        self.__dict__["_graph"] = graph
        graph.owning_module = self
        self.recompile()

    def recompile(self) -> Any:
        """Make forward anew, after the graph was changed."""
        made = self._graph.python_code("self")
        self.__dict__["_code"] = made.src
        type(self).forward = _compiled(made.src, dict(made.globals))
        return made

    @property
    def code(self) -> str:
        """The code of forward."""
        return self._code

    def add_submodule(self, target: str, m: Module) -> bool:
        """Add a module at a dotted name, with the modules on the way to it."""
        *way, name = target.split(".")
        place: Any = self
        for each in way:
            if not hasattr(place, each):
                place.add_module(each, Module())
            place = getattr(place, each)
        place.add_module(name, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Delete the module at a dotted name; returns whether there was one."""
        *way, name = target.split(".")
        place = self.get_submodule(".".join(way))
        return place._modules.pop(name, None) is not None

    def delete_all_unused_submodules(self) -> None:
        """Delete the modules that the graph does not call."""
        used = {node.target for node in self.graph.nodes if node.op in ("call_module", "get_attr")}
        for name, _ in list(self.named_modules()):
            if name and not any(f"{each}.".startswith(f"{name}.") or f"{name}.".startswith(f"{each}.") for each in used):  # fmt: skip
                self.delete_submodule(name)

    def __deepcopy__(self, memo: Any) -> "GraphModule":
        """A module of copies."""
        parts = Module()
        parts.__dict__ |= {
            name: copy.deepcopy(value, memo)
            for name, value in self.__dict__.items()
            if name not in ("_graph", "_code")
        }
        return GraphModule(parts, copy.deepcopy(self.graph), type(self).__name__)

    def __reduce__(self) -> Any:
        """Pickle by parts and graph."""
        raise NotImplementedError(
            "a GraphModule is not pickled here. Save its state_dict, and trace again"
        )

    def __str__(self) -> str:
        """The parts, then the code."""
        reminder = "# To see more debug info, please use `graph_module.print_readable()`"
        return "\n".join([super().__str__(), self._code, reminder])

    def print_readable(self, print_output: bool = True) -> str:
        """Print the code as a class."""
        body = self._code.strip().replace("\n", "\n    ")
        text = f"class {type(self).__name__}(torch.nn.Module):\n    {body}\n"
        if print_output:
            print(text)
        return text
