"""Custom functions in forward mode and inside `torch.func`, next to PyTorch: their own jvp and vmap at every level."""

import pytest

from tests.both_sides import assert_same, result_of


def cube_of(t, **methods):
    """x**3, with methods replaced."""

    class Cube(t.autograd.Function):
        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * g

        @staticmethod
        def jvp(ctx, tangent):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * tangent

    for name, method in methods.items():
        setattr(Cube, name, staticmethod(method) if callable(method) else method)
    return Cube


def two_of(t, materialize=True, seen=None):
    """(x * y * s, x + y) with a number s."""

    class Two(t.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x, y, s):
            return x * y * s, x + y

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, y, ctx.s = inputs
            ctx.save_for_backward(x, y)
            ctx.save_for_forward(x, y)
            ctx.set_materialize_grads(materialize)

        @staticmethod
        def backward(ctx, a, b):
            x, y = ctx.saved_tensors
            return a * y * ctx.s + b, a * x * ctx.s + b, None

        @staticmethod
        def jvp(ctx, tx, ty, ts):
            if seen is not None:
                seen.append((tx, ty, ts))
            x, y = ctx.saved_tensors
            tx, ty = 0 if tx is None else tx, 0 if ty is None else ty
            return (tx * y + x * ty) * ctx.s, tx + ty

    return Two


