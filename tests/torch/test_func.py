"""`torch.func` next to PyTorch's: the same source on both, and the errors it raises."""

import collections
import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

import funcgrad.torch as ours
import funcgrad.torch.func as our_func

theirs = pytest.importorskip("torch")
import torch.func as their_func  # noqa: E402

from tests.torch.results import assert_same, outcome  # noqa: E402

SIDES = ((ours, our_func), (theirs, their_func))
Point = collections.namedtuple("Point", "x y")


def check(call):
    mine, reference = (outcome(call, *side) for side in SIDES)
    assert_same(mine, reference)


def vector(t, requires_grad=False):
    return t.tensor([0.5, -1.5, 2.0], requires_grad=requires_grad)


def matrix(t):
    return t.tensor([[0.5, 1.0, -2.0], [1.5, -0.5, 3.0]])


def loss(w, x):
    return ((x @ w) ** 2).mean()


def with_no_grad_inside(t):
    def function(x):
        with t.no_grad():
            weight = x * x
        return (x * weight).sum()

    return function


def branching(x):
    return (x * x).sum() if x.sum() > 0 else x.sum()


def accumulating(t):
    def function(x):
        total = t.zeros(3)
        total += x
        total.mul_(x)
        return total.sum()

    return function


def under_no_grad(t, call):
    with t.no_grad():
        return call()


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


def written_through_a_view(x):
    doubled = x * 2
    doubled[0] = x[1]
    doubled[1:].mul_(x[:2])
    return (doubled * x).sum()


VIEWS = {
    "grad of parts": lambda t, f: f.grad(lambda x: (x[0] * x[1:]).sum())(vector(t)),
    "grad of a transpose": lambda t, f: f.grad(lambda m: (m.T @ m).reshape(-1)[2:5].sum())(
        matrix(t)
    ),
    "grad written through views": lambda t, f: f.grad(written_through_a_view)(vector(t)),
    "hessian written through views": lambda t, f: f.hessian(written_through_a_view)(vector(t)),
    "jacrev of parts": lambda t, f: f.jacrev(lambda m: (m[0], m[:, 1] * m[1, 0]))(matrix(t)),
    "jacfwd of parts": lambda t, f: f.jacfwd(lambda m: (m[0], m[:, 1] * m[1, 0]))(matrix(t)),
    "jvp written through views": lambda t, f: f.jvp(
        written_through_a_view, (vector(t),), (vector(t),)
    ),
    "vmap of parts": lambda t, f: f.vmap(lambda x: x[0] * x[1:])(matrix(t)),
    "vmap written through views": lambda t, f: f.vmap(written_through_a_view)(matrix(t)),
    "vmap of reshapes": lambda t, f: f.vmap(lambda x: x.reshape(1, 3).t().expand(3, 2))(matrix(t)),
    "vmap of grad written through views": lambda t, f: f.vmap(f.grad(written_through_a_view))(
        matrix(t)
    ),
    "per example over unbound rows": lambda t, f: f.vmap(lambda x: sum(x.unbind()))(matrix(t)),
    "indexing by a tensor": lambda t, f: f.vmap(lambda x: x[t.tensor([2, 0])])(matrix(t)),
    "an argument that is a view": lambda t, f: f.grad(cube_sum)(matrix(t)[1]),
    "an argument of vmap that is a view": lambda t, f: f.vmap(lambda x: x.sum())(matrix(t).t()),
    "a view as a result": lambda t, f: f.vmap(lambda x: x[:2])(matrix(t)),
    "a captured row": lambda t, f: f.grad(lambda x: (x * matrix(t)[0]).sum())(vector(t)),
}


@pytest.mark.parametrize("case", VIEWS)
def test_views_inside_transformations(case):
    check(VIEWS[case])


@pytest.mark.parametrize("transform", ["grad", "vmap", "jvp"])
def test_a_captured_view_leads_to_its_base(transform):
    def call(t, f):
        base = matrix(t).requires_grad_()
        row = (base * 2)[1]
        function = lambda x: (x * row * row).sum()  # noqa: E731
        result = {
            "grad": lambda: f.grad(function)(vector(t)),
            "vmap": lambda: f.vmap(function)(matrix(t)),
            "jvp": lambda: f.jvp(function, (vector(t),), (vector(t),))[1],
        }[transform]()
        result.sum().backward()
        return result, base.grad, row.sum()

    check(call)


