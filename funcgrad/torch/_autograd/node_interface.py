"""PyTorch's interface of a graph node, put on the engine's nodes. `grad_fn` returns these nodes.

Behaviour: https://pytorch.org/docs/stable/autograd.html#torch.autograd.graph.Node
"""

from math import inf
from typing import Any, NamedTuple

from funcgrad.engine import FreedError, GraphNode, Leaf, ModifiedError, Node
from funcgrad.engine.graph import pull_back
from funcgrad.torch._autograd import hooks
from funcgrad.torch._autograd.complaints import as_pytorch
from funcgrad.torch._autograd.observing import metadata
from funcgrad.torch._autograd.saved_attributes import attributes_of, saved_attribute
from funcgrad.torch._autograd.walking import accumulate
from funcgrad.torch._tensor.tensor import AccumulateGrad, Tensor, device_of, tensor_of_variable
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.dtypes import dtype, from_numpy_dtype
from funcgrad.torch._types.node_names import node_name

_NO_NUMBER = 2**64 - 1


class InputMetadata(NamedTuple):
    """Shape, dtype and device of the gradient that arrives at one output of a node."""

    shape: list[int]
    dtype: dtype
    device: device
    is_nested_tensor: bool = False
    is_cpp_nested_tensor: bool = False


def _sequence_nr(self: GraphNode) -> int:
    return _NO_NUMBER if self.sequence == inf else int(self.sequence)


def _input_metadata(self: GraphNode) -> list[InputMetadata | None]:
    known = [
        None
        if aval is None or not aval.inexact
        else InputMetadata(list(aval.shape), from_numpy_dtype(aval.dtype), device_of(aval))
        for aval in self.types
    ]
    while known and known[-1] is None:
        known.pop()
    return known


def _pull_back(self: Any, *gradients: Tensor | None, **named: Any) -> Any:
    """Run the node backward on the gradients of its outputs; returns one gradient, or a tuple of them."""
    if named:
        raise TypeError("keyword arguments are not supported")
    if len(gradients) != self.outputs:
        raise TypeError(f"expected {self.outputs} arguments, got {len(gradients)} instead")
    for number, each in enumerate(gradients):
        if not (each is None or isinstance(each, Tensor)):
            raise TypeError(f"argument {number} is not a Variable")
    if isinstance(self, Leaf):
        if gradients[0] is not None:
            given = gradients[0]
            accumulate(self, given._storage.read(), *given._edge())
        return ()
    try:
        found = pull_back(self, gradients)
    except (FreedError, ModifiedError) as error:
        raise as_pytorch(error) from None
    total, places = hooks.places_of(self)
    results: list[Tensor | None] = [None] * total
    for place, gradient in zip(places, found, strict=True):
        results[place] = None if gradient is None else tensor_of_variable(gradient)
    return results[0] if total == 1 else tuple(results)


def _refuse_new(self: GraphNode, *_: Any) -> None:
    raise TypeError(f"cannot create '{type(self).__name__}' instances")


def _refuse_copy(self: GraphNode, *_: Any) -> Any:
    raise TypeError(f"cannot pickle '{type(self).__name__}' object")


_INTERFACE: dict[type, dict[str, Any]] = {
    GraphNode: {
        "name": lambda self: node_name(type(self)),
        "next_functions": property(hooks.next_functions),
        "metadata": property(metadata),
        "register_hook": hooks.register_node_hook,
        "register_prehook": hooks.register_prehook,
        "_sequence_nr": _sequence_nr,
        "_input_metadata": property(_input_metadata),
        "__reduce_ex__": _refuse_copy,
    },
    Node: {
        "__call__": _pull_back,
        "__init__": _refuse_new,
        "__getattr__": saved_attribute,
        "__dir__": attributes_of,
    },
    AccumulateGrad: {"__call__": _pull_back},
}
for _kind, _methods in _INTERFACE.items():
    for _method_name, _method in _methods.items():
        setattr(_kind, _method_name, _method)
