"""`backward` and `grad`: gradients gathered in the leaves, or returned."""

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

from funcgrad import engine
from funcgrad.engine import (
    FreedError,
    Leaf,
    ModifiedError,
    Storage,
    Value,
    Variable,
    grad_mode,
    local,
    record,
)
from funcgrad.engine.graph import made
from funcgrad.engine.levels import detached
from funcgrad.engine.ops import add, ones_like
from funcgrad.torch.autograd.complaints import as_pytorch
from funcgrad.torch.autograd.graph import GradientEdge
from funcgrad.torch.autograd.hooks import accumulated
from funcgrad.torch.autograd.shaping import as_gradient_of
from funcgrad.torch.calling import remember
from funcgrad.torch.dtypes import Size, from_numpy_dtype
from funcgrad.torch.tensor import Tensor, tensor_of
from funcgrad.torch.view_tensor import UNTRACKED
from funcgrad.torch.wrapping import BACKWARD, refuse_inside

Tensors = Tensor | GradientEdge | Sequence[Tensor | GradientEdge]


_CYCLE = (
    "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient "
    "which can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you have "
    "to use this function, make sure to reset the .grad fields of your parameters to None after use to break the cycle "
    "and avoid the leak."
)


def _accumulate(leaf: Leaf, value: Value, node: Any, nr: int) -> None:
    """Add a gradient to a leaf's `.grad`: in place where the walk leaves no graph, as PyTorch does."""
    variable: Any = leaf.reference()
    if variable is None:
        return
    if variable.node is not leaf:
        if variable.node is None:
            return  # it was told since that it wants no gradient
        if type(leaf) is not Leaf and not isinstance(variable.node, Leaf):
            raise RuntimeError("leaf variable has been moved into the graph interior")
    if not local.recorder.grad_enabled:
        value = detached(value)
    held = variable._grad
    if held is None:
        variable._grad = tensor_of(value, node, nr)
    elif local.recorder.grad_enabled:
        variable._grad = held + tensor_of(value, node, nr)
    else:
        held.storage.value = record(add, (held, Variable(Storage(value))))[0]
        held.storage.version += 1
    if variable._post_accumulate:
        accumulated(variable)


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves they depend on.

    Args:
        tensors: one tensor or several, each requiring grad.
        grad_tensors: for each, the cotangent, of its shape; may be None for a scalar.
        retain_graph: keep what the walk needs, to walk again; as `create_graph` if None.
        create_graph: make the gradients differentiable in turn.
        inputs: only these leaves (or results, whose `.grad` is then set) gather; all leaves if None.

    Raises:
        RuntimeError: a tensor has no graph, a cotangent is missing or has the wrong shape, the graph was freed, or
            a value it needs was changed in place.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.backward.html
    """
    refuse_inside(BACKWARD)
    if retain_graph is None:
        retain_graph = create_graph
    if create_graph:
        warnings.warn(_CYCLE, stacklevel=2)
    roots = _as_list(tensors)
    if inputs is not None and not _as_list(inputs):
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    _check_roots(roots)
    try:
        pairs = _with_cotangents(roots, grad_tensors, create_graph)
        wanted = None if inputs is None else _as_list(inputs)
        for each in wanted or ():
            if each.node is None:
                raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        edges = None if wanted is None else [_edge(each) for each in wanted]
        with grad_mode(create_graph):
            for node, gradient in engine.walk(
                pairs, retain_graph=retain_graph, create_graph=create_graph, captures=edges
            ):
                if edges is None or wanted is None:
                    _accumulate(node, gradient.storage.value, gradient.node, gradient.nr)
                    continue
                target = wanted[edges.index(node)]
                leaf = target.node if isinstance(target.node, Leaf) else Leaf(target)
                _accumulate(leaf, gradient.storage.value, gradient.node, gradient.nr)
    except (FreedError, ModifiedError) as error:
        raise as_pytorch(error) from None
    engine.flush("backward ended")


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`, returned and not gathered.

    Args:
        outputs, grad_outputs: as the tensors and cotangents of `backward`.
        inputs: tensors that require grad.
        retain_graph, create_graph: as for `backward`.
        allow_unused: give None for an input that the outputs do not depend on, in place of an error.
        is_grads_batched: each of `grad_outputs` has one dimension more, in front: a batch of cotangents, for each of
            which the graph is walked, all at once by `vmap`. The gradients are batches then.
        materialize_grads: give zeros in place of None.

    Raises:
        RuntimeError: as `backward`, or an input is unused and that is not allowed.

    >>> import funcgrad.torch as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (slope,) = torch.autograd.grad(x**3, x, create_graph=True)
    >>> torch.autograd.grad(slope, x)
    (tensor(18.),)

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """
    if retain_graph is None:
        retain_graph = create_graph
    if allow_unused is None:
        allow_unused = materialize_grads
    elif not allow_unused and materialize_grads:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, "
            "but got: allow_unused=False."
        )
    walk = partial(
        gradients,
        _as_list(outputs),
        _as_list(inputs),
        retain_graph=retain_graph,
        create_graph=create_graph,
        allow_unused=allow_unused,
    )
    if is_grads_batched:
        from funcgrad.torch.func.batching import over_cotangents

        found = over_cotangents(walk, outputs, grad_outputs)
    else:
        found = walk(grad_outputs)
    if materialize_grads:
        found = tuple(
            [
                _zeros_like(x) if each is None else each
                for x, each in zip(_as_list(inputs), found, strict=True)
            ]
        )
    if not create_graph or engine.chain_ended():
        engine.flush("backward ended")
    return found


