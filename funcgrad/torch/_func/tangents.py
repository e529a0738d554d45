"""Tangents of functions: `jvp`, Jacobians column by column from it, Hessians, linear approximations."""

import functools
from collections.abc import Callable
from typing import Any

from funcgrad.engine import local
from funcgrad.engine.levels import TangentLevel
from funcgrad.engine.values import Wrapped
from funcgrad.torch._func.batching import vmap
from funcgrad.torch._func.gradients import Argnums, basis, jacrev, split_columns, vjp
from funcgrad.torch._func.inputs import (
    check_real,
    check_tensors,
    chosen,
    enter,
    enter_all,
    leave_all,
    looked_at,
    output_and_aux,
    positions,
    settled_tensor,
)
from funcgrad.torch._ops.creation import FUNCTIONS as CREATION
from funcgrad.torch._tensor.axes import select
from funcgrad.torch._tensor.tangent_checks import check_dtypes, check_sizes
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.trees import flatten, tree_map, unflatten

JVP = "jvp(f, primals, tangents)"


def jvp(
    func: Callable[..., Any],
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The value of a function and its tangent, for tangents of its arguments.

    Args:
        func: takes and returns tensors, nested at will.
        primals: its arguments, a tuple.
        tangents: one for each tensor of the arguments, nested as they are.
        strict: refuse an output that depends on no argument.
        has_aux: `func` returns its output and something else, which comes third.

    Raises:
        RuntimeError: primals and tangents do not fit, or what `strict` refuses.

    >>> import funcgrad.torch as torch
    >>> torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))
    (tensor([0.]), tensor([1.]))

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.jvp.html
    """
    return jvp_at(func, primals, tangents, None, strict, has_aux)


def jvp_at(
    func: Callable[..., Any],
    primals: Any,
    tangents: Any,
    argnums: Argnums | None,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """`jvp` with tangents of the arguments at `argnums`; of all arguments if None."""
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{JVP}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    wanted: Any = primals
    if argnums is not None:
        wanted = chosen(primals, argnums)
        wanted = (wanted,) if isinstance(argnums, int) else wanted
    flat_primals, spec = flatten(wanted)
    flat_tangents, tangents_spec = flatten(tangents)
    if spec != tangents_spec:
        raise RuntimeError(
            f"{JVP}: Expected primals and tangents to have the same python structure. For example, if primals is a "
            f"tuple of 3 tensors, tangents also must be. Got primals with structure {spec} and tangents with "
            f"structure {tangents_spec}"
        )
    _check_given(flat_primals, "primals")
    _check_given(flat_tangents, "tangents")
    before, local.recorder.forward_enabled = local.recorder.forward_enabled, True
    aux = None
    try:
        with TangentLevel() as level:
            duals = unflatten(
                [_dual(level, p, t) for p, t in zip(flat_primals, flat_tangents, strict=True)],
                spec,
            )
            args: Any = duals
            if argnums is not None:
                where = positions(argnums, len(primals))
                where = (where,) if isinstance(where, int) else where
                args = enter_all(level, primals)
                args = tuple(
                    duals[where.index(k)] if k in where else arg for k, arg in enumerate(args)
                )
            output = looked_at(func(*args))
            if has_aux:
                output, aux = output_and_aux(output, JVP)
                aux = leave_all(level, aux)
            outputs, output_spec = flatten(output)
            check_tensors(outputs, JVP)
            pairs = [_taken_apart(level, each, strict) for each in outputs]
    finally:
        local.recorder.forward_enabled = before
    values = unflatten([value for value, _ in pairs], output_spec)
    carried = unflatten(
        [CREATION["zeros_like"](v) if t is None else settled_tensor(t) for v, t in pairs],
        output_spec,
    )
    return (values, carried, aux) if has_aux else (values, carried)


def _check_given(tensors: list[Any], what: str) -> None:
    if not tensors:
        raise RuntimeError(f"{JVP}: Expected {what} to contain at least one Tensor.")
    for each in tensors:
        if not isinstance(each, Tensor):
            raise RuntimeError(f"{JVP}: Expected {what} to only contain Tensors, got {type(each)}")


def _dual(level: TangentLevel, primal: Tensor, tangent: Tensor) -> Tensor:
    check_dtypes(primal, tangent)
    check_sizes(primal, tangent)
    return enter(level, primal, lambda tensor: level.wrap_dual(tensor, tangent))


def _taken_apart(level: TangentLevel, tensor: Tensor, strict: bool) -> tuple[Tensor, Any]:
    value = tensor._storage.read()
    if isinstance(value, Wrapped) and value.level is level:
        primal, tangent = settled_tensor(value.inner), value.tangent
    else:
        primal, tangent = tensor, None
    if tangent is None and strict:
        raise RuntimeError(
            "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not "
            "allowed with strict=True."
        )
    return primal, tangent


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """The Jacobian of a function, its columns by `jvp` mapped over a basis of the arguments.

    Args:
        func: takes and returns real tensors, nested at will.
        argnums: the positions of the arguments to differentiate with respect to.
        has_aux: `func` returns its output and something else, which is returned beside the Jacobian.
        randomness: as of `vmap`.

    Raises:
        RuntimeError: when called, if a tensor is complex.

    >>> import funcgrad.torch as torch
    >>> torch.func.jacfwd(lambda x: x**2)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.jacfwd.html
    """

    @functools.wraps(func)
    def jacobian(*args: Any) -> Any:
        check_real(args, "jacfwd", "inputs")
        wanted = chosen(args, argnums)
        wanted = (wanted,) if isinstance(argnums, int) else wanted
        flat, spec = flatten(wanted)
        ((directions, _),) = basis(flat)

        def push(tangents: Any) -> Any:
            output = jvp_at(func, args, tangents, argnums, has_aux=has_aux)
            check_real(output[0], "jacfwd", "outputs")
            return output[1:] if has_aux else output[1]

        results = vmap(push, randomness=randomness)(unflatten(directions, spec))
        aux = None
        if has_aux:
            results, aux = results
            aux = tree_map(lambda each: select(each, 0), aux)
        stacked, output_spec = flatten(results)
        blocks = []
        for each in stacked:
            nested = unflatten(split_columns(each, flat), spec)
            blocks.append(nested[0] if isinstance(argnums, int) else nested)
        result = unflatten(blocks, output_spec)
        return (result, aux) if has_aux else result

    return jacobian


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The Hessian of a function, forward over reverse: `jacfwd(jacrev(func))`.

    >>> import funcgrad.torch as torch
    >>> torch.func.hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.hessian.html
    """
    return jacfwd(jacrev(func, argnums), argnums)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of a function and its `jvp` at these arguments, which does not run the function again.

    It is the transpose of the transpose: the vjp is linear in cotangents, so its own vjp pushes tangents forward.

    Raises:
        RuntimeError: tangents do not fit the primals.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.linearize.html
    """
    output, pull = vjp(func, *primals)
    flat, spec = flatten(primals)
    _, transpose = vjp(pull, tree_map(CREATION["zeros_like"], output))

    def push(*tangents: Any) -> Any:
        given, given_spec = flatten(tangents)
        if given_spec != spec:
            raise RuntimeError(
                f"Expected the tangents {given_spec} to have the same argspec as the primals {spec}"
            )
        for position, (primal, tangent) in enumerate(zip(flat, given, strict=True)):
            for what in ("shape", "device", "dtype"):
                mine, its = getattr(tangent, what), getattr(primal, what)
                if mine != its:
                    raise RuntimeError(
                        f"tangent:{position} with {what} {mine} in flattened pytree doesn't match the {what} {its} of "
                        "the corresponding primal."
                    )
        return transpose(tangents)[0]

    return output, push
