"""A node that lets no gradient through, for checks of the nodes behind it."""

from collections.abc import Sequence

from funcgrad.engine import FunctionNode, Variable
from funcgrad.torch._tensor.tensor import Tensor


class UndefinedGrad(FunctionNode):
    """Pulls any cotangent back to a missing one."""

    __slots__ = ()

    def pull_back(self, cotangents: Sequence[Variable | None]) -> list[None]:
        """Return no gradient."""
        return [None]


def undefined(tensor: Tensor) -> Tensor:
    """The tensor, with a node behind it that lets no gradient through."""
    made = object.__new__(Tensor)
    made._storage = tensor._storage
    made._set_edge(UndefinedGrad((tensor._edge(),), (tensor._storage.aval,)))
    return made
