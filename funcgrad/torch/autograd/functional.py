"""Jacobians, Hessians and their products with vectors, on the graph: PyTorch's `torch.autograd.functional`.

`torch.func` has the same as functions of functions.
"""

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.engine import Op, grad_mode, local, record
from funcgrad.torch.autograd import forward_ad
from funcgrad.torch.autograd.walking import grad
from funcgrad.torch.creation import FUNCTIONS as CREATION
from funcgrad.torch.func.batching import vmap
from funcgrad.torch.func.gradients import basis, like, split_rows
from funcgrad.torch.rearranging import expand, move_axis, reshape, stack, take
from funcgrad.torch.tensor import AccumulateGrad, Tensor, tensor_of

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Tensor, ...]
_zeros_like = CREATION["zeros_like"]
_VIEW = Op("view", lambda x: x, label="ViewBackward0")
_OUTPUTS = "outputs of the user-provided function"


def _as_tuple(given: Any, what: str, called: str | None) -> tuple[bool, Tensors]:
    """Whether a tuple was given, and the tensors as one.

    Raises:
        TypeError: something else was given.
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


def _prepared(inputs: Tensors, create_graph: bool, need_graph: bool) -> Tensors:
    """The inputs as starting points of a graph of their own, which leads on outside where `create_graph` asks for it."""
    made = []
    for each in inputs:
        if create_graph and each.requires_grad:
            made.append(tensor_of(*record(_VIEW, (each,))))
        else:
            made.append(each.detach().requires_grad_(need_graph))
    return tuple(made)


def _finished(results: Any, create_graph: bool) -> Any:
    """Results, nested in tuples, without a graph where none was asked for."""
    if isinstance(results, Tensor):
        return results if create_graph else results.detach()
    return tuple([_finished(each, create_graph) for each in results])


def _vector(v: Any, like: Tensors, several: bool, create_graph: bool, called: str) -> Tensors:
    """The vector of a product, checked against what it multiplies."""
    _, tensors = _as_tuple(v, "v", called)
    tensors = _prepared(tensors, create_graph, need_graph=False)
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


def _check_single_input(inputs: Tensors) -> None:
    if len(inputs) != 1 or inputs[0].numel() != 1:
        raise RuntimeError(
            "The vector v can only be None if the input to the user-provided function is a single Tensor with a single "
            "element."
        )


# For each kind of tensors that `strict` checks: the complaint about one, at position {0}, that does not require grad.
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


def _check_strict(tensors: Sequence[Tensor | None], kind: str, strict: bool) -> None:
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


def _gradients(
    outputs: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor] | None = None,
    **options: Any,
) -> tuple[Tensor | None, ...]:
    """`torch.autograd.grad`, leaving out outputs that are not differentiable."""
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


# For each stage: the complaints of `strict` about a gradient that is not there, and about one that has no graph.
_INDEPENDENT = {
    "back": "The output of the user-provided function is independent of input {0}. This is not allowed in strict mode.",
    "back_trick": "The gradient with respect to the input is independent of entry {0} in the grad_outputs when using the "
    "double backward trick to compute forward mode gradients. This is not allowed in strict mode.",
    "double_back": "The jacobian of the user-provided function is independent of input {0}. This is not allowed in "
    "strict mode.",
    "double_back_trick": "The hessian of the user-provided function is independent of entry {0} in the grad_jacobian. "
    "This is not allowed in strict mode as it prevents from using the double backward trick to replace forward mode AD.",
}


def _filled(
    gradients: Sequence[Tensor | None],
    like: Sequence[Tensor],
    strict: bool,
    create_graph: bool,
    stage: str,
) -> Tensors:
    """Gradients with zeros where there is none."""
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
        filled.append(_zeros_like(its) if each is None else each)
    return tuple(filled)


def _unpacked(results: Tensors, several: bool) -> Any:
    return results if several else results[0]


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """A function's outputs, and the product of a vector and its Jacobian.

    Args:
        func: takes tensors, returns one or a tuple of them.
        inputs: its arguments, one tensor or a tuple.
        v: the vector, shaped as the outputs; may be None for a single element.
        create_graph: make both differentiable.
        strict: raise where an output does not depend on an input, in place of zeros.

    Raises:
        TypeError: something is no tensor.
        RuntimeError: `v` does not fit, or what `strict` refuses.

    >>> import funcgrad.torch as torch
    >>> torch.autograd.functional.vjp(lambda x: x**2, torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.functional.vjp.html
    """
    with grad_mode(True):
        several_inputs, starts = _as_tuple(inputs, "inputs", "vjp")
        starts = _prepared(starts, create_graph, need_graph=True)
        several, outputs = _as_tuple(func(*starts), _OUTPUTS, "vjp")
        _check_strict(outputs, "outputs", strict)
        if v is not None:
            v = _vector(v, outputs, several, create_graph, "vjp")
        elif len(outputs) != 1 or outputs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single Tensor with a single "
                "element."
            )
    with grad_mode(create_graph or local.recorder.grad_enabled):
        found = _gradients(outputs, starts, v, create_graph=create_graph)
        product = _filled(found, starts, strict, create_graph, "back")
    return (
        _unpacked(_finished(outputs, create_graph), several),
        _unpacked(_finished(product, create_graph), several_inputs),
    )


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """A function's outputs, and the product of its Jacobian and a vector, by going backward twice.

    Args:
        func, inputs, create_graph, strict: as of `vjp`.
        v: the vector, shaped as the inputs; may be None for a single element.

    >>> import funcgrad.torch as torch
    >>> torch.autograd.functional.jvp(lambda x: x**2, torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.functional.jvp.html
    """
    with grad_mode(True):
        several_inputs, starts = _as_tuple(inputs, "inputs", "jvp")
        starts = _prepared(starts, create_graph, need_graph=True)
        if v is not None:
            v = _vector(v, starts, several_inputs, create_graph, "jvp")
        else:
            _check_single_input(starts)
        several, outputs = _as_tuple(func(*starts), _OUTPUTS, "jvp")
        _check_strict(outputs, "outputs", strict)
        cotangents = tuple([_zeros_like(each, requires_grad=True) for each in outputs])
        pulled = _gradients(outputs, starts, cotangents, create_graph=True)
        _check_strict(pulled, "grad_inputs", strict)
    with grad_mode(create_graph or local.recorder.grad_enabled):
        found = _gradients(pulled, cotangents, v, create_graph=create_graph)
        product = _filled(found, outputs, strict, create_graph, "back_trick")
    return (
        _unpacked(_finished(outputs, create_graph), several),
        _unpacked(_finished(product, create_graph), several),
    )


_STRATEGIES = ("forward-mode", "reverse-mode")


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """A function's Jacobian.

    Args:
        func, inputs, create_graph, strict: as of `vjp`.
        vectorize: all rows at once by `vmap`, in place of one walk for each.
        strategy: "reverse-mode", row by row; or "forward-mode", column by column, with `vectorize` only.

    Returns:
        One tensor, of the output's shape and then the input's; for several outputs a tuple; for several inputs, tuples.

    Raises:
        AssertionError: there is no such strategy.
        NotImplementedError, RuntimeError: options that do not go together.

    >>> import funcgrad.torch as torch
    >>> torch.autograd.functional.jacobian(lambda x: x**2, torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.functional.jacobian.html
    """
    if strategy not in _STRATEGIES:
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs '
            'than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError(
                'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not '
                "supported together (yet). Please either set `create_graph=False` or "
                '`strategy="reverse-mode"`.'
            )
        return _forward_jacobian(func, inputs, strict, vectorize)
    with grad_mode(True):
        several_inputs, starts = _as_tuple(inputs, "inputs", "jacobian")
        starts = _prepared(starts, create_graph, need_graph=True)
        several, outputs = _as_tuple(func(*starts), _OUTPUTS, "jacobian")
        _check_strict(outputs, "outputs", strict)
        if vectorize and strict:
            raise RuntimeError(
                "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. "
                "Please either set `strict=False` or `vectorize=False`."
            )
        by_output = (_rows_at_once if vectorize else _row_by_row)(
            outputs, starts, create_graph, strict
        )
        finished = _finished(by_output, create_graph)
    return _unpacked(
        tuple([_unpacked(of_output, several_inputs) for of_output in finished]), several
    )


def _rows_at_once(
    outputs: Tensors, inputs: Tensors, create_graph: bool, strict: bool
) -> list[Tensors]:
    """For each output, the Jacobian by each input; every row by one batched walk."""
    ((cotangents, rows),) = basis(outputs)
    found = _gradients(
        outputs, inputs, cotangents, create_graph=create_graph, is_grads_batched=True
    )
    shapes = [tuple(each.shape) for each in outputs]
    blocks = [
        split_rows(expand(_zeros_like(its), rows, 0) if each is None else each, shapes)
        for each, its in zip(found, inputs, strict=True)
    ]
    return list(zip(*blocks, strict=True))


def _row_by_row(
    outputs: Tensors, inputs: Tensors, create_graph: bool, strict: bool
) -> list[Tensors]:
    """For each output, the Jacobian by each input; every row by a walk of its own."""
    jacobians = []
    for position, output in enumerate(outputs):
        rows: list[list[Tensor]] = [[] for _ in inputs]
        for element in range(output.numel()):
            (cotangent,) = _element_basis(output, element)
            found = _gradients(
                (output,), inputs, (cotangent,), retain_graph=True, create_graph=create_graph
            )
            for k, (each, its) in enumerate(zip(found, inputs, strict=True)):
                if each is None and strict:
                    raise RuntimeError(
                        f"Output {position} of the user-provided function is independent of input {k}. This is not "
                        "allowed in strict mode."
                    )
                if each is not None and strict and create_graph and not each.requires_grad:
                    raise RuntimeError(
                        f"The jacobian of the user-provided function is independent of input {position}. This is not "
                        "allowed in strict mode when create_graph=True."
                    )
                rows[k].append(_zeros_like(its) if each is None else each)
        jacobians.append(
            tuple(
                [
                    reshape(stack(row), (*output.shape, *its.shape))
                    for row, its in zip(rows, inputs, strict=True)
                ]
            )
        )
    return jacobians


def _element_basis(output: Tensor, element: int) -> tuple[Tensor]:
    """One at one element of a tensor like the output, zero elsewhere."""
    import numpy as np

    array = np.zeros(output.numel(), output.dtype.numpy_dtype)
    array[element] = 1
    return (like(output, array.reshape(tuple(output.shape))),)


def _forward_jacobian(func: Callable[..., Any], inputs: Any, strict: bool, vectorize: bool) -> Any:
    """The Jacobian by dual tensors, every column by one batched run."""
    if strict:
        raise RuntimeError(
            'torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are not supported '
            'together (yet). Please either set `strict=False` or `strategy="reverse-mode"`.'
        )
    several_inputs, starts = _as_tuple(inputs, "inputs", "jacobian")
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for "
            "`vectorize=True`."
        )
    shapes: list[tuple[int, ...]] = []
    several: list[bool] = []

    def columns(tangents: Tensors) -> Tensors:
        with forward_ad.dual_level():
            duals = [forward_ad.make_dual(p, t) for p, t in zip(starts, tangents, strict=True)]
            many, outputs = _as_tuple(func(*duals), "outputs", None)
            several.append(many)
            carried = []
            for each in outputs:
                primal, tangent = forward_ad.unpack_dual(each)
                shapes.append(tuple(primal.shape))
                carried.append(_zeros_like(primal) if tangent is None else tangent)
            return tuple(carried)

    ((directions, _),) = basis(starts)
    jacobians: Any = []
    for stacked, shape in zip(vmap(columns)(tuple(directions)), shapes, strict=True):
        last = move_axis(stacked, 0, stacked.ndim - 1)
        blocks, start = [], 0
        for its in starts:
            part = take(last, start, start + its.numel(), last.ndim - 1)
            blocks.append(reshape(part, (*shape, *its.shape)))
            start += its.numel()
        jacobians.append(blocks)
    # Lists where there are several inputs, as PyTorch has it for this strategy.
    if not several_inputs:
        jacobians = tuple([blocks[0] for blocks in jacobians])
    return _unpacked(jacobians, several[0])


def _scalar(outputs: Any, called: str, strict: bool) -> Tensor:
    """The one element that a function returned.

    Raises:
        RuntimeError: it returned something else.
    """
    several, tensors = _as_tuple(outputs, _OUTPUTS, called)
    _check_strict(tensors, "outputs", strict)
    if several:
        raise RuntimeError(f"The function given to {called} should return a single Tensor")
    if tensors[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {called} should contain a single element"
        )
    return tensors[0]


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of a function that returns one element.

    Args:
        func, inputs, create_graph, strict, vectorize: as of `jacobian`.
        outer_jacobian_strategy: the strategy of the outer of two Jacobians; "forward-mode" only with `vectorize`.

    >>> import funcgrad.torch as torch
    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.functional.hessian.html
    """
    several_inputs, starts = _as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in _STRATEGIES:
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*given: Tensor) -> Tensor:
        return reshape(_scalar(func(*given), "hessian", strict), ())

    def inner(*given: Tensor) -> Any:
        if outer_jacobian_strategy == "forward-mode":
            # Not by `requires_grad_`, which is refused inside the `vmap` of the outer Jacobian.
            for each in given:
                each.node = each.node or AccumulateGrad(each)
        found = jacobian(scalar, given, create_graph=True)
        _check_strict(found, "jacobian", strict)
        return found

    result = jacobian(
        inner,
        starts,
        create_graph=create_graph,
        strict=strict,
        vectorize=vectorize,
        strategy=outer_jacobian_strategy,
    )
    if several_inputs:
        return result
    return result[0][0]


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """A function's one element, and the product of a vector and its Hessian.

    Args:
        func, inputs, create_graph, strict: as of `vjp`.
        v: the vector, shaped as the inputs; may be None for a single element.

    >>> import funcgrad.torch as torch
    >>> torch.autograd.functional.vhp(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor(9.), tensor([ 6., 12.]))

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.functional.vhp.html
    """
    with grad_mode(True):
        several, starts, v, output, slopes = _slopes(func, inputs, v, create_graph, strict, "vhp")
    with grad_mode(create_graph or local.recorder.grad_enabled):
        found = _gradients(slopes, starts, v, create_graph=create_graph)
        product = _filled(found, starts, strict, create_graph, "double_back")
    return _finished(output, create_graph), _unpacked(_finished(product, create_graph), several)


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """A function's one element, and the product of its Hessian and a vector, by going backward three times.

    Args:
        func, inputs, v, create_graph, strict: as of `vhp`.

    >>> import funcgrad.torch as torch
    >>> torch.autograd.functional.hvp(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor(9.), tensor([ 6., 12.]))

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.functional.hvp.html
    """
    with grad_mode(True):
        several, starts, v, output, slopes = _slopes(func, inputs, v, create_graph, strict, "hvp")
        cotangents = tuple([_zeros_like(each, requires_grad=True) for each in starts])
        pulled = _gradients(slopes, starts, cotangents, create_graph=True)
        _check_strict(slopes, "hessian", strict)
    with grad_mode(create_graph or local.recorder.grad_enabled):
        found = _gradients(pulled, cotangents, v, create_graph=create_graph)
        product = _filled(found, starts, strict, create_graph, "double_back_trick")
    return _finished(output, create_graph), _unpacked(_finished(product, create_graph), several)


def _slopes(
    func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool, called: str
) -> tuple[bool, Tensors, Any, Tensor, tuple[Tensor | None, ...]]:
    """What both products with a Hessian start from: the inputs, the vector, the function's value and its gradient."""
    several, starts = _as_tuple(inputs, "inputs", called)
    starts = _prepared(starts, create_graph, need_graph=True)
    if v is not None:
        v = _vector(v, starts, several, create_graph, called)
    else:
        _check_single_input(starts)
    output = _scalar(func(*starts), called, strict)
    slopes = _gradients((output,), starts, create_graph=True)
    _check_strict(slopes, "jacobian", strict)
    return several, starts, v, output, slopes
