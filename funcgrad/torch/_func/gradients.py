"""Gradients of functions: `grad`, `vjp`, and Jacobians row by row from them."""

import functools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from funcgrad.engine import grad_mode, local
from funcgrad.engine.levels import GradLevel
from funcgrad.teaching import cured
from funcgrad.torch._autograd.observing import disable_saved_tensors_hooks
from funcgrad.torch._autograd.walking import gradients
from funcgrad.torch._func.batching import chunks, vmap
from funcgrad.torch._func.inputs import (
    check_real,
    check_tensors,
    chosen,
    enter_all,
    leave,
    leave_all,
    looked_at,
    output_and_aux,
    positions,
)
from funcgrad.torch._ops.creation import FUNCTIONS as CREATION
from funcgrad.torch._tensor.axes import concatenate, expand, move_axis, reshape, select, take
from funcgrad.torch._tensor.tensor import AccumulateGrad, Tensor, place, tensor_of
from funcgrad.torch._types.trees import flatten, leaves_of, unflatten

Argnums = int | tuple[int, ...]


_no_hooks = partial(
    disable_saved_tensors_hooks,
    "torch.func.{grad, vjp, jacrev, hessian} don't yet support saved tensor hooks. Please open an issue with your use case.",
)


def _differentiable(tree: Any) -> list[Tensor]:
    """The tensors of a tree, made leaves of the level that they have just entered."""
    leaves = leaves_of(tree)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(leaf)}")
        if not leaf._storage.aval.inexact:
            raise cured(
                RuntimeError("only Tensors of floating point dtype can require gradients"),
                "integers",
            )
        if leaf._current_node() is None:
            leaf._set_edge(AccumulateGrad(leaf))
    return leaves


def _pull_back(
    outputs: list[Tensor],
    inputs: list[Tensor],
    cotangents: Sequence[Tensor] | None,
    *,
    retain_graph: bool,
    create_graph: bool,
) -> list[Tensor]:
    """The gradients of outputs with respect to inputs; zeros for a missing gradient."""
    kept = [k for k, output in enumerate(outputs) if output.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(inputs)
    if kept:
        found = gradients(
            [outputs[k] for k in kept],
            inputs,
            None if cotangents is None else [cotangents[k] for k in kept],
            retain_graph=retain_graph,
            create_graph=create_graph,
            allow_unused=True,
        )
    return [
        CREATION["zeros_like"](given) if gradient is None else gradient
        for given, gradient in zip(inputs, found, strict=True)
    ]


def grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The gradient of a function of tensors that returns a scalar.

    Args:
        func: the function; it may be transformed itself.
        argnums: the positions of the arguments to differentiate with respect to, trees of tensors.
        has_aux: `func` returns the scalar and something else, which is returned beside the gradient.

    Raises:
        RuntimeError: when called, if `func` does not return a scalar, or there is no such argument.

    >>> import funcgrad.torch as torch
    >>> torch.func.grad(torch.func.grad(lambda x: x**3))(torch.tensor(2.0))
    tensor(12.)

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.grad.html
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Like `grad`, but return the gradient and the function's value (a pair of value and aux with `has_aux`).

    >>> import funcgrad.torch as torch
    >>> torch.func.grad_and_value(lambda x: x**3)(torch.tensor(2.0))
    (tensor(12.), tensor(8.))

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.grad_and_value.html
    """

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        called, aux = "grad_and_value(f)(*args)", None
        with _no_hooks(), GradLevel() as level, grad_mode(True):
            args = enter_all(level, args)
            kwargs = enter_all(level, kwargs)
            wanted = chosen(args, argnums)
            inputs = _differentiable(wanted)
            output = looked_at(func(*args, **kwargs))
            if has_aux:
                output, aux = output_and_aux(output, called)
            if not isinstance(output, Tensor):
                raise RuntimeError(
                    f"{called}: Expected f(*args) to return a Tensor, got {type(output)}"
                )
            if output.ndim:
                raise RuntimeError(
                    f"{called}: Expected f(*args) to return a scalar Tensor, got tensor with {output.ndim} dims. "
                    "Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            if has_aux:
                aux = leave_all(level, aux)
        # The level has ended, so this backward is recorded one level out, and gets a graph if there is one.
        found = _pull_back(
            [output],
            inputs,
            None,
            retain_graph=False,
            create_graph=local.recorder.grad_enabled,
        )
        result = unflatten(found, flatten(wanted)[1])
        value = leave(level, output)
        return (result, (value, aux)) if has_aux else (result, value)

    return gradient


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of a function, and the function that pulls cotangents of it back to its arguments.

    Args:
        func: takes and returns tensors, nested at will.
        primals: the arguments.
        has_aux: `func` returns its output and something else, which comes third.

    Raises:
        RuntimeError: `func` returns no floating-point tensors, or cotangents do not fit its output.

    >>> import funcgrad.torch as torch
    >>> value, pull = torch.func.vjp(torch.sin, torch.zeros(2))
    >>> pull(torch.ones(2))
    (tensor([1., 1.]),)

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.vjp.html
    """
    return vjp_of(func, primals, None, has_aux)


def vjp_of(
    func: Callable[..., Any], primals: tuple[Any, ...], argnums: Argnums | None, has_aux: bool
) -> Any:
    """`vjp` with respect to the arguments at `argnums`; all if None."""
    aux = None
    with _no_hooks(), GradLevel() as level, grad_mode(True):
        args = enter_all(level, primals)
        wanted = args if argnums is None else chosen(args, argnums)
        inputs = _differentiable(wanted)
        output = looked_at(func(*args))
        if has_aux:
            output, aux = output_and_aux(output, "vjp(f, *primals)")
            aux = leave_all(level, aux)
        outputs, output_spec = flatten(output)
        check_tensors(outputs, "vjp(f, *primals)")
        for each in outputs:
            if not each._storage.aval.inexact:
                raise RuntimeError(
                    "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor with dtype "
                    f"{each.dtype}"
                )
    results = leave_all(level, output)
    spec = flatten(wanted)[1]

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        if create_graph is None:
            create_graph = local.recorder.grad_enabled
        flat, cotangents_spec = flatten(cotangents)
        if cotangents_spec != output_spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the "
                f"function. cotangents: {cotangents_spec.pretty()}, primal output: {output_spec.pretty()}"
            )
        found = _pull_back(
            outputs, inputs, flat, retain_graph=retain_graph, create_graph=create_graph
        )
        return unflatten(found, spec)

    return (results, pull, aux) if has_aux else (results, pull)


