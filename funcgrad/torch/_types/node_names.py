"""What PyTorch calls graph nodes, and the ops behind them."""

from re import sub

# The nodes that PyTorch's own C++ code makes by hand say where they are from.
_QUALIFIED = {"AccumulateGrad", "CopyBackwards", "CopySlices", "Error", "NotImplemented"}


def node_name(node_type: type) -> str:
    """What PyTorch calls a kind of node."""
    name = node_type.__name__
    return f"torch::autograd::{name}" if name in _QUALIFIED else name


def short_name(node_type: type) -> str:
    """What PyTorch calls the op behind a kind of node in complaints."""
    return op_name(node_name(node_type))


def op_name(name: str) -> str:
    """What PyTorch calls the op behind a node of this name in complaints."""
    return sub(r"Backward0?(\d*)$", r"\1", name)
