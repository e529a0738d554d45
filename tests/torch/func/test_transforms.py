"""`torch.func` next to PyTorch's: the same source on both, with results, graphs and flags."""

import collections

import numpy as np
import pytest

import funcgrad.torch.func as our_func
from tests.both_sides import SIDES, ours
from tests.torch.func.samples import (
    accumulating,
    branching,
    check,
    cube_sum,
    loss,
    matrix,
    under_no_grad,
    vector,
    with_no_grad_inside,
)

Point = collections.namedtuple("Point", "x y")


TRANSFORMS = {
    "grad": lambda t, f: f.grad(loss)(vector(t), matrix(t)),
    "grad of the second argument": lambda t, f: f.grad(loss, argnums=1)(vector(t), matrix(t)),
    "grad of two arguments": lambda t, f: f.grad(loss, argnums=(1, 0))(vector(t), matrix(t)),
    "grad of the last argument": lambda t, f: f.grad(loss, argnums=-1)(vector(t), matrix(t)),
    "grad with keywords": lambda t, f: f.grad(loss)(vector(t), x=matrix(t)),
    "grad of a tree": lambda t, f: f.grad(lambda p: (p["b"] * p["a"][0]).sum())(
        {"b": vector(t), "a": [vector(t) + 1]}
    ),
    "grad of a named tuple": lambda t, f: list(
        f.grad(lambda p: (p.x * p.y).sum())(Point(vector(t), vector(t) + 1))
    ),
    "grad with aux": lambda t, f: f.grad(
        lambda x: ((x**2).sum(), {"x": x, "twice": [x * 2]}), has_aux=True
    )(vector(t)),
    "grad_and_value": lambda t, f: f.grad_and_value(loss)(vector(t), matrix(t)),
    "grad_and_value with aux": lambda t, f: f.grad_and_value(
        lambda x: ((x**3).sum(), x + 1), has_aux=True
    )(vector(t)),
    "grad of grad of grad": lambda t, f: f.grad(f.grad(f.grad(lambda x: x.sin() * x)))(
        t.tensor(0.7)
    ),
    "grad where an argument is not used": lambda t, f: f.grad(lambda x, y: x.sum(), argnums=(0, 1))(
        vector(t), vector(t)
    ),
    "grad of what does not depend on it": lambda t, f: f.grad(lambda x: t.ones(3).sum())(vector(t)),
    "no perturbation confusion": lambda t, f: f.grad(
        lambda x: x * f.grad(lambda y: x + y)(t.tensor(1.0))
    )(t.tensor(1.0)),
    "no_grad inside": lambda t, f: f.grad(with_no_grad_inside(t))(vector(t)),
    "no_grad inside, two levels": lambda t, f: f.grad(
        lambda x: f.grad(with_no_grad_inside(t))(x).sum()
    )(vector(t)),
    "no_grad outside": lambda t, f: under_no_grad(
        t, lambda: f.grad(lambda x: (x**2).sum())(vector(t, True))
    ),
    "no_grad between two levels": lambda t, f: f.grad(
        lambda x: under_no_grad(t, lambda: f.grad(lambda y: (x * y).sum())(x).sum())
    )(vector(t)),
    "detach stops every level": lambda t, f: f.grad(
        lambda x: f.grad(lambda y: (y * x.detach() * x).sum())(x).sum()
    )(vector(t)),
    "a branch on a value": lambda t, f: f.grad(branching)(vector(t)),
    "a value read as a number": lambda t, f: f.grad(lambda x: (x * x.sum().item()).sum())(
        vector(t)
    ),
    "a list of values": lambda t, f: f.grad(lambda x: (x * t.tensor(x.tolist())).sum())(vector(t)),
    "in place on what was made inside": lambda t, f: f.grad(accumulating(t))(vector(t)),
    "in place on a result inside": lambda t, f: f.grad(lambda x: (x * 2).mul_(x).exp_().sum())(
        vector(t)
    ),
    "autograd.grad inside grad": lambda t, f: f.grad(
        lambda x: t.autograd.grad((x**3).sum(), x, create_graph=True)[0].sum()
    )(vector(t)),
    "vjp": lambda t, f: f.vjp(lambda x: x.sin(), vector(t))[1](vector(t)),
    "vjp of several": lambda t, f: f.vjp(
        lambda x, y: {"p": x * y, "s": (x + y,)}, vector(t), vector(t)
    )[1]({"p": vector(t), "s": (vector(t),)}),
    "vjp with aux": lambda t, f: f.vjp(lambda x: (x * 2, x + 1), vector(t), has_aux=True)[::2],
    "vjp inside vjp": lambda t, f: f.vjp(
        lambda x: f.vjp(lambda y: y**3, x)[1](vector(t))[0], vector(t)
    )[1](vector(t)),
    "jvp": lambda t, f: f.jvp(lambda x: x.sin() * x, (vector(t),), (vector(t),)),
    "jvp of several": lambda t, f: f.jvp(
        lambda x, y: {"p": x @ y, "c": y}, (matrix(t), vector(t)), (matrix(t), vector(t))
    ),
    "jvp of a constant": lambda t, f: f.jvp(lambda x: t.ones(2), (vector(t),), (vector(t),)),
    "jvp with aux": lambda t, f: f.jvp(
        lambda x: (x * 2, x + 1), (vector(t),), (vector(t),), has_aux=True
    ),
    "jvp of jvp": lambda t, f: f.jvp(
        lambda x: f.jvp(lambda y: y**3, (x,), (t.ones(3),))[1], (vector(t),), (t.ones(3),)
    ),
    "jvp of grad": lambda t, f: f.jvp(f.grad(lambda x: (x**3).sum()), (vector(t),), (vector(t),)),
    "grad of jvp": lambda t, f: f.grad(lambda x: f.jvp(lambda y: y**3, (x,), (x,))[1].sum())(
        vector(t)
    ),
    "jacrev": lambda t, f: f.jacrev(lambda x: (matrix(t) @ x).sin())(vector(t)),
    "jacrev of several, by several": lambda t, f: f.jacrev(
        lambda x, y: {"a": x * y, "b": (x @ y, matrix(t) @ x)}, argnums=(0, 1)
    )(vector(t), vector(t)),
    "jacrev in chunks": lambda t, f: f.jacrev(lambda x: (matrix(t) @ x).sin(), chunk_size=2)(
        vector(t)
    ),
    "jacrev one row at a time": lambda t, f: f.jacrev(lambda x: (x**2, x.sum()), chunk_size=1)(
        vector(t)
    ),
    "jacrev with aux": lambda t, f: f.jacrev(lambda x: (x**2, x + 1), has_aux=True)(vector(t)),
    "jacfwd": lambda t, f: f.jacfwd(lambda x: (matrix(t) @ x).sin())(vector(t)),
    "jacfwd of several, by several": lambda t, f: f.jacfwd(
        lambda x, y: {"a": x * y, "b": (x @ y, matrix(t) @ x)}, argnums=(0, 1)
    )(vector(t), vector(t)),
    "jacfwd of a constant": lambda t, f: f.jacfwd(lambda x: t.ones(2))(vector(t)),
    "jacfwd with aux": lambda t, f: f.jacfwd(lambda x: (x**2, x + 1), has_aux=True)(vector(t)),
    "jacfwd of a matrix": lambda t, f: f.jacfwd(lambda m: m @ vector(t))(matrix(t)),
    "hessian": lambda t, f: f.hessian(lambda x: (x**3).sum() * x.sum())(vector(t)),
    "hessian by two": lambda t, f: f.hessian(lambda x, y: (x * y**2).sum(), argnums=(0, 1))(
        vector(t), vector(t)
    ),
    "jacrev of jacrev": lambda t, f: f.jacrev(f.jacrev(lambda x: (x**3).sum()))(vector(t)),
    "jacfwd of jacfwd": lambda t, f: f.jacfwd(f.jacfwd(lambda x: (x**3).sum()))(vector(t)),
    "jacrev of jacfwd": lambda t, f: f.jacrev(f.jacfwd(lambda x: (x**3).sum()))(vector(t)),
    "linearize": lambda t, f: f.linearize(lambda x: x.sin() * x, vector(t))[1](vector(t)),
    "functionalize": lambda t, f: f.functionalize(lambda x: (x * 2).add_(1))(vector(t)),
    "vmap": lambda t, f: f.vmap(lambda x: x.sum() * x)(matrix(t)),
    "vmap is torch.vmap": lambda t, f: t.vmap(lambda x: x * 2)(matrix(t)),
    "vmap over columns": lambda t, f: f.vmap(lambda x: x.sum() * x, in_dims=1, out_dims=1)(
        matrix(t)
    ),
    "vmap over the last dimension": lambda t, f: f.vmap(lambda x: x * 2, in_dims=-1)(matrix(t)),
    "vmap with arguments shared": lambda t, f: f.vmap(t.dot, in_dims=(0, None))(
        matrix(t), vector(t)
    ),
    "vmap of a tree": lambda t, f: f.vmap(
        lambda p, s: {"z": p["b"] * s, "a": p["c"]}, in_dims=({"b": 0, "c": None}, None)
    )({"b": matrix(t), "c": vector(t)}, 3.0),
    "vmap with out_dims for each": lambda t, f: f.vmap(
        lambda x: (x, x.sum(), x * 2), out_dims=(1, 0, -1)
    )(matrix(t)),
    "vmap of a constant": lambda t, f: f.vmap(lambda x: t.ones(2))(vector(t)),
    "vmap returning what is shared": lambda t, f: f.vmap(
        lambda x, y: (x, y), in_dims=(0, None), out_dims=(0, None)
    )(matrix(t), vector(t)),
    "vmap of vmap": lambda t, f: f.vmap(f.vmap(lambda x, y: x * y, (None, 0)), (0, None))(
        vector(t), vector(t)
    ),
    "vmap in chunks": lambda t, f: f.vmap(
        lambda x: (x.sum(), x * 2), out_dims=(0, 1), chunk_size=2
    )(t.ones(5, 3) * vector(t)),
    "vmap with keywords": lambda t, f: f.vmap(lambda x, scale: x * scale)(matrix(t), scale=2.0),
    "vmap of grad": lambda t, f: f.vmap(f.grad(loss), in_dims=(None, 0))(
        vector(t), t.ones(4, 2, 3) * matrix(t)
    ),
    "vmap of grad of grad": lambda t, f: f.vmap(f.grad(f.grad(lambda x: x**3)))(vector(t)),
    "grad of vmap": lambda t, f: f.grad(lambda x: f.vmap(lambda y: y**3)(x).sum())(vector(t)),
    "grad of vmap of grad": lambda t, f: f.grad(lambda x: f.vmap(f.grad(lambda y: y**3))(x).sum())(
        vector(t)
    ),
    "vmap of jacrev": lambda t, f: f.vmap(f.jacrev(lambda x: x**2))(matrix(t)),
    "vmap of jvp": lambda t, f: f.vmap(lambda x: f.jvp(lambda y: y**2, (x,), (x,)))(matrix(t)),
    "vmap of hessian": lambda t, f: f.vmap(f.hessian(lambda x: (x**3).sum()))(matrix(t)),
    "vmap in place": lambda t, f: f.vmap(lambda x: (x * 2).add_(x).sum())(matrix(t)),
    "vmap of vjp_fn": lambda t, f: f.vmap(f.vjp(lambda x: x**2, vector(t))[1])(
        t.ones(2, 3) * matrix(t)
    ),
    "jvp through vmap": lambda t, f: f.jvp(f.vmap(lambda x: x.sin()), (vector(t),), (vector(t),)),
}


