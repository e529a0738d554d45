"""The arguments of `backward` and `grad`, checked in PyTorch's order and words.

`walking` walks the graph.
"""

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

import numpy as np

from funcgrad.engine import GraphNode, Leaf, Variable, grad_mode, record
from funcgrad.engine.ops import ones_like
from funcgrad.teaching import cured
from funcgrad.torch._autograd.edges import GradientEdge, behind
from funcgrad.torch._autograd.hooks import retain_grad
from funcgrad.torch._autograd.shaping import as_gradient_of
from funcgrad.torch._tensor.tensor import Tensor, place, tensor_of
from funcgrad.torch._tensor.view import UNTRACKED
from funcgrad.torch._types.size import Size

Edge = tuple[GraphNode, int]
_TENSOR = "Expected output to be a torch.Tensor"


def as_flag(given: Any) -> bool:
    """A flag; any integer is accepted.

    Raises:
        TypeError: it is not an integer.
    """
    return bool(index(given))


def roots_of(given: Any) -> tuple[Any, ...]:
    """The roots to differentiate, as a tuple; given one tensor or edge, or several."""
    return (given,) if isinstance(given, (Tensor, GradientEdge)) else tuple(given)


def inputs_of(given: Any, function: str) -> tuple[Any, ...]:
    """The inputs to differentiate with respect to: one tensor or edge, several, or a dict of them.

    Raises:
        RuntimeError: there are none.
        TypeError: the inputs are a mapping other than a dict.
    """
    if isinstance(given, (Tensor, GradientEdge)):
        return (given,)
    if isinstance(given, Mapping) and type(given) is not dict:
        raise TypeError(
            f"`inputs` argument to `{function}()` must be a dict, not {type(given).__name__}. Other Mapping types are "
            "not supported."
        )
    inputs = tuple(given.values() if isinstance(given, dict) else given)
    if not inputs:
        raise RuntimeError(f"`inputs` argument to `{function}()` cannot be empty.")
    return inputs


def cotangents_of(
    roots: Sequence[Any], given: Any, *, batched: bool = False
) -> list[Tensor | None]:
    """The cotangents of the roots. A scalar root may leave it out: its cotangent is one.

    Args:
        roots: tensors or edges.
        given: one cotangent, or several, which may be None.
        batched: each has one dimension more, in front.

    Raises:
        RuntimeError: a cotangent and its root differ in shape, or just one of them is complex; or a cotangent is
            missing, and its root is not a real scalar.
        TypeError: one is neither a tensor nor None.
        AssertionError: a root is neither a tensor nor an edge.
    """
    if given is None:
        cotangents: tuple[Any, ...] = (None,) * len(roots)
    else:
        cotangents = (given,) if isinstance(given, Tensor) else tuple(given)
    found: list[Tensor | None] = []
    for root, cotangent in zip(roots, cotangents, strict=False):
        # For an edge, PyTorch's metadata: shape and dtype, as for a tensor.
        of: Any = root
        if isinstance(root, GradientEdge):
            node: Any = root.node
            of = node._input_metadata[root.output_nr]
        if not isinstance(of, Tensor) and of is root:
            raise AssertionError(_TENSOR)
        if isinstance(cotangent, Tensor):
            _check_fits(roots, cotangents, root, cotangent, of, batched)
            found.append(cotangent)
        elif cotangent is not None:
            raise TypeError(
                f"gradients can be either Tensors or None, but got {type(cotangent).__name__}"
            )
        elif of is root and not root.requires_grad:
            found.append(None)
        else:
            check_scalar(of)
            found.append(_ones(root, of))
    return found


def check_scalar(root: Any) -> None:
    """Check that a root may leave out its cotangent.

    Raises:
        RuntimeError: the root is not a scalar, or is complex.
    """
    shape = root.shape
    if shape and Size(shape).numel() != 1:
        raise cured(
            RuntimeError("grad can be implicitly created only for scalar outputs"), "not a scalar"
        )
    if not root.dtype.is_floating_point:
        raise RuntimeError(
            f"grad can be implicitly created only for real scalar outputs but got {root.dtype}"
        )


