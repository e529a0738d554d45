"""`torch.func` together with forward mode, `autograd.functional`, gradcheck, hooks and the collector, next to PyTorch."""

import functools
import gc

import pytest

import funcgrad.torch as ours
from funcgrad import engine
from tests.torch.func.samples import check, vector


def v(t):
    return t.tensor([1.0, 0.0, 2.0])


def cubes(a):
    return (a**3).sum()


def with_dual(t, function):
    """A function of a dual tensor, unpacked."""
    fw = t.autograd.forward_ad
    with fw.dual_level():
        return tuple(fw.unpack_dual(function(fw.make_dual(vector(t), v(t)))))


def tangent_of_cube(t, a):
    fw = t.autograd.forward_ad
    with fw.dual_level():
        return fw.unpack_dual(fw.make_dual(a, v(t)) ** 3).tangent


def hooked(a):
    doubled = a**2
    doubled.register_hook(lambda gradient: gradient * 2)
    return doubled.sum()


def fourth(f, t):
    function = lambda a: a**5  # noqa: E731
    for _ in range(4):
        function = functools.partial(lambda g, a: f.jvp(g, (a,), (t.ones(()),))[1], function)
    return function(t.tensor(1.5))


MIXED = {
    "grad of a dual": lambda t, f: with_dual(t, f.grad(cubes)),
    "grad that captures a dual": lambda t, f: with_dual(
        t, lambda d: f.grad(lambda a: (a * d).sum())(vector(t))
    ),
    "vmap over a dual": lambda t, f: with_dual(t, f.vmap(lambda a: a**2)),
    "vmap that captures a dual": lambda t, f: with_dual(
        t, lambda d: f.vmap(lambda a: a * d.sum())(vector(t))
    ),
    "jacrev of a dual": lambda t, f: with_dual(t, f.jacrev(lambda a: a**2)),
    "forward mode inside grad": lambda t, f: f.grad(lambda a: tangent_of_cube(t, a).sum())(
        vector(t)
    ),
    "jacobian of grad": lambda t, f: t.autograd.functional.jacobian(f.grad(cubes), vector(t)),
    "jacobian of grad, vectorized": lambda t, f: t.autograd.functional.jacobian(
        f.grad(cubes), vector(t), vectorize=True
    ),
    "jacobian of grad, forward": lambda t, f: t.autograd.functional.jacobian(
        f.grad(cubes), vector(t), vectorize=True, strategy="forward-mode"
    ),
    "hessian of vmap": lambda t, f: t.autograd.functional.hessian(
        lambda a: f.vmap(lambda b: b**3)(a).sum(), vector(t)
    ),
    "hessian of vmap, forward over reverse": lambda t, f: t.autograd.functional.hessian(
        lambda a: f.vmap(lambda b: b**3)(a).sum(),
        vector(t),
        vectorize=True,
        outer_jacobian_strategy="forward-mode",
    ),
    "jacobian inside vmap": lambda t, f: f.vmap(
        lambda a: t.autograd.functional.jacobian(lambda b: b**2, a)
    )(vector(t)),
    "a hook inside grad": lambda t, f: f.grad(hooked)(vector(t)),
    "a hook inside grad inside vmap": lambda t, f: f.vmap(f.grad(hooked))(vector(t).expand(2, 3)),
    "retain_grad() inside grad": lambda t, f: f.grad(lambda a: ((a * 2).retain_grad(), a.sum())[1])(
        vector(t)
    ),
    "four times grad": lambda t, f: f.grad(f.grad(f.grad(f.grad(lambda a: a**5))))(t.tensor(1.5)),
    "four times jvp": lambda t, f: fourth(f, t),
    "an ensemble": lambda t, f: f.vmap(lambda w, b: (t.ones(2, 3) @ w + b).tanh())(
        t.ones(4, 3, 5), t.ones(4, 5)
    ),
    "products of batches": lambda t, f: f.vmap(lambda a, b: a @ b, (2, 1))(
        t.ones(2, 3, 4), t.ones(3, 4)
    ),
    "an empty batch": lambda t, f: f.vmap(lambda a: a * 2)(t.ones(0, 3)),
    "a Jacobian without elements": lambda t, f: f.jacrev(lambda a: a * 2)(t.ones(0)),
    "Jacobians of a scalar": lambda t, f: (
        f.jacrev(lambda a: a**2)(t.tensor(3.0)),
        f.jacfwd(lambda a: a**2)(t.tensor(3.0)),
        f.hessian(lambda a: a**3)(t.tensor(3.0)),
    ),
    "a complex gradient": lambda t, f: f.grad(lambda a: (a.abs() ** 2).sum())(
        t.tensor([1 + 2j, 3 - 1j])
    ),
    "a complex vjp": lambda t, f: f.vjp(lambda a: a * (1 + 2j), t.tensor([1 + 2j]))[1](
        t.tensor([1 + 0j])
    ),
    "a complex jvp": lambda t, f: f.jvp(lambda a: a * a, (t.tensor([1 + 2j]),), (t.tensor([1j]),)),
    "float64": lambda t, f: f.grad(cubes)(vector(t).double()),
    "a number as argument": lambda t, f: f.grad(lambda a, n: (a**n).sum())(vector(t), 2),
    "a tensor as keyword": lambda t, f: f.grad(lambda a, *, b: (a * b).sum())(vector(t), b=v(t)),
    "a partial": lambda t, f: f.vmap(functools.partial(t.mul, vector(t)))(t.ones(2, 3)),
    "a method": lambda t, f: f.vmap(t.Tensor.sum)(t.ones(2, 3)),
}


