"""`torch.autograd.backward` and `grad`, and `Tensor.backward`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from funcgrad import engine
from funcgrad.engine import (
    FreedError,
    ModifiedError,
    local,
)
from funcgrad.engine.graph import into
from funcgrad.torch._autograd import aside
from funcgrad.torch._autograd.complaints import as_pytorch
from funcgrad.torch._autograd.edges import GradientEdge
from funcgrad.torch._autograd.requests import (
    as_flag,
    cotangents_of,
    edges_of,
    inputs_of,
    pairs_of,
    roots_of,
)
from funcgrad.torch._autograd.walking import Tensors, _check_scalar, accumulate, gradients
from funcgrad.torch._compile import keeping
from funcgrad.torch._func.batching import over_cotangents
from funcgrad.torch._levels.refusals import BACKWARD, refuse_inside
from funcgrad.torch._memory.inference import enabled as inferring
from funcgrad.torch._ops.creation import FUNCTIONS as CREATION
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.warning import warn

_CYCLE = (
    "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient "
    "which can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you have "
    "to use this function, make sure to reset the .grad fields of your parameters to None after use to break the cycle "
    "and avoid the leak."
)


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves they depend on.

    Args:
        tensors: one tensor or gradient edge, or several, each requiring grad.
        grad_tensors: for each, the cotangent, of its shape; may be None for a scalar.
        retain_graph: keep the saved tensors, so that backward can run again; as `create_graph` if None.
        create_graph: make the gradients differentiable.
        grad_variables: the old name of `grad_tensors`.
        inputs: only these accumulate their gradient: leaves, or non-leaves, which retain it from then on. If None, all leaves.

    Raises:
        RuntimeError: a tensor has no graph, a cotangent is missing or has the wrong shape, the graph was freed, or
            a value it needs was changed in place.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.backward.html
    """
    refuse_inside(BACKWARD)
    if grad_variables is not None:
        warn(
            "`grad_variables` is deprecated. Use `grad_tensors` instead.",
            FutureWarning,
        )
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only "
                "use `grad_tensors`."
            )
        grad_tensors = grad_variables
    wanted = None if inputs is None else inputs_of(inputs, "backward")
    roots = roots_of(tensors)
    cotangents = cotangents_of(roots, grad_tensors)
    create_graph = as_flag(create_graph)
    retain_graph = create_graph if retain_graph is None else as_flag(retain_graph)
    cyclic = create_graph
    create_graph = create_graph and not inferring()
    retain_graph, create_graph, freed = keeping.walk_options(roots, retain_graph, create_graph)
    pairs = pairs_of(roots, cotangents, create_graph)
    towards = None
    if wanted is not None:
        edges = edges_of(wanted, gather=True)
        towards = [node for edge in edges for node, _ in (edge, *aside.edges_of(edge))]
    if cyclic:
        warn(_CYCLE)
    try:
        engine.walk(
            pairs,
            into(accumulate),
            retain_graph=retain_graph,
            create_graph=create_graph,
            towards=towards,
        )
        if aside.waiting:
            with engine.grad_mode(create_graph):
                aside.give()
    except BaseException as error:
        aside.forget()
        if isinstance(error, (FreedError, ModifiedError)):
            raise as_pytorch(error) from None
        raise
    keeping.fix(freed)
    if local.recorder.walking is None:  # else it runs with the rest of the outer walk
        engine.end_of_walk()


def grad(
    outputs: Tensors,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The gradients of the sum of `outputs` with respect to `inputs`, returned and not accumulated.

    Args:
        outputs, grad_outputs: as the tensors and cotangents of `backward`.
        inputs: tensors or gradient edges that require grad; one, several, or a dict of them.
        retain_graph, create_graph: as for `backward`.
        only_inputs: accepted for PyTorch's sake; it is always so.
        allow_unused: return None for an input that the outputs do not depend on, in place of an error.
        is_grads_batched: each of `grad_outputs` is a batch of cotangents, with the batch dimension in front. `vmap` runs
            backward for all of them at once, and the gradients are batches too.
        materialize_grads: return zeros in place of None.

    Returns:
        A tuple of tensors, or a dict of them if the inputs are a dict.

    Raises:
        RuntimeError: as `backward`, or an input is unused and that is not allowed.

    >>> import funcgrad.torch as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (slope,) = torch.autograd.grad(x**3, x, create_graph=True)
    >>> torch.autograd.grad(slope, x)
    (tensor(18.),)

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, "
            "but got: allow_unused=False."
        )
    roots = roots_of(outputs)
    wanted = inputs_of(inputs, "grad")
    if not only_inputs:
        warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for "
            "other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
        )
    create_graph = as_flag(create_graph)
    retain_graph = create_graph if retain_graph is None else as_flag(retain_graph)
    retain_graph, create_graph, freed = keeping.walk_options(roots, retain_graph, create_graph)
    walk = partial(
        gradients,
        roots,
        wanted,
        retain_graph=retain_graph,
        create_graph=create_graph,
        allow_unused=materialize_grads if allow_unused is None else allow_unused,
    )
    found: tuple[Tensor | None, ...]
    if is_grads_batched:
        found = over_cotangents(walk, cotangents_of(roots, grad_outputs, batched=True))
    else:
        found = walk(grad_outputs)
    keeping.fix(freed)
    if materialize_grads:
        found = _materialized(found, wanted, create_graph)
    if local.recorder.walking is None:
        engine.end_of_walk(not create_graph or engine.chain_ended())
    return dict(zip(inputs, found, strict=True)) if type(inputs) is dict else found


def _materialized(
    found: tuple[Tensor | None, ...], inputs: Sequence[Any], create_graph: bool
) -> tuple[Tensor | None, ...]:
    pairs = list(zip(found, inputs, strict=True))
    if any(each is None and isinstance(x, GradientEdge) for each, x in pairs):
        raise RuntimeError(
            "materialize_grads cannot be used when the given input is a GradientEdge"
        )
    zeros_like: Callable[..., Tensor] = CREATION["zeros_like"]
    return tuple(
        [zeros_like(x, requires_grad=create_graph) if each is None else each for each, x in pairs]
    )


def tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of this tensor to `.grad` of the leaves it depends on; see `backward`."""
    if (
        gradient is not None
        or create_graph is not False
        or inputs is not None
        or self._current_node() is None
        or local.recorder.levels
        or keeping.state.keeps
    ):
        backward(self, gradient, retain_graph, create_graph, inputs=inputs)
        return
    # The fast path for the usual training step.
    _check_scalar(self)
    keeping.state.walked = True
    try:
        engine.backward(
            self, accumulate, retain_graph=retain_graph is not None and as_flag(retain_graph)
        )
        if aside.waiting:
            with engine.grad_mode(False):
                aside.give()
    except BaseException as error:
        aside.forget()
        if isinstance(error, (FreedError, ModifiedError)):
            raise as_pytorch(error) from None
        raise


publish_all({}, {"backward": tensor_backward})
