"""The graph of a module for TensorBoard: its modules, and which result goes into which of them.

PyTorch's graph shows aten ops, which are not here.
"""

import contextlib
from typing import Any

from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.versions_pb2 import VersionDef

from funcgrad import engine
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.trees import flatten


def _tensors(things: Any) -> list[Tensor]:
    return [each for each in flatten(things)[0] if isinstance(each, Tensor)]


def graph(model: Any, inputs: Any) -> GraphDef:
    """The graph of one call of a model.

    Args:
        model: the module.
        inputs: its argument, or a tuple of several.
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    nodes: list[NodeDef] = []
    made: dict[int, str] = {}  # the node that made each tensor
    kept: list[Any] = []  # so that no number of a tensor is used twice

    def add(name: str, kind: str, sources: Any, results: Any) -> None:
        names = dict.fromkeys(made[id(each)] for each in _tensors(sources) if id(each) in made)
        nodes.append(NodeDef(name=name, op=kind, input=list(names)))
        shapes = [TensorShapeProto(dim=[TensorShapeProto.Dim(size=n) for n in each.shape]) for each in _tensors(results)]  # fmt: skip
        nodes[-1].attr["_output_shapes"].CopyFrom(AttrValue(list=AttrValue.ListValue(shape=shapes)))
        for each in _tensors(results):
            made[id(each)] = name
            kept.append(each)

    top = type(model).__name__
    for number, each in enumerate(_tensors(given)):
        add(f"input/{number}", "IO Node", (), each)
    calls: dict[str, int] = {}
    with contextlib.ExitStack() as hooks:
        for path, module in model.named_modules():
            if next(module.children(), None) is None:

                def called(of: Any, args: Any, kwargs: Any, results: Any, path: str = path) -> None:
                    name = "/".join([top, *filter(None, path.split("."))])
                    calls[name] = calls.get(name, 0) + 1
                    name += f"_{calls[name]}" if calls[name] > 1 else ""
                    add(name, type(of).__name__, (args, kwargs), results)

                hooks.enter_context(module.register_forward_hook(called, with_kwargs=True))
        with engine.grad_mode(False):
            results = model(*given)
    for number, each in enumerate(_tensors(results)):
        # A result that no module made, such as a sum of two, comes of the last one.
        if id(each) not in made:
            made[id(each)] = nodes[-1].name
        add(f"output/{number}", "IO Node", each, each)
    return GraphDef(node=nodes, versions=VersionDef(producer=22))
