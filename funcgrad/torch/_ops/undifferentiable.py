"""Ops for which PyTorch has no derivative. Their results require grad, and a backward that reaches their node raises."""

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.engine import FunctionNode, Variable, grad_mode, local
from funcgrad.torch._tensor.tensor import Tensor


class NotImplemented(FunctionNode):
    """The node of an op without a derivative."""

    __slots__ = ("op",)

    op: str

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """Refuse to go on.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"derivative for aten::{self.op} is not implemented")


def without_derivative(name: str, compute: Callable[[], Any], *operands: Any) -> Any:
    """The result of an op without a derivative.

    Args:
        name: the op's name.
        compute: returns the result.
        operands: the op's operands; the result requires grad if one of these tensors does.
    """
    wanted = [
        each for each in operands if isinstance(each, Tensor) and each._current_node() is not None
    ]
    if not (wanted and local.recorder.grad_enabled):
        return compute()
    with grad_mode(False):
        result = compute()
    if isinstance(result, Tensor) and result._storage.aval.inexact:
        edges = tuple([each._edge() for each in wanted])
        node = NotImplemented(edges, (result._storage.aval,))
        node.op = name
        result._node, result._nr = node, 0
    return result