@pytest.mark.parametrize("case", TRANSFORMS)
def test_transform_gives_what_pytorch_gives(case):
    check(TRANSFORMS[case])


OUTER = {
    "grad": lambda t, f, x: f.grad(cube_sum)(x),
    "grad, captured": lambda t, f, x: f.grad(lambda y: (x * y * y).sum())(vector(t)),
    "grad, captured and changed into a result": lambda t, f, x: f.grad(
        lambda y: ((x * 2) * y).sum()
    )(vector(t)),
    "value": lambda t, f, x: f.grad_and_value(cube_sum)(x)[1],
    "vjp": lambda t, f, x: f.vjp(lambda y: y**3, x)[1](vector(t))[0],
    "vjp, by the cotangent": lambda t, f, x: f.vjp(lambda y: y**3, vector(t))[1](x)[0],
    "jvp": lambda t, f, x: f.jvp(lambda y: y**3, (x,), (vector(t),))[1],
    "jvp, by the tangent": lambda t, f, x: f.jvp(lambda y: y**3, (vector(t),), (x,))[1],
    "jacrev": lambda t, f, x: f.jacrev(lambda y: y**3)(x),
    "jacfwd": lambda t, f, x: f.jacfwd(lambda y: y**3)(x),
    "hessian": lambda t, f, x: f.hessian(cube_sum)(x),
    "vmap": lambda t, f, x: f.vmap(lambda y: y * y)(x),
    "vmap, captured": lambda t, f, x: f.vmap(lambda y: (y * x).sum())(vector(t)),
    "vmap of grad": lambda t, f, x: f.vmap(f.grad(lambda y: y**3))(x),
    "grad of vmap, captured": lambda t, f, x: f.grad(
        lambda y: f.vmap(lambda z: z * (x * y).sum())(y).sum()
    )(vector(t)),
    "two levels, captured": lambda t, f, x: f.grad(
        lambda y: f.grad(lambda z: (x * y * z * z).sum())(y).sum()
    )(vector(t)),
}


