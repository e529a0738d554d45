"""`torch.autograd.functional` next to PyTorch's: results with their structure, options, and errors."""

import pytest

from tests.both_sides import assert_same, result_of


def check(call):
    assert_same(result_of(call, "autograd.functional"), atol=1e-7)


def x(t, requires_grad=False):
    return t.tensor([1.0, 2.0, 3.0], requires_grad=requires_grad)


def y(t):
    return t.tensor([0.5, -1.0, 2.0])


def square(a):
    return a**2


def cubes(a):
    return (a**3).sum()


WAYS = {
    "row by row": {},
    "vectorized": {"vectorize": True},
    "forward": {"vectorize": True, "strategy": "forward-mode"},
}
JACOBIANS = {
    "of one": lambda t, F, o: F.jacobian(square, x(t), **o),
    "of a scalar": lambda t, F, o: F.jacobian(cubes, x(t), **o),
    "of two by two": lambda t, F, o: F.jacobian(lambda a, b: (a * b, b.sum()), (x(t), y(t)), **o),
    "of one by two": lambda t, F, o: F.jacobian(lambda a, b: a * b, (x(t), y(t)), **o),
    "of two by one": lambda t, F, o: F.jacobian(lambda a: (a * a, a.sum()), x(t), **o),
    "independent": lambda t, F, o: F.jacobian(lambda a, b: (a**2, b.sum()), (x(t), y(t)), **o),
    "of a constant": lambda t, F, o: F.jacobian(lambda a: t.ones(2), x(t), **o),
    "of a matrix": lambda t, F, o: F.jacobian(lambda a: a @ y(t), t.ones(2, 3), **o),
    "of a tuple of one": lambda t, F, o: F.jacobian(lambda a: (a**2,), (x(t),), **o),
    "with a graph": lambda t, F, o: F.jacobian(square, x(t, True), create_graph=True, **o),
    "without a graph": lambda t, F, o: F.jacobian(square, x(t, True), **o),
    "strict": lambda t, F, o: F.jacobian(square, x(t), strict=True, **o),
    "strict, independent": lambda t, F, o: F.jacobian(
        lambda a, b: (a**2, b.sum()), (x(t), y(t)), strict=True, **o
    ),
    "strict, of a constant": lambda t, F, o: F.jacobian(
        lambda a: t.ones(2), x(t), strict=True, **o
    ),
    "strict, linear, with a graph": lambda t, F, o: F.jacobian(
        lambda a: a * 2, x(t, True), create_graph=True, strict=True, **o
    ),
    "of a number": lambda t, F, o: F.jacobian(lambda a: 3, x(t), **o),
    "of a list": lambda t, F, o: F.jacobian(lambda a: [a], x(t), **o),
    "by a list": lambda t, F, o: F.jacobian(square, [x(t)], **o),
    "by a number": lambda t, F, o: F.jacobian(lambda a, b: a, (x(t), 3), **o),
    "complex": lambda t, F, o: F.jacobian(square, t.tensor([1 + 2j, 3.0]), **o),
    "real by complex": lambda t, F, o: F.jacobian(lambda a: a.abs(), t.tensor([1 + 2j]), **o),
    "in place": lambda t, F, o: F.jacobian(lambda a: a.clone().mul_(a), x(t), **o),
    "in place on the input": lambda t, F, o: F.jacobian(lambda a: a.mul_(2), x(t), **o),
    "in place on the input, with a graph": lambda t, F, o: F.jacobian(
        lambda a: a.mul_(2), x(t, True), create_graph=True, **o
    ),
    "in inference mode": lambda t, F, o: t.inference_mode()(F.jacobian)(square, x(t), **o),
    "under no_grad": lambda t, F, o: t.no_grad()(F.jacobian)(square, x(t, True), **o),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", JACOBIANS)
def test_jacobian(case, way):
    check(lambda t, F: JACOBIANS[case](t, F, WAYS[way]))


HESSIAN_WAYS = {
    "row by row": {},
    "vectorized": {"vectorize": True},
    "forward over reverse": {"vectorize": True, "outer_jacobian_strategy": "forward-mode"},
}
HESSIANS = {
    "of one": lambda t, F, o: F.hessian(cubes, x(t), **o),
    "of two": lambda t, F, o: F.hessian(lambda a, b: (a**2 * b).sum(), (x(t), y(t)), **o),
    "with a graph": lambda t, F, o: F.hessian(cubes, x(t, True), create_graph=True, **o),
    "of a sum": lambda t, F, o: F.hessian(lambda a: a.sum(), x(t), **o),
    "strict": lambda t, F, o: F.hessian(cubes, x(t), strict=True, **o),
    "strict, of a sum": lambda t, F, o: F.hessian(lambda a: a.sum(), x(t), strict=True, **o),
    "of a vector": lambda t, F, o: F.hessian(lambda a: a, x(t), **o),
    "of a tuple": lambda t, F, o: F.hessian(lambda a: (a.sum(), a.sum()), x(t), **o),
    "of a number": lambda t, F, o: F.hessian(lambda a: 3, x(t), **o),
}


@pytest.mark.parametrize("way", HESSIAN_WAYS)
@pytest.mark.parametrize("case", HESSIANS)
def test_hessian(case, way):
    check(lambda t, F: HESSIANS[case](t, F, HESSIAN_WAYS[way]))


PRODUCTS = {
    "of one": lambda t, f, v: f(square, x(t), y(t)),
    "of two": lambda t, f, v: f(lambda a, b: (a * b, b + a), (x(t), y(t)), (y(t), x(t))),
    "of a single element": lambda t, f, v: f(square, t.tensor(2.0)),
    "without a vector": lambda t, f, v: f(square, x(t)),
    "with a vector too many": lambda t, f, v: f(square, x(t), (x(t), y(t))),
    "with vectors too many": lambda t, f, v: f(lambda a: (a**2, a), (x(t),), (x(t), y(t), x(t))),
    "with a vector of another size": lambda t, f, v: f(square, x(t), t.ones(2)),
    "with an entry of another size": lambda t, f, v: f(lambda a: (a**2,), (x(t),), (t.ones(2),)),
    "with a graph": lambda t, f, v: f(square, x(t, True), y(t), create_graph=True),
    "without a graph": lambda t, f, v: f(square, x(t, True), y(t)),
    "of a constant": lambda t, f, v: f(lambda a: t.ones(3), x(t), y(t)),
    "strict": lambda t, f, v: f(square, x(t), y(t), strict=True),
    "strict, of a constant": lambda t, f, v: f(lambda a: t.ones(3), x(t), y(t), strict=True),
    "strict, linear": lambda t, f, v: f(lambda a: a * 2, x(t), y(t), strict=True),
    "strict, linear, with a graph": lambda t, f, v: f(
        lambda a: a * 2, x(t, True), y(t), strict=True, create_graph=True
    ),
    "strict, independent": lambda t, f, v: f(
        lambda a, b: a * 2, (x(t), y(t)), y(t) if v else (y(t), x(t)), strict=True
    ),
    "of a number": lambda t, f, v: f(lambda a: 3, x(t), y(t)),
    "by a number": lambda t, f, v: f(lambda a: a, x(t), 3),
    "under no_grad": lambda t, f, v: t.no_grad()(f)(square, x(t), y(t)),
}


@pytest.mark.parametrize("name", ["vjp", "jvp"])
@pytest.mark.parametrize("case", PRODUCTS)
def test_product_with_the_jacobian(case, name):
    check(lambda t, F: PRODUCTS[case](t, getattr(F, name), name == "vjp"))


HESSIAN_PRODUCTS = {
    "of one": lambda t, f: f(cubes, x(t), y(t)),
    "of two": lambda t, f: f(lambda a, b: (a**2 * b).sum(), (x(t), y(t)), (y(t), x(t))),
    "of a single element": lambda t, f: f(square, t.tensor(2.0)),
    "without a vector": lambda t, f: f(cubes, x(t)),
    "of a vector": lambda t, f: f(square, x(t), y(t)),
    "of a tuple": lambda t, f: f(lambda a: (a.sum(), a.sum()), x(t), y(t)),
    "with a graph": lambda t, f: f(cubes, x(t, True), y(t), create_graph=True),
    "of a sum": lambda t, f: f(lambda a: a.sum(), x(t), y(t)),
    "strict": lambda t, f: f(cubes, x(t), y(t), strict=True),
    "strict, of a sum": lambda t, f: f(lambda a: a.sum(), x(t), y(t), strict=True),
    "strict, independent": lambda t, f: f(
        lambda a, b: cubes(a), (x(t), y(t)), (y(t), x(t)), strict=True
    ),
    "independent": lambda t, f: f(lambda a, b: cubes(a), (x(t), y(t)), (y(t), x(t))),
    "with a vector of another size": lambda t, f: f(cubes, x(t), t.ones(2)),
    "of a number": lambda t, f: f(lambda a: 3, x(t), y(t)),
}


@pytest.mark.parametrize("name", ["vhp", "hvp"])
@pytest.mark.parametrize("case", HESSIAN_PRODUCTS)
def test_product_with_the_hessian(case, name):
    check(lambda t, F: HESSIAN_PRODUCTS[case](t, getattr(F, name)))


OPTIONS = {
    "rows of nothing": lambda t, F: F.jacobian(lambda a: a[:0], x(t)),
    "forward without vectorize": lambda t, F: F.jacobian(square, x(t), strategy="forward-mode"),
    "no such strategy": lambda t, F: F.jacobian(square, x(t), strategy="x"),
    "no such strategy of a hessian": lambda t, F: F.hessian(
        cubes, x(t), outer_jacobian_strategy="x"
    ),
    "forward hessian without vectorize": lambda t, F: F.hessian(
        cubes, x(t), outer_jacobian_strategy="forward-mode"
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_do_not_go_together(case):
    check(OPTIONS[case])


@pytest.mark.parametrize("name", ["jacobian", "hessian", "vjp", "jvp", "vhp", "hvp"])
def test_a_result_with_a_graph_is_differentiable(name):
    def call(t, F):
        start = x(t, True)
        vector = () if name in ("jacobian", "hessian") else (y(t),)
        function = square if name in ("jacobian", "vjp", "jvp") else cubes
        result = getattr(F, name)(function, start, *vector, create_graph=True)
        result = result[1] if vector else result
        return t.autograd.grad((result * result).sum(), start)

    check(call)


BATCHED = {
    "rows": lambda t, g, a, eye: g(a**2, a, eye),
    "with a graph": lambda t, g, a, eye: g(a**2, a, eye, create_graph=True),
    "two outputs": lambda t, g, a, eye: g((a**2, a.sum()), a, (eye, t.ones(3))),
    "without a cotangent": lambda t, g, a, eye: g(a.sum(), a),
    "one cotangent of two": lambda t, g, a, eye: g((a**2, a.sum()), a, (eye, None)),
    "batches of two sizes": lambda t, g, a, eye: g((a**2, a.sum()), a, (eye, t.ones(2))),
    "unused": lambda t, g, a, eye: g(a**2, (a, t.ones(2, requires_grad=True)), eye),
    "unused, allowed": lambda t, g, a, eye: g(
        a**2, (a, t.ones(2, requires_grad=True)), eye, allow_unused=True
    ),
    "unused, as zeros": lambda t, g, a, eye: g(
        a**2, (a, t.ones(2, requires_grad=True)), eye, materialize_grads=True
    ),
    "a cotangent that is no batch": lambda t, g, a, eye: g(a**2, a, t.ones(3)),
    "differentiable by the cotangent": lambda t, g, a, eye: g(
        a**2, a, eye.requires_grad_(), create_graph=True
    ),
}


@pytest.mark.parametrize("case", BATCHED)
def test_gradients_for_a_batch_of_cotangents(case):
    def call(t, F):
        eye = t.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        batched = lambda *args, **options: t.autograd.grad(*args, is_grads_batched=True, **options)  # noqa: E731
        return BATCHED[case](t, batched, x(t, True), eye)

    check(call)
