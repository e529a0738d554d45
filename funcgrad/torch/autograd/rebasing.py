"""A tensor that a custom function wrote in place: its history goes on with the function, and so does that of its base."""

from collections.abc import Sequence
from typing import Any

from funcgrad.engine import FunctionNode, Variable
from funcgrad.torch.autograd.hooks import as_tensor
from funcgrad.torch.tensor import Tensor, move_retained
from funcgrad.torch.view_storage import geometry_of
from funcgrad.torch.view_tensor import ViewTensor


def rebase(tensor: Tensor, node: Any, number: int) -> None:
    """Let `tensor`, an argument written in place, come from output `number` of `node`.

    Raises:
        RuntimeError: it is a view, and may not be written or the function has more results.
    """
    tensor._grad = None
    if type(tensor) is not ViewTensor:
        tensor.node, tensor.nr = node, number
        if tensor._retained is not None:
            move_retained(tensor)
        return
    if node.outputs > 1:
        raise RuntimeError(
            "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return "
            "more than one Tensor. This is not supported by the current autograd engine. You should either make sure "
            "the input is not a view (using .clone() for example) or make your Function only return one Tensor "
            "(potentially splitting it into two Functions: one doing the inplace that returns a single Tensor and a "
            "second one that does the other operations). You can ask on the forum https://discuss.pytorch.org/ if you "
            "need help to do this change."
        )
    tensor.check_writable(())
    base: Any = tensor.base
    base.node, base.nr = CopySlices(tensor, node, number), 0
    tensor.rebased()
    for each in (base, tensor):
        if each._retained is not None:
            move_retained(each)


class CopySlices(FunctionNode):
    """The node of a base of which a view was written by a custom function."""

    __slots__ = ("function", "number", "places", "position", "shape")

    def __init__(self, view: Any, function: FunctionNode, number: int) -> None:
        base = view.base
        own = (base.node, base.nr) if base.node is not None else None
        # The function's edges without the view's own, which the base's takes the place of.
        view_edge = (view._last_node(), view._nr)
        self.position = next((k for k, e in enumerate(function.edges) if e == view_edge), None)
        others = [e for k, e in enumerate(function.edges) if k != self.position]
        super().__init__((*([own] if own else []), *others))
        self.function, self.number = function, number
        self.shape = own is not None
        self.places = geometry_of(view.storage), geometry_of(base.storage).offset

    def pull_back(self, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
        """The function's gradients for the part it wrote, and the gradient as it came for the rest."""
        if cotangents[0] is None:
            return [None] * len(self.edges)
        (size, stride, offset), start = self.places[0][:3], self.places[1]
        whole: Any = as_tensor(cotangents[0])
        whole = whole.clone()
        part = whole.as_strided(size, stride, offset - start)
        given: list[Any] = [None] * self.function.outputs
        given[self.number] = part.clone()
        gradients = list(self.function.pull_back(given))
        own = None if self.position is None else gradients.pop(self.position)
        if not self.shape:
            return gradients
        if own is None:
            part.zero_()
        else:
            part.copy_(as_tensor(own))
        return [whole, *gradients]
