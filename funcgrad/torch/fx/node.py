"""`Node`: one call in a graph, with the nodes that it takes and those that take it."""

from collections.abc import Callable
from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.fx._names import qualified_name, type_name

__all__ = ["Node", "map_aggregate", "map_arg"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


# For annotations: what a call calls, and what it takes.
Target = Callable[..., Any] | str
Argument = Any

_OPS = ("placeholder", "call_method", "call_module", "call_function", "get_attr", "output", "root")


def map_aggregate(a: Any, fn: Callable[[Any], Any]) -> Any:
    """A nested structure of tuples, lists, dictionaries and slices, with `fn` applied to its leaves."""
    if isinstance(a, tuple):
        parts = [map_aggregate(each, fn) for each in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return [map_aggregate(each, fn) for each in a]
    if isinstance(a, dict):
        return {key: map_aggregate(value, fn) for key, value in a.items()}
    if isinstance(a, slice):
        return slice(*(map_aggregate(each, fn) for each in (a.start, a.stop, a.step)))
    return fn(a)


def map_arg(a: Any, fn: Callable[["Node"], Any]) -> Any:
    """Arguments, with `fn` applied to each node in them."""
    return map_aggregate(a, lambda each: fn(each) if isinstance(each, Node) else each)


def _shown(arg: Any) -> str:
    """Arguments as the printed graph has them."""
    if isinstance(arg, list):
        return f"[{', '.join(map(_shown, arg))}]"
    if isinstance(arg, tuple):
        return f"({', '.join(map(_shown, arg))}{',' if len(arg) == 1 else ''})"
    if isinstance(arg, dict):
        return f"{{{', '.join(f'{key}: {_shown(value)}' for key, value in arg.items())}}}"
    return f"%{arg}" if isinstance(arg, Node) else str(arg)


class Node:
    """One call in a graph.

    Attributes:
        graph: the graph.
        name: the name of its result, unique in the graph.
        op: "placeholder", "get_attr", "call_function", "call_module", "call_method" or "output".
        target: the function, or the name of the argument, attribute, module or method.
        args, kwargs: the arguments; nodes among them stand for their results.
        users: the nodes that take its result, as the keys of a dictionary.
        type: the type of its result, if it is known.
        meta: for notes of the user's.

    Behaviour: https://docs.pytorch.org/docs/stable/fx.html#torch.fx.Node
    """

    def __init__(
        self,
        graph: Any,
        name: str,
        op: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        return_type: Any = None,
    ) -> None:
        if op not in _OPS:
            raise AssertionError(f"op '{op}' is not in _legal_ops")
        if not (callable(target) if op == "call_function" else isinstance(target, str)):
            wanted = "Callable" if op == "call_function" else "str"
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type {type_name(type(target))} but a {wanted} is "
                "expected"
            )
        self.graph, self.name, self.op, self.target, self.type = graph, name, op, target, return_type  # fmt: skip
        self.users: dict[Node, None] = {}
        self.meta: dict[str, Any] = {}
        self._input_nodes: dict[Node, None] = {}
        self._prev = self._next = self
        self._erased = False
        self._take(args, kwargs)

    def _take(self, args: Any, kwargs: Any) -> None:
        """Change the arguments, and tell the nodes in them."""
        for each in self._input_nodes:
            each.users.pop(self, None)
        self._input_nodes = {}

        def used(node: Node) -> Node:
            self._input_nodes[node] = None
            node.users[self] = None
            return node

        self._args, self._kwargs = map_arg(tuple(args), used), map_arg(dict(kwargs), used)

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        return self._args

    @args.setter
    def args(self, args: Any) -> None:
        self._take(args, self._kwargs)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments by name."""
        return self._kwargs

    @kwargs.setter
    def kwargs(self, kwargs: Any) -> None:
        self._take(self._args, kwargs)

    @property
    def all_input_nodes(self) -> list["Node"]:
        """The nodes among the arguments, each once."""
        return list(self._input_nodes)

    @property
    def next(self) -> "Node":
        """The node after it."""
        return self._next

    @property
    def prev(self) -> "Node":
        """The node before it."""
        return self._prev

    def prepend(self, x: "Node") -> None:
        """Move a node of the same graph to the place before this one."""
        if x.graph is not self.graph:
            raise AssertionError("Attempting to move a Node into a different Graph")
        if x is self:
            return
        x._cut_out()
        before = self._prev
        before._next, x._prev, x._next, self._prev = x, before, self, x

    def append(self, x: "Node") -> None:
        """Move a node of the same graph to the place after this one."""
        self._next.prepend(x)

    def _cut_out(self) -> None:
        self._prev._next, self._next._prev = self._next, self._prev

    def update_arg(self, idx: int, arg: Any) -> None:
        """Change one positional argument."""
        args = list(self.args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx: int, arg: Any) -> None:
        """Put a positional argument before another."""
        self.args = (*self.args[:idx], arg, *self.args[idx:])

    def update_kwarg(self, key: str, arg: Any) -> None:
        """Change one argument by name."""
        self.kwargs = {**self.kwargs, key: arg}

    def replace_all_uses_with(
        self,
        replace_with: "Node",
        delete_user_cb: Callable[["Node"], bool] | None = None,
        *,
        propagate_meta: bool = False,
    ) -> list["Node"]:
        """Let the users of this node take another one.

        Args:
            replace_with: the other one.
            delete_user_cb: says of a user whether it is changed.
            propagate_meta: whether the notes go to the other node.

        Returns:
            The users that were changed.
        """
        if propagate_meta:
            replace_with.meta.update(self.meta)
        changed = [each for each in self.users if delete_user_cb is None or delete_user_cb(each)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    def replace_input_with(self, old_input: "Node", new_input: "Node") -> None:
        """Take one node in place of another."""
        of = lambda node: new_input if node is old_input else node  # noqa: E731
        self._take(map_arg(self._args, of), map_arg(self._kwargs, of))

    def is_impure(self) -> bool:
        """Whether the graph needs it although nobody takes its result."""
        return self.op in ("placeholder", "output") or getattr(self.target, "__name__", "") == "_assert"  # fmt: skip

    def __repr__(self) -> str:
        """Its name."""
        return self.name

    @staticmethod
    def _pretty_print_target(target: Any) -> str:
        if isinstance(target, str):
            return target
        place = {"builtins": "builtins", "_operator": "operator"}.get(target.__module__)
        return f"{place}.{target.__name__}" if place else qualified_name(target)

    def format_node(self) -> str:
        """Its line in the printed graph."""
        if self.op == "output":
            return f"return {self.args[0]}"
        kind = f"{type_name(self.type)} " if self.type is not None else ""
        start = f"%{self.name} : {kind}[num_users={len(self.users)}] = {self.op}"
        target = f"[target={self._pretty_print_target(self.target)}]"
        if self.op == "placeholder":
            return start + target + (f"(default={self.args[0]})" if self.args else "")
        if self.op == "get_attr":
            return start + target
        return f"{start}{target}(args = {_shown(self.args)}, kwargs = {_shown(self.kwargs)})"
