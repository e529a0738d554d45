"""JAX's derivatives of a pure function are the tape's; PyTorch has the right values where it is installed."""

import jax
import numpy as np
import pytest

import funcgrad
import funcgrad.torch as torch
from tests.both_sides import theirs

W = np.array([0.4, 1.6], np.float32)
V = np.array([0.3, -0.7], np.float32)


def straight_through(t, backward=lambda g: g, **more):
    class Rounded(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, g):
            return backward(g)

    for name, method in more.items():
        setattr(Rounded, name, staticmethod(method))
    return Rounded


def detached(t, w):
    return (w.detach() * w).sum()


def data(t, w):
    return (w.data * w).sum()


def under_no_grad(t, w):
    with t.no_grad():
        s = w.sum()
    return (s * w).sum()


def under_inference_mode(t, w):
    with t.inference_mode():
        s = w.sum()
    return (s.clone() * w).sum()


def estimated(t, w):
    return (straight_through(t).apply(w) * t.tensor([4.0, 30.0])).sum()


def hooked(t, w):
    y = w * 2
    y.register_hook(lambda g: 10 * g)
    return y.sum()


def hooked_after_use(t, w):
    y = w * 2
    z = y.sin().sum()
    y.register_hook(lambda g: 10 * g)
    return z


def leaf_hooked(t, w):
    w.register_hook(lambda g: g + 1)
    return (w**2).sum()


def clipped(t, w):
    y = w**2
    y.register_hook(lambda g: g.clamp(-0.5, 0.5))
    return (y * t.tensor([3.0, 0.25])).sum()


def norm_clipped(t, w):
    y = w**2
    y.register_hook(lambda g: g / (1 + (g * g).sum()))
    return (y * t.tensor([3.0, 0.25])).sum()


def node_hooked(t, w):
    y = w * 2
    y.grad_fn.register_hook(lambda gi, go: (gi[0] * 3, *gi[1:]))
    return y.exp().sum()


def detach_trick(t, w):
    return ((w.round() - w).detach() + w).pow(2).sum()


def target_network(t, w):
    target = w.detach().clone()
    target.mul_(0.9)
    return ((w.sin() - target.cos()) ** 2).mean()


def averaged(t, w):
    average = t.zeros(2)
    with t.no_grad():
        average.mul_(0.9).add_(w, alpha=0.1)
    return ((w - average) ** 2).sum()


def masked(t, w):
    mask = w > 1
    return t.where(mask, w**2, w * 3).sum() + (w * mask.to(w.dtype)).sum()


def contrastive(t, w):
    p, z = w.sin(), w.cos()
    return -(p * z.detach()).sum() - (z * p.detach()).sum()


def reinforced(t, w):
    log_prob = (w - w.logsumexp(0))[1]
    reward = (w * 2).sum()
    return -(log_prob * reward.detach())


def penalised(t, w):
    v = w * 1
    (g,) = t.autograd.grad((v**3).sum(), v, create_graph=True)
    return (v**2).sum() + (g.norm() - 1) ** 2


def newton(t, w):
    v = w * 1
    (g,) = t.autograd.grad((v**4 + v).sum(), v, create_graph=True)
    (h,) = t.autograd.grad(g.sum(), v, create_graph=True)
    return ((v - g / h) ** 2).sum()


def inner_loop(t, w):
    fast = w * 1
    for _ in range(2):
        (g,) = t.autograd.grad(((fast - 0.5) ** 4).sum(), fast, create_graph=True)
        fast = fast - 0.1 * g
    return (fast**3).sum()


def first_order_inner_loop(t, w):
    fast = w * 1
    for _ in range(2):
        (g,) = t.autograd.grad(((fast - 0.5) ** 4).sum(), fast)
        fast = fast - 0.1 * g
    return (fast**3).sum()


def written_in_place(t, w):
    y = w * 1
    y[0] *= 3
    y.mul_(w)
    y[1:] += y[0].detach()
    return (y**2).sum()


def written_behind_the_back(t, w):
    y = w * 1
    z = y * y
    y.data.mul_(3)
    return z.sum()


def leaf_written_under_no_grad(t, w):
    with t.no_grad():
        w -= 0.1 * w**2
    return (w**3).sum()


def saving(t, w):
    class Product(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor, y, name):
            ctx.save_for_backward(x, y)
            ctx.factor = factor
            return x * y * factor, x > 1, x + y

        @staticmethod
        def backward(ctx, g, _, h):
            x, y = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False, True, False)
            return g * y * ctx.factor + h, None, g * x * ctx.factor * 2 + h, None

    a, mask, b = Product.apply(w, 3.0, w.sin(), "name")
    return (a * mask.to(a.dtype)).sum() + b.prod()


