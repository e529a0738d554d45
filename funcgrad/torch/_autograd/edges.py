"""The interface of graph nodes for users, and the edges that lead to nodes."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from funcgrad.engine import GraphNode
from funcgrad.torch._autograd.hooks import RemovableHandle


class Node(ABC):
    """The type of `grad_fn` for `isinstance`: every node of a graph is a `Node`."""

    @abstractmethod
    def name(self) -> str:
        """The node's name."""

    @property
    @abstractmethod
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """For each input, the node that made it, and its position among that node's outputs."""

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """Notes about the node, by the user or by anomaly mode."""

    @property
    @abstractmethod
    def _input_metadata(self) -> list[Any]:
        """Shape, dtype and device of the gradients that arrive."""

    @abstractmethod
    def _sequence_nr(self) -> int:
        """A number that grows with each node made."""

    @abstractmethod
    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call `fn` after each walk through the node."""

    @abstractmethod
    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call `fn` before each walk through the node."""


class NodeFace:
    """Stands for a node whose attributes belong to the user; passes the methods of `Node` on to the engine's node."""

    __slots__ = ("_engine_node",)

    _engine_node: Any

    @property
    def next_functions(self) -> Any:
        """As a node's."""
        return self._engine_node.next_functions

    @property
    def metadata(self) -> dict[str, Any]:
        """As a node's."""
        return self._engine_node.metadata

    @property
    def _input_metadata(self) -> Any:
        return self._engine_node._input_metadata

    def name(self) -> str:
        """As a node's."""
        return self._engine_node.name()

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """As a node's."""
        return self._engine_node.register_hook(hook)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """As a node's."""
        return self._engine_node.register_prehook(hook)

    def _sequence_nr(self) -> int:
        return self._engine_node._sequence_nr()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse."""
        return self._engine_node.__reduce_ex__(protocol)


def behind(node: Any) -> Any:
    """The engine's node, also if a `NodeFace` stands for it."""
    return node._engine_node if isinstance(node, NodeFace) else node


class GradientEdge(NamedTuple):
    """An edge of the graph: a node and the number of an output. `backward` and `grad` take it in place of a tensor."""

    node: GraphNode
    output_nr: int
    ownership_token: Any = None