def test_in_place_changes_of_views_of_arguments_are_seen_outside():
    def call(t, f):
        x, y = matrix(t), matrix(t)
        f.vmap(lambda row: row[1:].add_(10).sum())(x)
        f.vmap(lambda column: column[0].mul_(10), in_dims=1)(y)
        return x, y

    check(call)


@pytest.mark.parametrize("case", TRANSFORMS)
def test_transform_gives_what_pytorch_gives(case):
    check(TRANSFORMS[case])


def cube_sum(x):
    return (x**3).sum()


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
    for t, f in SIDES:
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
    for t, f in SIDES:
        mine = []
        f.grad(printed(mine))(vector(t))
        f.grad(printed(mine))(vector(t, True))
        f.vmap(printed(mine), in_dims=1)(matrix(t))
        f.vmap(f.grad(printed(mine)))(matrix(t))
        f.grad(lambda x: f.vmap(printed(mine))(x).sum())(vector(t))  # noqa: B023
        f.jvp(printed(mine), (vector(t),), (vector(t),))
        seen.append(mine)
    assert seen[0] == seen[1]


WRITES = {
    "an argument of vmap": lambda t, f, x: f.vmap(lambda y: y.add_(1))(x),
    "an argument of vmap, by another dimension": lambda t, f, x: f.vmap(
        lambda y: y.add_(1).sum(), in_dims=1
    )(x),
    "an argument grad is not asked for": lambda t, f, x: f.grad(lambda a, b: (a * b.add_(1)).sum())(
        matrix(t), x
    ),
    "an argument of jvp": lambda t, f, x: f.jvp(lambda a: a.add_(1).sum(), (x,), (matrix(t),)),
    "what vmap captures": lambda t, f, x: f.vmap(lambda y: (x.add_(1) * y).sum())(matrix(t)),
}


@pytest.mark.parametrize("case", WRITES)
def test_in_place_changes_of_arguments_are_seen_outside(case):
    def call(t, f):
        x = matrix(t)
        result = WRITES[case](t, f, x)
        return result, x

    check(call)


@pytest.mark.parametrize("randomness", ["same", "different", "error"])
@pytest.mark.parametrize(
    "draw",
    [
        lambda t, x: t.rand(2),
        lambda t, x: t.randn(20),
        lambda t, x: t.rand_like(x),
        lambda t, x: t.randint(0, 10, (3,)),
        lambda t, x: t.randperm(4),
    ],
    ids=["rand", "randn", "rand_like", "randint", "randperm"],
)
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_random_numbers_inside_vmap_are_pytorchs(draw, randomness, chunk_size):
    def call(t, f):
        t.manual_seed(3)
        once = f.vmap(lambda x: x.sum() + draw(t, x), randomness=randomness, chunk_size=chunk_size)(
            t.ones(3, 2)
        )
        return once, t.rand(1)

    check(call)


def test_random_numbers_inside_nested_transformations():
    def call(t, f):
        t.manual_seed(0)
        inner = f.vmap(lambda x: x * t.rand(2), randomness="different")
        nested = f.vmap(inner, randomness="different")(t.ones(2, 3))
        gradient = f.vmap(f.grad(lambda x: x * t.rand(())), randomness="different")(t.ones(3))
        return nested, gradient, t.rand(1)

    check(call)


class Line:
    """What a module is to `functional_call`."""

    def __init__(self, t):
        self.weight = t.ones(3)
        self.inner = SimpleNamespace(bias=t.zeros(1))

    def named_parameters(self):
        yield "weight", self.weight
        yield "inner.bias", self.inner.bias

    def __call__(self, x, scale=1.0):
        return (x @ self.weight + self.inner.bias) * scale