def basis(
    tensors: Sequence[Tensor], chunk_size: int | None = None
) -> Iterator[tuple[list[Tensor], int]]:
    """The standard basis of the space of all elements, as batches of tensors like these, and the size of each batch."""
    if not tensors:
        raise AssertionError("tensors must have at least one element")
    sizes = [tensor.numel() for tensor in tensors]
    total = sum(sizes)
    for start, stop in chunks(total, chunk_size or max(total, 1)) or [(0, 0)]:
        parts = []
        offset = 0
        for tensor, size in zip(tensors, sizes, strict=True):
            part = np.zeros((stop - start, size), tensor.dtype.numpy_dtype)
            for k in range(max(start, offset), min(stop, offset + size)):
                part[k - start, k - offset] = 1
            parts.append(like(tensor, part.reshape(stop - start, *tensor.shape)))
            offset += size
        yield parts, stop - start


def like(tensor: Tensor, array: np.ndarray) -> Tensor:
    """A tensor of these elements on the device of another."""
    bound = tensor._storage.aval.device
    return tensor_of(place(array, None if bound is None else tensor.device))


def split_rows(tensor: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Split the rows of a tensor into blocks; each block's shape replaces the first dimension."""
    rest = tuple(tensor.shape[1:])
    blocks = []
    start = 0
    for shape in shapes:
        stop = start + int(np.prod(shape))
        blocks.append(reshape(take(tensor, start, stop), (*shape, *rest)))
        start = stop
    return blocks


def split_columns(tensor: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Split columns of Jacobians, stacked along the first dimension, into a block an input; its shape comes last."""
    last = move_axis(tensor, 0, tensor.ndim - 1)
    blocks = []
    start = 0
    for its in inputs:
        stop = start + its.numel()
        part = take(last, start, stop, last.ndim - 1)
        blocks.append(reshape(part, (*last.shape[:-1], *its.shape)))
        start = stop
    return blocks


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """The Jacobian of a function, its rows by `vjp` mapped over a basis of the outputs.

    Args:
        func: takes and returns real tensors, nested at will.
        argnums: the positions of the arguments to differentiate with respect to.
        has_aux: `func` returns its output and something else, which is returned beside the Jacobian.
        chunk_size: how many rows at once; all if None, one after the other without `vmap` if 1.

    Raises:
        ValueError: `chunk_size` is not positive.
        RuntimeError: when called, if a tensor is complex.

    >>> import funcgrad.torch as torch
    >>> torch.func.jacrev(lambda x: x**2)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.jacrev.html
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def jacobian(*args: Any) -> Any:
        check_real(args, "jacrev", "inputs")
        aux = None
        if has_aux:
            output, pull, aux = vjp_of(func, args, argnums, True)
        else:
            output, pull = vjp_of(func, args, argnums, False)
        outputs, output_spec = flatten(output)
        check_real(outputs, "jacrev", "outputs")
        parts = []
        for directions, _ in basis(outputs, chunk_size):
            if chunk_size == 1:
                one = pull(unflatten([select(each, 0) for each in directions], output_spec))
                parts.append([expand(leaf, 1, 0) for leaf in leaves_of(one)])
            else:
                parts.append(leaves_of(vmap(pull)(unflatten(directions, output_spec))))
        stacked = [concatenate(each) for each in zip(*parts, strict=True)]
        shapes = [tuple(each.shape) for each in outputs]
        blocks = [split_rows(each, shapes) for each in stacked]
        wanted = chosen(args, argnums)
        spec = flatten(wanted)[1]
        result = unflatten(
            [unflatten(list(of_output), spec) for of_output in zip(*blocks, strict=True)],
            output_spec,
        )
        return (result, aux) if has_aux else result

    return jacobian


__all__ = ["grad", "grad_and_value", "jacrev", "positions", "vjp", "vjp_of"]