def marked(t, w):
    class Doubled(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 7

    class Both(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            a, b = x * 2, x * 3
            ctx.mark_non_differentiable(b)
            return a, b

        @staticmethod
        def backward(ctx, g, _):
            return g * 5

    a, b = Both.apply(Doubled.apply(w * 1))
    return (a * b).sum()


def partly_frozen(t, w):
    x = w * 1
    y = x[:1].detach()
    return t.cat([y, x[1:]]).pow(3).sum()


def retained(t, w):
    y = w * 2
    y.retain_grad()
    (g,) = t.autograd.grad((y**3).sum(), w, create_graph=True)
    return (g * y).sum()


def with_a_backward(t, function, backward):
    """A custom function that saves its argument, which its backward gets after the gradient."""

    class Custom(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return function(x)

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved_tensors)

    return Custom.apply


def penalty_in_the_backward(t, w):
    return (with_a_backward(t, t.clone, lambda g, x: g + 0.1 * x.sign())(w) ** 2).sum()


def penalty_added_to(t, w):
    return (with_a_backward(t, t.clone, lambda g, x: x.sign().mul(0.1).add_(g))(w) ** 2).sum()


def gradient_that_is_ignored(t, w):
    return with_a_backward(t, lambda x: (x**2).sum(), lambda g, x: 3 * x)(w) + w.sum()


def blocked(t, w):
    return (with_a_backward(t, t.clone, lambda g, x: t.zeros_like(g))(w) * w).sum()


def penalty_beside_two_outputs(t, w):
    class Custom(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return 2 * x, 3 * x

        @staticmethod
        def backward(ctx, a, b):
            return 2 * a + 3 * b + 0.1 * ctx.saved_tensors[0].sign()

    return (Custom.apply(w)[0] ** 2).sum()


PROGRAMS = [
    detached,
    data,
    under_no_grad,
    under_inference_mode,
    estimated,
    hooked,
    hooked_after_use,
    leaf_hooked,
    clipped,
    norm_clipped,
    node_hooked,
    detach_trick,
    target_network,
    averaged,
    masked,
    contrastive,
    reinforced,
    penalised,
    newton,
    inner_loop,
    first_order_inner_loop,
    written_in_place,
    written_behind_the_back,
    leaf_written_under_no_grad,
    saving,
    marked,
    partly_frozen,
    retained,
    penalty_in_the_backward,
    penalty_added_to,
    gradient_that_is_ignored,
    penalty_beside_two_outputs,
    blocked,
]
# Their backward is no linear function of the cotangent, so that they have no tangent.
NOT_LINEAR = (
    leaf_hooked,
    clipped,
    norm_clipped,
    penalty_in_the_backward,
    penalty_added_to,
    gradient_that_is_ignored,
    penalty_beside_two_outputs,
)
LINEAR = [program for program in PROGRAMS if program not in NOT_LINEAR]


def taped(program, w=W):
    """Value, gradient and Hessian by PyTorch's tape."""
    t = theirs
    leaf = t.tensor(w, requires_grad=True)
    value = program(t, leaf)
    (gradient,) = t.autograd.grad(value, leaf, create_graph=True)
    rows = []
    for each in gradient:
        row = None
        if each.requires_grad:
            (row,) = t.autograd.grad(each, leaf, retain_graph=True, allow_unused=True)
        rows.append(np.zeros(2) if row is None else row.numpy())
    return value.item(), gradient.detach().numpy(), np.stack(rows)


def pure_of(program, requires_grad=()):
    """The program as a function of an array."""

    def function(w):
        return program(torch, w)

    if program is leaf_written_under_no_grad:
        pure = funcgrad.pure(function, requires_grad=requires_grad, updates=0)
        return lambda w: pure(w)[0]
    return funcgrad.pure(function, requires_grad=requires_grad)


def close(mine, expected):
    np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("requires_grad", [(), 0], ids=["as it is", "leaf"])
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["grad", "jit"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: each.__name__)
def test_the_gradient_is_pytorchs(program, requires_grad, transform):
    expected, gradient, _ = taped(program)
    value, found = transform(jax.value_and_grad(pure_of(program, requires_grad)))(W)
    close(value, expected)
    close(found, gradient)


@pytest.mark.parametrize("program", LINEAR, ids=lambda each: each.__name__)
def test_the_tangent_is_that_of_pytorchs_gradient(program):
    expected, gradient, _ = taped(program)
    value, tangent = jax.jit(lambda w: jax.jvp(pure_of(program), (w,), (V,)))(W)
    close(value, expected)
    close(tangent, gradient @ V)


@pytest.mark.parametrize("program", LINEAR, ids=lambda each: each.__name__)
@pytest.mark.parametrize("hessian", [jax.hessian, lambda f: jax.jacrev(jax.grad(f))])
def test_the_hessian_is_that_of_pytorchs_double_backward(program, hessian):
    close(jax.jit(hessian(pure_of(program)))(W), taped(program)[2])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: each.__name__)
def test_vmap_of_the_gradient_and_the_gradient_of_vmap(program):
    rows = np.stack([W, V])
    expected = np.stack([taped(program, row)[1] for row in rows])
    function = pure_of(program)
    outside = jax.vmap(jax.grad(function))
    inside = jax.grad(lambda rows: jax.vmap(function)(rows).sum())
    for each in jax.jit(lambda rows: (outside(rows), inside(rows)))(rows):
        close(each, expected)


@pytest.mark.parametrize("program", NOT_LINEAR, ids=lambda each: each.__name__)
def test_forward_mode_of_a_backward_that_is_not_linear_is_refused(program):
    with pytest.raises(NotImplementedError, match="not linear"):
        jax.jvp(pure_of(program), (W,), (V,))