@pytest.mark.parametrize("case", MIXED)
def test_transformations_beside_the_rest(case):
    check(MIXED[case])


CHECKED = {
    "grad": lambda t, f: f.grad(cubes),
    "vmap": lambda t, f: f.vmap(lambda a: a**3),
    "jvp": lambda t, f: lambda a: f.jvp(lambda b: b**3, (a,), (v(t).double(),))[1],
    "linearize": lambda t, f: lambda a: f.linearize(lambda b: b**3, a)[1](v(t).double()),
}


@pytest.mark.parametrize("case", CHECKED)
def test_a_transformed_function_has_the_derivatives_of_its_differences(case):
    x = vector(ours).double().requires_grad_()
    function = CHECKED[case](ours, ours.func)
    # PyTorch refuses one forward mode inside another; here they nest.
    assert ours.autograd.gradcheck(function, x, check_forward_ad=True, check_batched_grad=True)
    assert ours.autograd.gradgradcheck(function, x, fast_mode=True)


def test_forward_mode_nests_with_jvp_where_pytorch_refuses():
    fw = ours.autograd.forward_ad
    with fw.dual_level():
        dual = fw.make_dual(vector(ours), v(ours))
        slope = ours.func.jvp(lambda a: a**3, (dual,), (ours.ones(3),))[1]
        primal, tangent = fw.unpack_dual(slope)
    assert primal.tolist() == pytest.approx((3 * vector(ours) ** 2).tolist())
    assert tangent.tolist() == pytest.approx((6 * vector(ours) * v(ours)).tolist())
    mapped = ours.vmap(lambda a, b: ours.func.jvp(lambda c: c**2, (a,), (b,))[1])
    assert mapped(vector(ours), v(ours)).tolist() == pytest.approx(
        (2 * vector(ours) * v(ours)).tolist()
    )


COLLECTED = {
    "grad": lambda x: ours.func.grad(cubes)(x),
    "vjp": lambda x: ours.func.vjp(lambda a: a**2, x)[1](x),
    "vmap": lambda x: ours.vmap(ours.func.grad(lambda a: a**3))(x),
    "hessian": lambda x: ours.func.hessian(cubes)(x),
    "linearize": lambda x: ours.func.linearize(lambda a: a.sin(), x)[1](x),
    "forward mode": lambda x: ours.autograd.functional.jacobian(
        lambda d: d * x, x, vectorize=True, strategy="forward-mode"
    ),
    "functional": lambda x: ours.autograd.functional.hessian(cubes, x, vectorize=True),
    "batched": lambda x: ours.autograd.grad(x * 2, x, ours.eye(3), is_grads_batched=True),
}


@pytest.mark.parametrize("case", COLLECTED)
def test_nothing_is_left_for_the_collector(case):
    x = vector(ours).requires_grad_()
    # JAX's own compilations leave something.
    with engine.mode("op_by_op"):
        for _ in range(2):
            COLLECTED[case](x)
        gc.freeze()  # so that a search goes only through what is made from here on
        gc.disable()
        try:
            COLLECTED[case](x)
            assert gc.collect() == 0
        finally:
            gc.enable()


def test_a_compiled_step_may_transform():
    w, x = ours.ones(3), ours.rand(5, 3)

    def step():
        gradient = ours.func.grad(lambda a: ((x @ a) ** 2).mean())(w)
        w.sub_(0.1 * gradient)
        return gradient

    compiled = ours.compile(step)
    seen = [compiled().tolist() for _ in range(5)]
    assert compiled.why is None
    w.fill_(1.0)
    for expected in seen:
        assert step().tolist() == pytest.approx(expected, rel=1e-5)
