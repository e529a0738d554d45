"""PyTorch's `torch.fx`: a module's forward as a graph of calls, to look at, to change and to run again."""

from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.fx import graph, graph_module, interpreter, node, proxy, subgraph_rewriter
from funcgrad.torch.fx._symbolic_trace import Tracer, symbolic_trace, wrap
from funcgrad.torch.fx.graph import Graph
from funcgrad.torch.fx.graph_module import GraphModule
from funcgrad.torch.fx.interpreter import Interpreter, Transformer
from funcgrad.torch.fx.node import Node, map_arg
from funcgrad.torch.fx.proxy import Proxy
from funcgrad.torch.fx.subgraph_rewriter import replace_pattern

__all__ = [
    "Graph",
    "GraphModule",
    "Interpreter",
    "Node",
    "Proxy",
    "Tracer",
    "Transformer",
    "graph",
    "graph_module",
    "interpreter",
    "map_arg",
    "node",
    "proxy",
    "replace_pattern",
    "subgraph_rewriter",
    "symbolic_trace",
    "wrap",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