@pytest.mark.parametrize("case", OUTER)
def test_a_result_is_differentiable_by_what_requires_grad_outside(case):
    def call(t, f):
        x = vector(t, requires_grad=True)
        result = OUTER[case](t, f, x)
        (result * result).sum().backward()
        return result, x.grad

    check(call)


def test_a_result_has_no_graph_of_the_transformation_itself():
    check(lambda t, f: f.grad(cube_sum)(vector(t)).requires_grad)
    check(lambda t, f: f.vjp(lambda x: x * 2, vector(t))[0].requires_grad)


def flags(seen):
    def function(x):
        seen.append((x.requires_grad, x.is_leaf, (x * 2).requires_grad))
        return x.sum()

    return function


@pytest.mark.parametrize("requires_grad", [False, True])
def test_flags_inside_are_those_of_the_innermost_level(requires_grad):
    seen = []
    for t in SIDES:
        f = t.func
        mine = []
        x = vector(t, requires_grad)
        f.grad(flags(mine))(x)
        f.vmap(flags(mine))(x)
        f.jvp(flags(mine), (x,), (vector(t),))
        f.grad(lambda y: f.vmap(flags(mine))(y).sum())(x)  # noqa: B023
        f.vmap(f.grad(flags(mine)))(x)
        captured = []
        f.grad(lambda y: (captured.append((x.requires_grad, (x * 2).requires_grad)), y.sum())[1])(  # noqa: B023
            vector(t)
        )
        seen.append((mine, captured))
    assert seen[0] == seen[1]