class OldOf:
    """Made on demand: the style without `setup_context`."""

    def __new__(cls, t):
        class Old(t.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_forward(x)
                ctx.save_for_backward(x)
                return x**3

            @staticmethod
            def backward(ctx, g):
                return 3 * ctx.saved_tensors[0] ** 2 * g

            @staticmethod
            def jvp(ctx, tangent):
                return 3 * ctx.saved_tensors[0] ** 2 * tangent

        return Old


def check(call):
    assert_same(result_of(call, "func"))


def x(t, requires_grad=False):
    return t.tensor([1.0, 2.0, 3.0], requires_grad=requires_grad)


def v(t):
    return t.tensor([1.0, 0.0, 1.0])


def pushed(t, apply, primal, *rest):
    """The outputs of a function of a dual tensor, unpacked."""
    fw = t.autograd.forward_ad
    with fw.dual_level():
        output = apply(fw.make_dual(primal, v(t)), *rest)
        outputs = output if isinstance(output, tuple) else (output,)
        return [tuple(fw.unpack_dual(each)) for each in outputs]


def pushed_and_pulled(t, apply):
    fw = t.autograd.forward_ad
    start = x(t, True)
    with fw.dual_level():
        tangent = fw.unpack_dual(apply(fw.make_dual(start, v(t)))).tangent
        return t.autograd.grad(tangent.sum(), start)


def what_jvp_is_given(t, materialize):
    seen = []
    pushed(t, two_of(t, materialize, seen).apply, x(t), x(t), 2.0)
    return seen


FORWARD = {
    "a jvp": lambda t, f: pushed(t, cube_of(t).apply, x(t)),
    "a jvp beside a graph": lambda t, f: pushed(t, cube_of(t).apply, x(t, True)),
    "a jvp, differentiated": lambda t, f: pushed_and_pulled(t, cube_of(t).apply),
    "a jvp of two": lambda t, f: pushed(t, two_of(t).apply, x(t), x(t), 2.0),
    "a jvp in the old style": lambda t, f: pushed(t, OldOf(t).apply, x(t)),
    "zeros for tangents that are not there": lambda t, f: what_jvp_is_given(t, True),
    "None for tangents that are not there": lambda t, f: what_jvp_is_given(t, False),
    "no jvp": lambda t, f: pushed(t, cube_of(t, jvp=t.autograd.Function.jvp).apply, x(t)),
    "too many tangents": lambda t, f: pushed(t, cube_of(t, jvp=lambda c, d: (d, d)).apply, x(t)),
    "a tangent of another shape": lambda t, f: pushed(
        t, cube_of(t, jvp=lambda c, d: t.ones(2)).apply, x(t)
    ),
    "a number as tangent": lambda t, f: pushed(t, cube_of(t, jvp=lambda c, d: 3).apply, x(t)),
    "a list as tangents": lambda t, f: pushed(t, cube_of(t, jvp=lambda c, d: [d]).apply, x(t)),
}


@pytest.mark.parametrize("case", FORWARD)
def test_forward_mode_of_a_custom_function(case):
    check(FORWARD[case])


def own_rule(t, infos):
    def rule(info, in_dims, x):
        infos.append((*info, in_dims, tuple(x.shape)))
        return cube.apply(x), in_dims[0]

    cube = cube_of(t, vmap=rule)
    return cube


def with_own_rule(t, f, **dims):
    infos = []
    cube = own_rule(t, infos)
    result = f.vmap(cube.apply, **dims)(t.ones(2, 3) * x(t))
    return result, infos


def with_rule(t):
    return cube_of(t, generate_vmap_rule=True).apply


def of_two(t, f, transform):
    two = two_of(t).apply
    mapped = f.vmap(lambda a, b: two(a, b, 2.0), (0, None))
    return transform(mapped)


TRANSFORMED = {
    "grad": lambda t, f: f.grad(lambda a: cube_of(t).apply(a).sum())(x(t)),
    "grad of grad": lambda t, f: f.grad(
        lambda a: f.grad(lambda b: cube_of(t).apply(b).sum())(a).sum()
    )(x(t)),
    "grad, captured": lambda t, f: f.grad(lambda a: (cube_of(t).apply(x(t)) * a).sum())(x(t)),
    "vjp": lambda t, f: f.vjp(cube_of(t).apply, x(t))[1](v(t)),
    "jvp": lambda t, f: f.jvp(cube_of(t).apply, (x(t),), (v(t),)),
    "vmap without a rule": lambda t, f: f.vmap(cube_of(t).apply)(x(t)),
    "vmap by the rule made": lambda t, f: f.vmap(with_rule(t))(x(t)),
    "vmap by the rule made, another dimension": lambda t, f: f.vmap(
        with_rule(t), in_dims=1, out_dims=1
    )(t.ones(2, 3) * x(t)),
    "vmap of grad": lambda t, f: f.vmap(f.grad(with_rule(t)))(x(t)),
    "grad of vmap": lambda t, f: f.grad(lambda a: f.vmap(with_rule(t))(a).sum())(x(t)),
    "vmap of vmap": lambda t, f: f.vmap(f.vmap(with_rule(t)))(t.ones(2, 3) * x(t)),
    "jvp of vmap": lambda t, f: f.jvp(f.vmap(with_rule(t)), (x(t),), (v(t),)),
    "vmap of jvp": lambda t, f: f.vmap(lambda a: f.jvp(with_rule(t), (a,), (a,)))(x(t)),
    "jacrev": lambda t, f: f.jacrev(with_rule(t))(x(t)),
    "jacfwd": lambda t, f: f.jacfwd(with_rule(t))(x(t)),
    "hessian": lambda t, f: f.hessian(lambda a: with_rule(t)(a).sum())(x(t)),
    "both rules": lambda t, f: f.vmap(
        cube_of(t, generate_vmap_rule=True, vmap=lambda i, d, a: (a, 0)).apply
    )(x(t)),
    "its own rule": lambda t, f: with_own_rule(t, f),
    "its own rule, another dimension": lambda t, f: with_own_rule(t, f, in_dims=1, out_dims=1),
    "its own rule, differentiated": lambda t, f: f.vmap(f.grad(own_rule(t, []).apply))(x(t)),
    "its own rule with three returns": lambda t, f: f.vmap(
        cube_of(t, vmap=lambda i, d, a: (a, 0, 0)).apply
    )(x(t)),
    "two arguments, one shared": lambda t, f: of_two(t, f, lambda g: g(x(t), t.tensor(2.0))),
    "two arguments, jvp": lambda t, f: of_two(
        t, f, lambda g: f.jvp(lambda a: g(a, t.tensor(2.0)), (x(t),), (v(t),))
    ),
    "two arguments, by both": lambda t, f: of_two(
        t, f, lambda g: f.grad(lambda a, b: g(a, b)[0].sum(), argnums=(0, 1))(x(t), t.tensor(2.0))
    ),
    "the old style, grad": lambda t, f: f.grad(lambda a: OldOf(t).apply(a).sum())(x(t)),
    "the old style, vmap": lambda t, f: f.vmap(OldOf(t).apply)(x(t)),
    "in place, jvp": lambda t, f: f.jvp(doubled_in_place(t), (x(t),), (v(t),)),
    "in place, jacfwd": lambda t, f: f.jacfwd(doubled_in_place(t))(x(t)),
    "in place, grad_and_value": lambda t, f: f.grad_and_value(
        lambda a: (doubled_in_place(t)(a) ** 2).sum()
    )(x(t)),
    "nothing of the batch, and no rule": lambda t, f: f.vmap(lambda a: cube_of(t).apply(x(t)) + a)(
        x(t)
    ),
    "jacfwd without a rule": lambda t, f: f.jacfwd(cube_of(t).apply)(x(t)),
    "its own rule returns what it is given": lambda t, f: f.vmap(
        cube_of(t, vmap=lambda i, d, a: (a, None)).apply
    )(x(t)),
    "its own rule with dimensions of another structure": lambda t, f: f.vmap(
        cube_of(t, vmap=lambda i, d, a: (a * 2, (0, 0))).apply
    )(x(t)),
}


def doubled_in_place(t):
    class Double(t.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x.mul_(2)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.mark_dirty(*inputs)

        @staticmethod
        def backward(ctx, g):
            return g * 2

        @staticmethod
        def jvp(ctx, tangent):
            return tangent.mul_(2)

    return lambda x: Double.apply(x.clone())


# Allowed uses of the arguments of `forward` and `jvp`.
STEPS = {
    "as it is": lambda x: x,
    "a view": lambda x: x.view(-1),
    "a part": lambda x: x[:2],
    "detached": lambda x: x.detach(),
    "a result": lambda x: x * 2,
    "in place": lambda x: x.mul_(2),
}


@pytest.mark.parametrize("dirty", [False, True], ids=["not marked", "marked dirty"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("forward", STEPS)
def test_tangents_share_their_elements_as_results_do(forward, step, dirty):
    def call(t, f):
        class Custom(t.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                if dirty:
                    ctx.mark_dirty(x)
                return STEPS[forward](x)

            @staticmethod
            def jvp(ctx, tangent):
                return STEPS[step](tangent)

        fw = t.autograd.forward_ad
        with fw.dual_level():
            dual = fw.make_dual(x(t), v(t))
            return [tuple(fw.unpack_dual(each)) for each in (Custom.apply(dual), dual)]

    check(call)


@pytest.mark.parametrize("case", TRANSFORMED)
def test_transformations_of_a_custom_function(case):
    check(TRANSFORMED[case])


OUTER = {
    "grad": lambda t, f, a: f.grad(lambda b: cube_of(t).apply(b).sum())(a),
    "grad, captured": lambda t, f, a: f.grad(lambda b: (cube_of(t).apply(a) * b).sum())(x(t)),
    "vmap": lambda t, f, a: f.vmap(with_rule(t))(a),
    "vmap by its own rule": lambda t, f, a: f.vmap(own_rule(t, []).apply)(a),
    "jvp": lambda t, f, a: f.jvp(cube_of(t).apply, (a,), (v(t),))[1],
    "vmap of grad": lambda t, f, a: f.vmap(f.grad(with_rule(t)))(a),
}


@pytest.mark.parametrize("case", OUTER)
def test_its_own_derivative_counts_outside_too(case):
    def call(t, f):
        start = x(t, True)
        result = OUTER[case](t, f, start)
        result.sum().backward()
        return result, start.grad

    check(call)


def test_a_wrong_backward_is_used_at_every_level():
    """PyTorch's levels would use it; no derivative of `forward` takes its place."""

    def call(t, f):
        wrong = cube_of(t, backward=lambda ctx, g: g * 100, generate_vmap_rule=True).apply
        start = x(t, True)
        inner = f.grad(lambda a: wrong(a).sum())(x(t))
        mapped = f.vmap(wrong)(start).sum()
        captured = f.grad(lambda a: (wrong(start) * a).sum())(x(t)).sum()
        return inner, t.autograd.grad(mapped, start), t.autograd.grad(captured, start)

    check(call)
