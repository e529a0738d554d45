"""Jacobians, Hessians and their products with vectors, on the graph: PyTorch's `torch.autograd.functional`.

`torch.func` has the same as function transforms.
"""

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.engine import local
from funcgrad.torch._func.batching import vmap
from funcgrad.torch._func.gradients import basis, split_columns, split_rows
from funcgrad.torch._ops.joining import stack
from funcgrad.torch._tensor.axes import expand, reshape, select
from funcgrad.torch._tensor.tensor import AccumulateGrad, Tensor
from funcgrad.torch.autograd import forward_ad
from funcgrad.torch.autograd._functional_parts import (
    Tensors,
    check_strict,
    checked,
    gradients_of,
    input_vector,
    started,
    tensors_of,
    unpacked,
    vector,
    without_graph,
    zeros_for_missing,
    zeros_like,
)
from funcgrad.torch.autograd.grad_mode import enable_grad, set_grad_enabled

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def __dir__() -> list[str]:
    return __all__


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
        strict: raise if an output does not depend on an input, in place of zeros.

    Raises:
        TypeError: an input, output or vector is not a tensor.
        RuntimeError: `v` does not fit, or `strict` refuses a gradient.

    >>> import funcgrad.torch as torch
    >>> torch.autograd.functional.vjp(lambda x: x**2, torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.functional.vjp.html
    """
    with enable_grad():
        several_inputs, starts = started(inputs, "vjp", create_graph)
        several, outputs = checked(func(*starts), "vjp", strict)
        if v is not None:
            v = vector(v, outputs, several, create_graph, "vjp")
        elif len(outputs) != 1 or outputs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single Tensor with a single "
                "element."
            )
    product = _product(outputs, starts, v, starts, strict, create_graph, "back")
    return unpacked(without_graph(outputs, create_graph), several), unpacked(
        product, several_inputs
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
    with enable_grad():
        several_inputs, starts = started(inputs, "jvp", create_graph)
        v = input_vector(v, starts, several_inputs, create_graph, "jvp")
        several, outputs = checked(func(*starts), "jvp", strict)
        cotangents = tuple([zeros_like(each, requires_grad=True) for each in outputs])
        pulled = gradients_of(outputs, starts, cotangents, create_graph=True)
        check_strict(pulled, "grad_inputs", strict)
    product = _product(pulled, cotangents, v, outputs, strict, create_graph, "back_trick")
    return unpacked(without_graph(outputs, create_graph), several), unpacked(product, several)


def _product(
    ends: Sequence[Tensor | None],
    starts: Tensors,
    v: Tensors | None,
    like: Tensors,
    strict: bool,
    create_graph: bool,
    stage: str,
) -> Tensors:
    """The gradients at `starts` for cotangents `v` of `ends`; zeros like `like` if there are none."""
    with set_grad_enabled(create_graph or local.recorder.grad_enabled):
        found = gradients_of(ends, starts, v, create_graph=create_graph)
        product = zeros_for_missing(found, like, strict, create_graph, stage)
    return without_graph(product, create_graph)


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
        vectorize: compute all rows at once by `vmap`, in place of one backward for each.
        strategy: "reverse-mode", row by row; or "forward-mode", column by column, with `vectorize` only.

    Returns:
        One tensor, with the output's shape and then the input's. Several outputs or several inputs give (nested) tuples.

    Raises:
        AssertionError: there is no such strategy.
        NotImplementedError, RuntimeError: the options do not go together.

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
    with enable_grad():
        several_inputs, starts = started(inputs, "jacobian", create_graph)
        several, outputs = checked(func(*starts), "jacobian", strict)
        if vectorize and strict:
            raise RuntimeError(
                "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. "
                "Please either set `strict=False` or `vectorize=False`."
            )
        by_output = (_rows_at_once if vectorize else _row_by_row)(
            outputs, starts, create_graph, strict
        )
        result = without_graph(by_output, create_graph)
    return unpacked(tuple([unpacked(of_output, several_inputs) for of_output in result]), several)


def _rows_at_once(
    outputs: Tensors, inputs: Tensors, create_graph: bool, strict: bool
) -> list[Tensors]:
    """For each output, the Jacobian by each input; all rows by one batched backward."""
    ((cotangents, rows),) = basis(outputs)
    found = gradients_of(
        outputs, inputs, cotangents, create_graph=create_graph, is_grads_batched=True
    )
    shapes = [tuple(each.shape) for each in outputs]
    blocks = [
        split_rows(expand(zeros_like(its), rows, 0) if each is None else each, shapes)
        for each, its in zip(found, inputs, strict=True)
    ]
    return list(zip(*blocks, strict=True))


def _row_by_row(
    outputs: Tensors, inputs: Tensors, create_graph: bool, strict: bool
) -> list[Tensors]:
    """For each output, the Jacobian by each input; one backward for each row."""
    jacobians = []
    for position, output in enumerate(outputs):
        rows: list[list[Tensor]] = [[] for _ in inputs]
        for element in range(output.numel()):
            one = select(reshape(output, (-1,)), element)
            found = gradients_of((one,), inputs, retain_graph=True, create_graph=create_graph)
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
                rows[k].append(zeros_like(its) if each is None else each)
        jacobians.append(
            tuple(
                [
                    reshape(stack(row), (*output.shape, *its.shape))
                    for row, its in zip(rows, inputs, strict=True)
                ]
            )
        )
    return jacobians


def _forward_jacobian(func: Callable[..., Any], inputs: Any, strict: bool, vectorize: bool) -> Any:
    """The Jacobian by dual tensors; all columns by one batched run."""
    if strict:
        raise RuntimeError(
            'torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are not supported '
            'together (yet). Please either set `strict=False` or `strategy="reverse-mode"`.'
        )
    several_inputs, starts = tensors_of(inputs, "inputs", "jacobian")
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for "
            "`vectorize=True`."
        )
    several: list[bool] = []

    def columns(tangents: Tensors) -> Tensors:
        with forward_ad.dual_level():
            duals = [forward_ad.make_dual(p, t) for p, t in zip(starts, tangents, strict=True)]
            many, outputs = tensors_of(func(*duals), "outputs", None)
            several.append(many)
            carried = []
            for each in outputs:
                primal, tangent = forward_ad.unpack_dual(each)
                carried.append(zeros_like(primal) if tangent is None else tangent)
            return tuple(carried)

    ((directions, _),) = basis(starts)
    jacobians: Any = [split_columns(each, starts) for each in vmap(columns)(tuple(directions))]
    # Lists for several inputs, as in PyTorch for this strategy.
    if not several_inputs:
        jacobians = tuple([blocks[0] for blocks in jacobians])
    return unpacked(jacobians, several[0])


def _scalar(outputs: Any, called: str, strict: bool) -> Tensor:
    """Check that a function returned one element, and return it.

    Raises:
        RuntimeError: the function returned another number of tensors or elements.
    """
    several, tensors = checked(outputs, called, strict)
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
    several_inputs, starts = tensors_of(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in _STRATEGIES:
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*given: Tensor) -> Tensor:
        return reshape(_scalar(func(*given), "hessian", strict), ())

    def inner(*given: Tensor) -> Any:
        if outer_jacobian_strategy == "forward-mode":
            # Not by `requires_grad_`, which is refused inside the `vmap` of the outer Jacobian.
            for each in given:
                each._set_edge(each._current_node() or AccumulateGrad(each), each._nr)
        found = jacobian(scalar, given, create_graph=True)
        check_strict(found, "jacobian", strict)
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
    with enable_grad():
        several, starts, v, output, slopes = _slopes(func, inputs, v, create_graph, strict, "vhp")
    product = _product(slopes, starts, v, starts, strict, create_graph, "double_back")
    return without_graph(output, create_graph), unpacked(product, several)


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
    with enable_grad():
        several, starts, v, output, slopes = _slopes(func, inputs, v, create_graph, strict, "hvp")
        cotangents = tuple([zeros_like(each, requires_grad=True) for each in starts])
        pulled = gradients_of(slopes, starts, cotangents, create_graph=True)
        check_strict(slopes, "hessian", strict)
    product = _product(pulled, cotangents, v, starts, strict, create_graph, "double_back_trick")
    return without_graph(output, create_graph), unpacked(product, several)


def _slopes(
    func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool, called: str
) -> tuple[bool, Tensors, Any, Tensor, tuple[Tensor | None, ...]]:
    """The start of both products with a Hessian: the inputs, the vector, the function's value and its gradient."""
    several, starts = started(inputs, called, create_graph)
    v = input_vector(v, starts, several, create_graph, called)
    output = _scalar(func(*starts), called, strict)
    slopes = gradients_of((output,), starts, create_graph=True)
    check_strict(slopes, "jacobian", strict)
    return several, starts, v, output, slopes
