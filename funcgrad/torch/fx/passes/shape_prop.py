"""`ShapeProp`: notes at each node of a graph the shape and dtype of its result."""

from typing import Any, NamedTuple

from funcgrad.torch._memory.formats import channels_last, channels_last_3d, contiguous_format
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.fx.interpreter import Interpreter
from funcgrad.torch.fx.node import Node, map_aggregate

__all__ = ["ShapeProp", "TensorMetadata"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class TensorMetadata(NamedTuple):
    """The facts of a tensor."""

    shape: Any
    dtype: Any
    requires_grad: bool
    stride: tuple[int, ...]
    memory_format: Any
    is_quantized: bool
    qparams: dict[str, Any]


def _facts(found: Any) -> Any:
    if not isinstance(found, Tensor):
        return found
    tensor: Any = found
    formats = (contiguous_format, channels_last, channels_last_3d)
    fits = (f for f in formats if (f is contiguous_format or tensor.ndim == (4 if f is channels_last else 5)) and tensor.is_contiguous(memory_format=f))  # fmt: skip
    return TensorMetadata(tensor.shape, tensor.dtype, tensor.requires_grad, tensor.stride(), next(fits, None), False, {})  # fmt: skip


class ShapeProp(Interpreter):
    """Runs a graph, and notes the facts of each result in the node's `meta["tensor_meta"]`."""

    def run_node(self, n: Node) -> Any:
        """The result of a node, which is noted."""
        found = super().run_node(n)
        tensors: list[Any] = []
        map_aggregate(found, lambda a: tensors.append(a) if isinstance(a, Tensor) else None)
        if tensors:
            n.meta["tensor_meta"] = map_aggregate(found, _facts)
        n.meta["type"] = type(found)
        return found

    def propagate(self, *args: Any) -> Any:
        """Run the graph on these arguments."""
        return self.run(*args)
