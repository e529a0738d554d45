"""Inside functions that `torch.func` transforms, next to PyTorch: views, in-place changes, new tensors, random numbers."""

import warnings

import numpy as np
import pytest

from tests.torch.func.samples import (
    check,
    cube_sum,
    matrix,
    vector,
)
from tests.torch.ops.tables import BINARY, REDUCTIONS, UNARY, called


def written_through_a_view(x):
    doubled = x * 2
    doubled[0] = x[1]
    doubled[1:].mul_(x[:2])
    return (doubled * x).sum()


def written_with_parts(x):
    doubled = x * 2
    doubled[:2].mul_(x[1:])
    return doubled


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
    "written with parts of what a batch further out captures": lambda t, f: f.vmap(
        lambda x: f.grad(lambda a: (written_with_parts(x) * a).sum())(x)
    )(matrix(t)),
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


MADE_INSIDE = {
    "new_zeros": lambda t, f: f.vmap(lambda x: x.new_zeros(3).add_(x))(matrix(t)),
    "new_full": lambda t, f: f.vmap(lambda x: x.new_full((3,), 2.0).mul_(x))(matrix(t)),
    "zeros_like": lambda t, f: f.vmap(lambda x: t.zeros_like(x).add_(x))(matrix(t)),
    "empty_like": lambda t, f: f.vmap(lambda x: t.empty_like(x).copy_(x))(matrix(t)),
    "zeros_like, two batches": lambda t, f: f.vmap(
        lambda x: f.vmap(lambda y: t.zeros_like(y).add_(x.sum() * y))(x)
    )(matrix(t)),
    "zeros_like inside grad inside vmap": lambda t, f: f.vmap(
        f.grad(lambda x: t.zeros_like(x).add_(x).mul_(x).sum())
    )(matrix(t)),
    "a part of new_zeros": lambda t, f: f.vmap(lambda x: written(x.new_zeros(2), x[1]))(matrix(t)),
    "zeros, refused": lambda t, f: f.vmap(lambda x: t.zeros(3).add_(x))(matrix(t)),
    "an index of the batch": lambda t, f: f.vmap(lambda x, k: x[k])(matrix(t), t.tensor([2, 0])),
    "an index of the batch into what is shared": lambda t, f: f.vmap(lambda k: vector(t)[k])(
        t.tensor([2, 0])
    ),
    "a leaf of the outside": lambda t, f: f.vmap(lambda x: t.ones(3, requires_grad=True) * x)(
        matrix(t)
    ),
    "a leaf": lambda t, f: f.grad(lambda x: (t.ones(3, requires_grad=True) * x).sum())(vector(t)),
    "a leaf differentiated by": lambda t, f: f.grad(lambda x: by_a_leaf(t, x))(vector(t)),
    "a flag set": lambda t, f: f.grad(lambda x: (setattr(x, "requires_grad", True), x.sum())[1])(
        vector(t)
    ),
    "a flag of a batch set": lambda t, f: f.vmap(
        lambda x: (setattr(x, "requires_grad", True), x * 2)[1]
    )(vector(t)),
    "a copy by tensor()": lambda t, f: f.grad(lambda x: (t.tensor(x) * x).sum())(vector(t)),
    "a formatted value": lambda t, f: f.grad(lambda x: x.sum() * float(f"{x.sum():.1f}"))(
        vector(t)
    ),
    "a loop over rows": lambda t, f: f.vmap(lambda x: sum(each * each for each in x))(matrix(t)),
    "the shape that is seen": lambda t, f: f.vmap(lambda x: x * (len(x) + x.numel()))(matrix(t)),
}


def test_anomaly_mode_looks_at_all_of_a_batch():
    def call(t, f):
        with t.autograd.set_detect_anomaly(True):
            right = f.vmap(f.grad(lambda x: x**3))(vector(t))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                f.vmap(f.grad(lambda x: (x * 0).sqrt() * 0))(right)

    check(call)


RETURNED = {
    "the argument": lambda t, f: f.vmap(lambda x: x),
    "the argument, by columns": lambda t, f: f.vmap(lambda x: x, in_dims=1, out_dims=1),
    "the argument, transposed": lambda t, f: f.vmap(lambda x: x, in_dims=1),
    "the argument, changed in place": lambda t, f: f.vmap(lambda x: x.mul_(2)),
    "the argument, changed in place and transposed": lambda t, f: f.vmap(
        lambda x: x.mul_(2), out_dims=1
    ),
    "the argument, one of a batch in a batch": lambda t, f: f.vmap(f.vmap(lambda x: x)),
    "a result": lambda t, f: f.vmap(lambda x: x * 2),
}


