"""The engine: ops recorded as they run, differentiated by `jax.vjp`, executed as one compiled program.

It knows arrays, ops and graphs; it knows nothing of PyTorch. README.md's architecture section tells how it works.
"""

from funcgrad.engine.forking import watch_forks
from funcgrad.engine.graph import FreedError, ModifiedError, grad_mode, pull_back, walk
from funcgrad.engine.nodes import FunctionNode, GraphNode, Leaf, Node
from funcgrad.engine.ops import DeviceMismatchError, Op
from funcgrad.engine.programs import Stats, explain, reset_stats, stats
from funcgrad.engine.pullbacks import backward, chain_ended, pull
from funcgrad.engine.settings import mode, settings
from funcgrad.engine.trace import compute, flush, local, record
from funcgrad.engine.values import Aval, Constant, Storage, Value, Variable

__all__ = [
    "Aval",
    "Constant",
    "DeviceMismatchError",
    "FreedError",
    "FunctionNode",
    "GraphNode",
    "Leaf",
    "ModifiedError",
    "Node",
    "Op",
    "Stats",
    "Storage",
    "Value",
    "Variable",
    "backward",
    "chain_ended",
    "compute",
    "explain",
    "flush",
    "grad_mode",
    "local",
    "mode",
    "pull",
    "pull_back",
    "record",
    "reset_stats",
    "settings",
    "stats",
    "walk",
]

watch_forks()
