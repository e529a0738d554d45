"""The engine: ops recorded as they run, differentiated by `jax.vjp`, executed as one compiled program.

It knows arrays, ops and graphs; it knows nothing of PyTorch. README.md beside this file tells how it works.
"""

from funcgrad.engine.counters import Stats
from funcgrad.engine.derivatives import Node
from funcgrad.engine.forking import watch_forks
from funcgrad.engine.graph import FreedError, ModifiedError, pull_back, walk
from funcgrad.engine.modes import grad_mode, mode
from funcgrad.engine.nodes import FunctionNode, GraphNode, Leaf, Variable
from funcgrad.engine.ops import DeviceMismatchError, Op
from funcgrad.engine.recording import local
from funcgrad.engine.remembered import backward, chain_ended, pull
from funcgrad.engine.reporting import explain, reset_stats, stats
from funcgrad.engine.settings import settings
from funcgrad.engine.trace import compute, end_of_walk, flush, record
from funcgrad.engine.values import Aval, Constant, Storage, Value

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
    "end_of_walk",
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