def module_of(t):
    """The same in PyTorch: there a module is needed."""
    if t is ours:
        return Line(t)

    class Inner(t.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = t.nn.Parameter(t.zeros(1), requires_grad=False)

    class Line_(t.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = t.nn.Parameter(t.ones(3), requires_grad=False)
            self.inner = Inner()

        forward = Line.__call__
        _get_name = lambda self: "Line"  # noqa: E731

    return Line_()


CALLS = {
    "all": lambda t, f, m: f.functional_call(
        m, {"weight": vector(t), "inner.bias": t.ones(1)}, (matrix(t),)
    ),
    "one": lambda t, f, m: f.functional_call(m, {"weight": vector(t)}, matrix(t), {"scale": 2.0}),
    "several dictionaries": lambda t, f, m: f.functional_call(
        m, ({"weight": vector(t)}, {"inner.bias": t.ones(1)}), matrix(t)
    ),
    "a gradient": lambda t, f, m: f.grad(lambda p: f.functional_call(m, p, matrix(t)).sum())(
        {"weight": vector(t), "inner.bias": t.ones(1)}
    ),
    "an ensemble": lambda t, f, m: f.vmap(lambda w: f.functional_call(m, {"weight": w}, matrix(t)))(
        matrix(t)
    ),
    "a name twice": lambda t, f, m: f.functional_call(
        m, ({"weight": vector(t)}, {"weight": vector(t)}), matrix(t)
    ),
    "no dictionaries": lambda t, f, m: f.functional_call(m, (1, 2), matrix(t)),
    "no dictionary": lambda t, f, m: f.functional_call(m, 1, matrix(t)),
    "strict, missing": lambda t, f, m: f.functional_call(
        m, {"weight": vector(t)}, matrix(t), strict=True
    ),
    "strict, unexpected": lambda t, f, m: f.functional_call(
        m,
        {"weight": vector(t), "inner.bias": t.ones(1), "other": t.ones(1)},
        matrix(t),
        strict=True,
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_functional_call_as_pytorch(case):
    def call(t, f):
        module = module_of(t)
        with contextlib.suppress(ValueError, RuntimeError):
            CALLS[case](t, f, module)
        assert module.weight.tolist() == [1.0, 1.0, 1.0]
        return CALLS[case](t, f, module)

    check(call)


def test_functional_call_of_an_attribute_that_is_not_there():
    with pytest.raises(AttributeError, match="Line has no attribute `other`"):
        our_func.functional_call(Line(ours), {"other": ours.ones(1)}, matrix(ours))
    with pytest.raises(TypeError, match="is not an instance of torch"):
        our_func.functional_call(Line(ours), {"weight": 3}, matrix(ours))


def test_tied_tensors_stay_tied():
    class Tied:
        def __init__(self):
            self.a = self.b = ours.ones(1)

        def named_parameters(self):
            return {"a": self.a, "b": self.b}.items()

        def __call__(self):
            return self.a + self.b

    assert our_func.functional_call(Tied(), {"a": ours.tensor([3.0])}).tolist() == [6.0]
    with pytest.raises(ValueError, match=r"multiple values for keys \['a', 'b'\], which are tied"):
        our_func.functional_call(Tied(), {"a": ours.ones(1), "b": ours.zeros(1)})
    both = {"a": ours.ones(1), "b": ours.zeros(1)}
    assert our_func.functional_call(Tied(), both, tie_weights=False).tolist() == [1.0]


def test_stacked_states_are_leaves_of_their_own():
    class Model:
        def __init__(self, value):
            self.weight = ours.tensor([value], requires_grad=True)

        def named_parameters(self):
            return [("weight", self.weight)]

        def named_buffers(self):
            return [("mean", ours.zeros(2))]

    params, buffers = our_func.stack_module_state([Model(1.0), Model(2.0)])
    assert params["weight"].tolist() == [[1.0], [2.0]]
    assert params["weight"].is_leaf
    assert params["weight"].requires_grad
    assert buffers["mean"].shape == (2, 2)
    with pytest.raises(RuntimeError, match="Expected at least one model, got 0"):
        our_func.stack_module_state([])


COMPLAINTS = {
    "grad of a vector": lambda t, f: f.grad(lambda x: x)(vector(t)),
    "grad of a number": lambda t, f: f.grad(lambda x: 3.0)(vector(t)),
    "argnums out of range": lambda t, f: f.grad(cube_sum, argnums=1)(vector(t)),
    "argnums twice": lambda t, f: f.grad(cube_sum, argnums=(0, 0))(vector(t)),
    "argnums of text": lambda t, f: f.grad(cube_sum, argnums="x")(vector(t)),
    "argnums with text": lambda t, f: f.grad(cube_sum, argnums=(0, "x"))(vector(t)),
    "no argnums": lambda t, f: f.grad(cube_sum, argnums=())(vector(t)),
    "has_aux without aux": lambda t, f: f.grad(cube_sum, has_aux=True)(vector(t)),
    "aux that is no tensor": lambda t, f: f.grad(lambda x: (x.sum(), 3), has_aux=True)(vector(t)),
    "grad by a number": lambda t, f: f.grad(lambda x: x)(3.0),
    "grad by integers": lambda t, f: f.grad(lambda x: x.sum())(t.ones(2, dtype=t.int64)),
    "vjp of a number": lambda t, f: f.vjp(lambda x: 3, vector(t)),
    "vjp of nothing": lambda t, f: f.vjp(lambda x: (), vector(t)),
    "vjp of bools": lambda t, f: f.vjp(lambda x: x > 0, vector(t)),
    "vjp with aux missing": lambda t, f: f.vjp(lambda x: x, vector(t), has_aux=True),
    "cotangents of another structure": lambda t, f: f.vjp(lambda x: {"a": x}, vector(t))[1](
        {"b": vector(t)}
    ),
    "a cotangent of another shape": lambda t, f: f.vjp(lambda x: x, vector(t))[1](t.ones(2)),
    "jvp without a tuple": lambda t, f: f.jvp(cube_sum, vector(t), vector(t)),
    "jvp of nothing": lambda t, f: f.jvp(cube_sum, (), ()),
    "a tangent that is no tensor": lambda t, f: f.jvp(cube_sum, (vector(t),), (3,)),
    "tangents of another structure": lambda t, f: f.jvp(
        cube_sum, (vector(t),), (vector(t), vector(t))
    ),
    "a tangent of another shape": lambda t, f: f.jvp(cube_sum, (vector(t),), (t.ones(2),)),
    "jvp of integers": lambda t, f: f.jvp(cube_sum, (t.ones(2, dtype=t.int64),), (t.ones(2),)),
    "strict jvp of a constant": lambda t, f: f.jvp(
        lambda x: t.ones(2), (vector(t),), (vector(t),), strict=True
    ),
    "jvp of a number": lambda t, f: f.jvp(lambda x: 3, (vector(t),), (vector(t),)),
    "jvp with aux missing": lambda t, f: f.jvp(
        lambda x: x, (vector(t),), (vector(t),), has_aux=True
    ),
    "jacrev chunk_size": lambda t, f: f.jacrev(cube_sum, chunk_size=0),
    "linearize, another structure": lambda t, f: f.linearize(cube_sum, vector(t))[1](
        vector(t), vector(t)
    ),
    "linearize, another shape": lambda t, f: f.linearize(cube_sum, vector(t))[1](t.ones(2)),
    "functionalize": lambda t, f: f.functionalize(cube_sum, remove="x"),
    "vmap in_dims too few": lambda t, f: f.vmap(lambda x, y: x, in_dims=(0,))(vector(t), vector(t)),
    "vmap in_dims of text": lambda t, f: f.vmap(lambda x: x, in_dims="x")(vector(t)),
    "vmap in_dims nested otherwise": lambda t, f: f.vmap(lambda x, y: x, in_dims=((0,), 0))(
        (vector(t), vector(t)), vector(t)
    ),
    "vmap in_dims not there": lambda t, f: f.vmap(lambda x: x, in_dims=1)(vector(t)),
    "vmap in_dims None": lambda t, f: f.vmap(lambda x: x, in_dims=None)(vector(t)),
    "vmap in_dims all None": lambda t, f: f.vmap(lambda x: x, in_dims=(None,))(vector(t)),
    "vmap over a number": lambda t, f: f.vmap(lambda x: x)(3),
    "vmap over nothing": lambda t, f: f.vmap(lambda x: x)(),
    "vmap over a scalar": lambda t, f: f.vmap(lambda x: x)(t.tensor(1.0)),
    "vmap over sizes that differ": lambda t, f: f.vmap(lambda x, y: x)(vector(t), t.ones(2)),
    "vmap out_dims too many": lambda t, f: f.vmap(lambda x: (x, x), out_dims=(0, 0, 0))(vector(t)),
    "vmap out_dims not there": lambda t, f: f.vmap(lambda x: x, out_dims=2)(vector(t)),
    "vmap out_dims of text": lambda t, f: f.vmap(lambda x: x, out_dims="x")(vector(t)),
    "vmap out_dims None": lambda t, f: f.vmap(lambda x: x, out_dims=None)(vector(t)),
    "vmap of a number": lambda t, f: f.vmap(lambda x: 3)(vector(t)),
    "vmap chunk_size": lambda t, f: f.vmap(lambda x: x, chunk_size=0)(vector(t)),
    "vmap randomness": lambda t, f: f.vmap(lambda x: x, randomness="x")(vector(t)),
    "item() inside vmap": lambda t, f: f.vmap(lambda x: x * x.item())(vector(t)),
    "float() inside vmap": lambda t, f: f.vmap(lambda x: x * float(x))(vector(t)),
    "int() inside vmap": lambda t, f: f.vmap(lambda x: x * int(x))(vector(t)),
    "a branch inside vmap": lambda t, f: f.vmap(lambda x: x if x > 0 else -x)(vector(t)),
    "tolist() inside vmap": lambda t, f: f.vmap(lambda x: x * x.tolist())(vector(t)),
    "numpy() inside vmap": lambda t, f: f.vmap(lambda x: x * x.numpy())(vector(t)),
    "numpy() inside grad": lambda t, f: f.grad(lambda x: x * x.numpy())(vector(t)),
    "detach().numpy() inside grad": lambda t, f: f.grad(lambda x: x * x.detach().numpy())(
        vector(t)
    ),
    "item() inside grad inside vmap": lambda t, f: f.vmap(f.grad(lambda x: x * x.item()))(
        vector(t)
    ),
    "requires_grad_() inside grad": lambda t, f: f.grad(lambda x: t.zeros(3).requires_grad_())(
        vector(t)
    ),
    "requires_grad_() inside vmap": lambda t, f: f.vmap(lambda x: x.requires_grad_())(vector(t)),
    "backward() inside grad": lambda t, f: f.grad(lambda x: x.sum().backward())(vector(t)),
    "backward() inside vmap": lambda t, f: f.vmap(lambda x: x.sum().backward())(vector(t, True)),
    "autograd.grad inside vmap": lambda t, f: f.vmap(lambda x: t.autograd.grad(x * x, x))(
        vector(t, True)
    ),
    "in place on the argument of grad": lambda t, f: f.grad(lambda x: x.add_(1).sum())(vector(t)),
    "in place inside vmap on what is shared": lambda t, f: f.vmap(
        lambda x: t.zeros(()).add_(x).sum()
    )(vector(t)),
}


@pytest.mark.parametrize("case", COMPLAINTS)
def test_complaint_is_pytorchs(case):
    check(COMPLAINTS[case])


@pytest.mark.parametrize(
    "transform", ["grad", "vjp", "jvp", "grad inside vmap", "vmap inside grad"]
)
def test_a_captured_tensor_cannot_be_changed_in_place(transform):
    for t, f in SIDES:
        captured = t.ones(3)
        change = lambda x, y=captured: (y.add_(1) * x).sum()  # noqa: E731
        mapped = lambda x, y=captured: f.vmap(lambda z, y=y: (y.add_(1) * z).sum())(x).sum()  # noqa: B023, E731
        with pytest.raises(RuntimeError, match="would mutate a captured Tensor"):
            {
                "grad": lambda: f.grad(change)(vector(t)),  # noqa: B023
                "vjp": lambda: f.vjp(change, vector(t)),  # noqa: B023
                "jvp": lambda: f.jvp(change, (vector(t),), (vector(t),)),  # noqa: B023
                "grad inside vmap": lambda: f.vmap(f.grad(change))(matrix(t)),  # noqa: B023
                "vmap inside grad": lambda: f.grad(mapped)(vector(t)),  # noqa: B023
            }[transform]()
        assert captured.tolist() == [1.0, 1.0, 1.0]


def test_a_tensor_that_escaped_from_grad_is_a_plain_one():
    def call(t, f):
        kept = []
        f.grad(lambda x: (kept.append(x * 2), x.sum())[1])(vector(t))
        return kept[0] * 2, kept[0].tolist()

    check(call)


def test_a_tensor_that_escaped_from_vmap_is_refused():
    for t, f in SIDES:
        kept = []
        f.vmap(lambda x: (kept.append(x), x)[1])(vector(t))  # noqa: B023
        with pytest.raises(
            RuntimeError, match="your tensor may have escaped from inside a function"
        ):
            kept[0] * 2


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


def test_a_shape_error_inside_vmap_is_of_the_shapes_that_the_function_sees():
    with pytest.raises(RuntimeError, match=r"tensor a \(3\) must match the size of tensor b \(2\)"):
        our_func.vmap(lambda x: x + ours.ones(2))(matrix(ours))


def test_what_linearize_gives_is_differentiable_by_the_primals():
    x = vector(ours, requires_grad=True)
    our_func.linearize(lambda y: y**3, x)[1](ours.ones(3)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.detach().numpy(), rtol=1e-6)


def test_an_error_inside_leaves_no_level_behind():
    from funcgrad.engine import local

    with pytest.raises(ZeroDivisionError):
        our_func.vmap(our_func.grad(lambda x: x / (1 // 0)))(vector(ours))
    assert local.recorder.levels == ()
    assert our_func.grad(cube_sum)(vector(ours)).requires_grad is False