def _ones(root: Any, of: Any) -> Tensor:
    if of is not root:
        return tensor_of(place(np.ones(of.shape, of.dtype.numpy_dtype)))
    with grad_mode(False):
        return tensor_of(record(ones_like, (root,))[0])


def _check_fits(
    roots: Sequence[Any],
    cotangents: Sequence[Any],
    root: Any,
    cotangent: Any,
    of: Any,
    batched: bool,
) -> None:
    """Check that a cotangent has the shape of its root, and is complex if and only if the root is.

    Raises:
        RuntimeError: shape or kind differ.
    """
    first, shape = cotangent[0] if batched else cotangent, Size(of.shape)
    if first.shape != shape:
        places = f"grad_output[{cotangents.index(cotangent)}] has a shape of "
        result = f"output[{roots.index(root)}] has a shape of {shape}."
        if not batched:
            raise RuntimeError(f"Mismatch in shape: {places}{first.shape} and {result}")
        if of is not root:
            raise RuntimeError("Batched grads are not supported with GradientEdge")
        raise RuntimeError(
            "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. "
            "The sizes of the remaining dimensions are expected to match the shape of corresponding output, but a "
            # One dimension less than the root has, as in PyTorch.
            f"mismatch was detected: {places}{Size(first.shape[1:])} and {result} If you only want some tensors in "
            "`grad_output` to be considered batched, consider using vmap."
        )
    if of.dtype.is_complex != cotangent.dtype.is_complex:
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
            f"grad_output[{cotangents.index(cotangent)}] has a dtype of {cotangent.dtype} and "
            f"output[{roots.index(root)}] has a dtype of {of.dtype}."
        )


def pairs_of(
    roots: Sequence[Any], cotangents: Sequence[Tensor | None], create_graph: bool
) -> list[tuple[Variable, Variable]]:
    """The start of a walk: variables, and the cotangent of each.

    Raises:
        RuntimeError: a root has no graph, or there are fewer cotangents than roots.
    """
    if len(cotangents) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(cotangents)} gradients")
    pairs: list[tuple[Variable, Variable]] = []
    for position, (root, cotangent) in enumerate(zip(roots, cotangents, strict=True)):
        if (root.node if isinstance(root, GradientEdge) else root._current_node()) is None:
            raise cured(
                RuntimeError(
                    f"element {position} of tensors does not require grad and does not have a grad_fn"
                ),
                "nothing asked",
            )
        assert cotangent is not None, "what has a graph requires grad"
        if isinstance(root, GradientEdge):
            node = behind(root.node)
            aval = node.types[root.output_nr]
            variable = Variable(cotangent._storage, node, root.output_nr)
        else:
            aval, variable = root._storage.aval, root
        given = cotangent if create_graph else cotangent.detach()
        if given._storage.aval.dtype != aval.dtype:
            given = as_gradient_of(aval, given, "backward", position)  # type: ignore[assignment]
        pairs.append((variable, given))
    return pairs


def edges_of(inputs: Sequence[Any], *, gather: bool = False) -> list[Edge]:
    """The edges that the inputs' gradients flow along.

    Args:
        inputs: tensors or edges.
        gather: non-leaf inputs retain their gradient in `.grad` from now on.

    Raises:
        RuntimeError: an input does not require grad, or is neither a tensor nor an edge.
    """
    edges: list[Edge] = []
    for each in inputs:
        if isinstance(each, GradientEdge):
            node = behind(each.node)
            if not isinstance(node, GraphNode):
                raise RuntimeError(
                    "GradientEdge's first object must be an autograd.graph.Node but got "
                    f"{type(each.node).__name__}"
                )
            edges.append((node, each.output_nr))
        elif isinstance(each, Tensor):
            if gather:
                retain_grad(each)
            edge = each._edge()
            if edge[0] is None:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
            # No edge leads to a view that requires grad only because its base does.
            edges.append((Leaf(each), 0) if edge[0] is UNTRACKED else edge)
        else:
            raise RuntimeError(
                f"all inputs have to be Tensors or GradientEdges, but got {type(each).__name__}"
            )
    return edges
