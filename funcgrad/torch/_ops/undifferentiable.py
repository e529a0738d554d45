"""Ops for which PyTorch has no derivative. Their results require grad, and a backward that reaches their node raises."""

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.engine import FunctionNode, Variable, grad_mode, local
from funcgrad.torch._tensor.tensor import Tensor


class NotImplemented(FunctionNode):
    """The node of an op without a derivative."""

    __slots__ = ("error",)

    error: Exception

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """Refuse to go on.

        Raises:
            RuntimeError, NotImplementedError: always.
        """
        raise self.error


def without_derivative(
    name: str,
    compute: Callable[[], Any],
    *operands: Any,
    planned: bool = False,
    error: Exception | None = None,
) -> Any:
    """The result of an op without a derivative, or its results.

    Args:
        name: the op's name.
        compute: returns the result.
        operands: the op's operands; the result requires grad if one of these tensors does.
        planned: whether PyTorch's error is that of a derivative which nobody has written yet.
        error: PyTorch's error, where it is another one.
    """
    wanted = [
        each for each in operands if isinstance(each, Tensor) and each._current_node() is not None
    ]
    if not (wanted and local.recorder.grad_enabled):
        return compute()
    with grad_mode(False):
        result = compute()
    made = result if isinstance(result, tuple) else (result,)
    inexact = [each for each in made if isinstance(each, Tensor) and each._storage.aval.inexact]
    node = NotImplemented(
        tuple([each._edge() for each in wanted]), tuple([each._storage.aval for each in inexact])
    )
    node.error = error or (
        NotImplementedError(f"the derivative for '{name}' is not implemented.")
        if planned
        else RuntimeError(f"derivative for aten::{name} is not implemented")
    )
    for k, each in enumerate(inexact):
        each._node, each._nr = node, k
    return result
