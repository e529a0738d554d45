"""Shared parts of `torch.autograd.functional`: checks of inputs and vectors, PyTorch's `strict`, zeros for gaps."""

from collections.abc import Sequence
from typing import Any

from funcgrad.torch._ops.creation import FUNCTIONS as CREATION
from funcgrad.torch._ops.views.views import view_as
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.autograd._backward import grad

Tensors = tuple[Tensor, ...]
zeros_like = CREATION["zeros_like"]


def tensors_of(given: Any, what: str, called: str | None) -> tuple[bool, Tensors]:
    """Whether a tuple was given, and the tensors as one.

    Raises:
        TypeError: an item is not a tensor.
    """
    several = isinstance(given, tuple)
    tensors = given if several else (given,)
    for position, each in enumerate(tensors):
        if not isinstance(each, Tensor):
            which = f"value at index {position}" if several else f"given {what}"
            raise TypeError(
                f"The {what} given to {called} must be either a Tensor or a tuple of Tensors but the {which} has type "
                f"{type(each)}."
            )
    return several, tensors


def started(inputs: Any, called: str, create_graph: bool) -> tuple[bool, Tensors]:
    """Whether several inputs were given, and the inputs prepared as starts of the graph; see `prepared`."""
    several, tensors = tensors_of(inputs, "inputs", called)
    return several, prepared(tensors, create_graph, need_graph=True)


def checked(outputs: Any, called: str, strict: bool) -> tuple[bool, Tensors]:
    """Whether a function returned several tensors, and the tensors."""
    several, tensors = tensors_of(outputs, "outputs of the user-provided function", called)
    check_strict(tensors, "outputs", strict)
    return several, tensors


def prepared(inputs: Tensors, create_graph: bool, need_graph: bool) -> Tensors:
    """The inputs as starts of a new graph. With `create_graph` it stays connected to the graph outside."""
    made = []
    for each in inputs:
        if create_graph and each.requires_grad:
            made.append(view_as(each, each))
        else:
            made.append(each.detach().requires_grad_(need_graph))
    return tuple(made)


def without_graph(results: Any, create_graph: bool) -> Any:
    """Results, nested in tuples; detached unless `create_graph` is set."""
    if isinstance(results, Tensor):
        return results if create_graph else results.detach()
    return tuple([without_graph(each, create_graph) for each in results])


def vector(v: Any, like: Tensors, several: bool, create_graph: bool, called: str) -> Tensors:
    """The vector of a product, checked against the tensors `like`."""
    _, tensors = tensors_of(v, "v", called)
    tensors = prepared(tensors, create_graph, need_graph=False)
    if len(tensors) != len(like):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(tensors)}."
            if several
            else "The given v should contain a single Tensor."
        )
    for position, (mine, its) in enumerate(zip(tensors, like, strict=True)):
        if mine.shape != its.shape:
            entry = f"Entry {position} in " if several else ""
            raise RuntimeError(
                f"{entry}v has invalid size: should be {its.shape} but got {mine.shape}."
            )
    return tensors


def input_vector(
    v: Any, inputs: Tensors, several: bool, create_graph: bool, called: str
) -> Tensors | None:
    """The vector of a product, checked against the inputs; it may be None for a single input of one element."""
    if v is not None:
        return vector(v, inputs, several, create_graph, called)
    if len(inputs) != 1 or inputs[0].numel() != 1:
        raise RuntimeError(
            "The vector v can only be None if the input to the user-provided function is a single Tensor with a single "
            "element."
        )
    return None


# For each kind of tensor that `strict` checks: the error for a tensor, at position {0}, that does not require grad.
_NOT_DIFFERENTIABLE = {
    "outputs": "Output {0} of the user-provided function does not require gradients. The outputs must be computed in a "
    "differentiable manner from the input when running in strict mode.",
    "grad_inputs": "The gradient with respect to input {0} is independent of the inputs of the user-provided function. "
    "This is not allowed in strict mode.",
    "jacobian": "While computing the hessian, found that the jacobian of the user-provided function with respect to "
    "input {0} is independent of the input. This is not allowed in strict mode. You should ensure that your function is "
    "twice differentiable and that the jacobian depends on the inputs (this would be violated by a linear function for "
    "example).",
    "hessian": "The hessian of the user-provided function with respect to input {0} is independent of the input. This is "
    "not allowed in strict mode. You should ensure that your function is thrice differentiable and that the hessian "
    "depends on the inputs.",
}


def check_strict(tensors: Sequence[Tensor | None], kind: str, strict: bool) -> None:
    """With `strict`, check that tensors of a kind are differentiable."""
    if not strict:
        return
    for position, each in enumerate(tensors):
        if each is None:
            raise RuntimeError(
                f"The output of the user-provided function is independent of input {position}. This is not allowed in "
                "strict mode."
            )
        if not each.requires_grad:
            raise RuntimeError(_NOT_DIFFERENTIABLE[kind].format(position))


def gradients_of(
    outputs: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor] | None = None,
    **options: Any,
) -> tuple[Tensor | None, ...]:
    """`torch.autograd.grad` without the outputs that are not differentiable."""
    kept = [k for k, each in enumerate(outputs) if each is not None and each.requires_grad]
    if not kept:
        return (None,) * len(inputs)
    return grad(
        [outputs[k] for k in kept],  # type: ignore[misc]
        list(inputs),
        [None if cotangents is None else cotangents[k] for k in kept],
        allow_unused=True,
        **options,
    )


# For each stage: the errors of `strict` for a missing gradient, and for a gradient without a graph.
_INDEPENDENT = {
    "back": "The output of the user-provided function is independent of input {0}. This is not allowed in strict mode.",
    "back_trick": "The gradient with respect to the input is independent of entry {0} in the grad_outputs when using the "
    "double backward trick to compute forward mode gradients. This is not allowed in strict mode.",
    "double_back": "The jacobian of the user-provided function is independent of input {0}. This is not allowed in "
    "strict mode.",
    "double_back_trick": "The hessian of the user-provided function is independent of entry {0} in the grad_jacobian. "
    "This is not allowed in strict mode as it prevents from using the double backward trick to replace forward mode AD.",
}


def zeros_for_missing(
    gradients: Sequence[Tensor | None],
    like: Sequence[Tensor],
    strict: bool,
    create_graph: bool,
    stage: str,
) -> Tensors:
    """Gradients, with zeros for missing ones."""
    filled = []
    for position, (each, its) in enumerate(zip(gradients, like, strict=True)):
        if each is None and strict:
            raise RuntimeError(_INDEPENDENT[stage].format(position))
        if each is not None and strict and create_graph and not each.requires_grad:
            what = "hessian" if "double" in stage else "jacobian"
            raise RuntimeError(
                f"The {what} of the user-provided function is independent of input {position}. This is not allowed in "
                "strict mode when create_graph=True."
            )
        filled.append(zeros_like(its) if each is None else each)
    return tuple(filled)


def unpacked(results: Tensors, several: bool) -> Any:
    """All results if several, else the single one."""
    return results if several else results[0]