@pytest.mark.parametrize("case", RETURNED)
def test_an_argument_that_is_returned_is_what_was_given(case):
    def call(t, f):
        given = matrix(t)
        returned = RETURNED[case](t, f)(given)
        flags = returned is given, returned._is_view(), returned._base is given, returned._version
        returned.add_(1)
        return flags, returned, given

    check(call)


def test_what_is_the_same_for_all_is_returned_as_one():
    def call(t, f):
        f.vmap(lambda x: vector(t))(vector(t)).add_(1)

    check(call)


def through_detached(t, x):
    y = x.clone()
    y.detach().add_(1)
    return y * x


def under_no_grad(t, x):
    y = x.clone()
    with t.no_grad():
        y.mul_(2)
    return y * x


def twice_in_one_place(t, x):
    y = x * 2
    y[t.tensor([0, 0, 2])] = x
    return y * x


def by_part_of_itself(t, x):
    y = x.clone()
    y[1:].mul_(x[0])
    y[0] = y[2]
    return y


def accumulated(t, x):
    y = x.clone()
    y.index_put_((t.tensor([0, 0]),), x[1:], accumulate=True)
    return y * y


def where_it_is_large(t, x):
    y = x.clone()
    y[x > 1.5] *= x[0]
    return y * y


CHANGES = {
    each.__name__: each
    for each in (
        through_detached,
        under_no_grad,
        twice_in_one_place,
        by_part_of_itself,
        accumulated,
    )
}
TRANSFORMS = {
    "grad": lambda t, f, of: f.grad(lambda x: (of(x) ** 2).sum())(vector(t)),
    "jvp": lambda t, f, of: f.jvp(of, (vector(t),), (vector(t) * 2,)),
    "vmap": lambda t, f, of: f.vmap(of, in_dims=1, out_dims=1)(matrix(t).t()),
    "hessian": lambda t, f, of: f.hessian(lambda x: (of(x) ** 2).sum())(vector(t)),
    "grad of vmap": lambda t, f, of: f.grad(lambda m: (f.vmap(of, 1, 1)(m) ** 2).sum())(
        matrix(t).t()
    ),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("change", CHANGES)
def test_in_place_changes_inside(change, transform):
    check(lambda t, f: TRANSFORMS[transform](t, f, lambda x: CHANGES[change](t, x)))


def test_in_place_changes_by_a_mask_inside():
    check(lambda t, f: f.jacrev(lambda x: where_it_is_large(t, x))(vector(t)))
    check(lambda t, f: f.jacfwd(f.jacrev(lambda x: where_it_is_large(t, x)))(vector(t)))


def by_a_leaf(t, x):
    leaf = t.ones(3, requires_grad=True)
    return t.autograd.grad((leaf**2 * x**2).sum(), leaf, create_graph=True)[0].sum()


def written(target, value):
    target[0] = value
    return target


@pytest.mark.parametrize("case", MADE_INSIDE)
def test_tensors_made_and_looked_at_inside(case):
    check(MADE_INSIDE[case])


@pytest.mark.parametrize("randomness", ["same", "different", "error"])
@pytest.mark.parametrize("batched", [True, False])
def test_random_numbers_drawn_in_place_are_pytorchs(randomness, batched):
    def call(t, f):
        t.manual_seed(2)
        make = (lambda x: x.clone()) if batched else (lambda x: t.zeros(3))
        return f.vmap(lambda x: make(x).uniform_() + x, randomness=randomness)(matrix(t)), t.rand(1)

    check(call)


@pytest.mark.parametrize("row", [*UNARY, *BINARY], ids=lambda row: row.name)
def test_every_op_of_the_tables_is_mapped(row):
    def call(t, f):
        x = t.tensor(np.random.default_rng(0).uniform(0.2, 0.8, (2, 3)), dtype=t.float64)
        one = row in UNARY
        op = called(t, row.name)
        # Along another dimension, so that shapes that the function sees differ from those in memory.
        return f.vmap(lambda a: op(a) if one else op(a, a * a), in_dims=1, out_dims=-1)(x)

    check(call)


@pytest.mark.parametrize("row", REDUCTIONS, ids=lambda row: row.name)
def test_every_reduction_of_the_tables_is_mapped(row):
    def call(t, f):
        x = t.tensor(np.random.default_rng(0).uniform(0.2, 0.8, (2, 3, 4)), dtype=t.float64)
        return f.vmap(lambda a: getattr(t, row.name)(a, dim=-1), in_dims=1)(x)

    check(call)


def test_random_numbers_inside_nested_transformations():
    def call(t, f):
        t.manual_seed(0)
        inner = f.vmap(lambda x: x * t.rand(2), randomness="different")
        nested = f.vmap(inner, randomness="different")(t.ones(2, 3))
        gradient = f.vmap(f.grad(lambda x: x * t.rand(())), randomness="different")(t.ones(3))
        return nested, gradient, t.rand(1)

    check(call)