def printed(lines):
    def function(x):
        lines.append(repr(x))
        return x.sum()

    return function


def test_wrapped_tensors_print_as_pytorchs():
    seen = []
    for t in SIDES:
        f = t.func
        mine = []
        f.grad(printed(mine))(vector(t))
        f.grad(printed(mine))(vector(t, True))
        f.vmap(printed(mine), in_dims=1)(matrix(t))
        f.vmap(f.grad(printed(mine)))(matrix(t))
        f.grad(lambda x: f.vmap(printed(mine))(x).sum())(vector(t))  # noqa: B023
        f.jvp(printed(mine), (vector(t),), (vector(t),))
        seen.append(mine)
    assert seen[0] == seen[1]


def test_a_repeated_transformation_compiles_nothing_new():
    from funcgrad import engine

    x = ours.rand(4, 3)
    step = our_func.vmap(our_func.grad(lambda w: (w.sin() * w).sum()))
    for _ in range(4):
        step(x).tolist()
    before = engine.stats().programs_compiled
    for _ in range(3):
        step(x).tolist()
    assert engine.stats().programs_compiled == before


def test_transformations_inside_jax_ones():
    import jax

    import funcgrad

    gradient = funcgrad.pure(our_func.vmap(our_func.grad(lambda x: x**3)))
    x = np.array([1.0, 2.0], np.float32)
    np.testing.assert_allclose(jax.jit(gradient)(x), [3.0, 12.0])
    np.testing.assert_allclose(jax.jacrev(gradient)(x), np.diag([6.0, 12.0]))


def test_what_linearize_gives_is_differentiable_by_the_primals():
    x = vector(ours, requires_grad=True)
    our_func.linearize(lambda y: y**3, x)[1](ours.ones(3)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.detach().numpy(), rtol=1e-6)
