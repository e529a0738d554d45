"""PyTorch's names of graph nodes, and of the ops behind them."""

from re import sub

# Nodes written by hand in PyTorch's C++ code have their namespace in the name.
_QUALIFIED = {"AccumulateGrad", "CopyBackwards", "CopySlices", "Error", "NotImplemented"}


def node_name(node_type: type) -> str:
    """PyTorch's name of a node type."""
    name = node_type.__name__
    return f"torch::autograd::{name}" if name in _QUALIFIED else name


def short_name(node_type: type) -> str:
    """The op's name in PyTorch's errors, for a node type."""
    return op_name(node_name(node_type))


def op_name(name: str) -> str:
    """The op's name in PyTorch's errors, for a node's name."""
    return sub(r"Backward0?(\d*)$", r"\1", name)