def gradients(
    roots: list[Any],
    wanted: list[Any],
    grad_outputs: Any,
    *,
    retain_graph: bool,
    create_graph: bool,
    allow_unused: bool,
) -> tuple[Tensor | None, ...]:
    """`grad` without running what is pending at its end."""
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    _check_roots(roots)
    for each in wanted:
        if each.node is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    edges = [_edge(each) for each in wanted]
    found: dict[Any, Variable] = {}
    try:
        captures = list(dict.fromkeys(edges))
        gathered = None
        if len(roots) == 1 and grad_outputs is None and all(isinstance(n, Leaf) for n, _ in edges):
            _check_scalar(roots[0])
            gathered = engine.pull(
                roots[0],
                retain_graph=retain_graph,
                create_graph=create_graph,
                wanted=[node for node, _ in captures],
            )
        if gathered is None:
            pairs = _with_cotangents(roots, grad_outputs, create_graph)
            found.update(
                engine.walk(
                    pairs, retain_graph=retain_graph, create_graph=create_graph, captures=captures
                )
            )
        else:
            found = {(leaf, 0): Variable(Storage(v), node, nr) for leaf, v, node, nr in gathered}
    except (FreedError, ModifiedError) as error:
        raise as_pytorch(error) from None
    if not allow_unused:
        for position, edge in enumerate(edges):
            if edge not in found:
                raise RuntimeError(
                    f"The differentiated Tensor at index {position} appears to not have been used in the graph. Set "
                    "allow_unused=True if this is the desired behavior."
                )
    return tuple(
        tensor_of(found[edge].storage.value, found[edge].node, found[edge].nr)
        if edge in found
        else None
        for edge in edges
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
        or create_graph
        or inputs is not None
        or self.node is None
        or local.recorder.levels
    ):
        backward(self, gradient, retain_graph, create_graph, inputs)
        return
    # What a training step does, without detours.
    aval = self.storage.value.aval
    if aval not in _SCALARS:
        _check_scalar(self)
        remember(_SCALARS, aval, None)
    try:
        engine.backward(self, _accumulate, retain_graph=bool(retain_graph))
    except (FreedError, ModifiedError) as error:
        raise as_pytorch(error) from None


_SCALARS: dict[Any, None] = {}  # types that were checked to be real scalars
METHODS = {"backward": tensor_backward}
FUNCTIONS: dict[str, Any] = {}


def _edge(of: Tensor) -> tuple[Any, int]:
    if not isinstance(of, Tensor):
        return of.node, of.output_nr
    # Nothing leads to a view that requires grad only because its base does.
    return (Leaf(of), 0) if of.node is UNTRACKED else (of.node, of.nr)


def _as_list(given: Any) -> list[Any]:
    """One tensor or edge, or a sequence of them, as a list."""
    return [given] if isinstance(given, (Tensor, GradientEdge)) else list(given)


def _zeros_like(like: Tensor) -> Tensor:
    from funcgrad.torch.creation import FUNCTIONS

    return FUNCTIONS["zeros_like"](like)


def _check_roots(roots: list[Tensor]) -> None:
    for position, root in enumerate(roots):
        if root.node is None:
            raise RuntimeError(
                f"element {position} of tensors does not require grad and does not have a grad_fn"
            )


def _check_scalar(root: Tensor) -> None:
    aval = root.storage.value.aval
    if aval.shape and Size(aval.shape).numel() != 1:
        raise RuntimeError("grad can be implicitly created only for scalar outputs")
    if aval.dtype.kind == "c":
        raise RuntimeError(
            f"grad can be implicitly created only for real scalar outputs but got {from_numpy_dtype(aval.dtype)}"
        )


def _cast(root: Tensor, cotangent: Tensor, position: int) -> Variable:
    """A cotangent in the dtype of what it is a cotangent of."""
    given, wanted = cotangent.storage.value.aval, root.storage.value.aval
    if given.dtype == wanted.dtype:
        return cotangent
    if "c" in (given.dtype.kind, wanted.dtype.kind):
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
            f"grad_output[{position}] has a dtype of {cotangent.dtype} and output[{position}] has a dtype of "
            f"{root.dtype}."
        )
    return as_gradient_of(wanted, cotangent, "backward", position)


def _with_cotangents(
    roots: list[Tensor], given: Any, create_graph: bool
) -> list[tuple[Variable, Variable]]:
    cotangents: list[Any] = (
        [None] * len(roots)
        if given is None
        else [given]
        if isinstance(given, Tensor)
        else list(given)
    )
    # Gradients left over are ignored, as PyTorch ignores them.
    cotangents = cotangents[: len(roots)]
    if len(cotangents) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(cotangents)} gradients")
    pairs: list[tuple[Variable, Variable]] = []
    for position, (root, cotangent) in enumerate(zip(roots, cotangents, strict=True)):
        if isinstance(root, GradientEdge):
            if cotangent is None:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            pairs.append((Variable(cotangent.storage, root.node, root.output_nr), cotangent))
            continue
        if cotangent is None:
            _check_scalar(root)
            with grad_mode(False):
                cotangent = made(record(ones_like, (root,)))
        elif not isinstance(cotangent, Tensor):
            raise TypeError(
                f"gradients can be either Tensors or None, but got {type(cotangent).__name__}"
            )
        elif cotangent.shape != root.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{position}] has a shape of {cotangent.shape} and "
                f"output[{position}] has a shape of {root.shape}."
            )
        else:
            cotangent = _cast(root, cotangent if create_graph else cotangent.detach(), position)
        pairs.append((root, cotangent))
    return pairs
