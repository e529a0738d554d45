"""The inputs of the tests of `torch.func`, on both sides."""

from tests.both_sides import assert_same, result_of


def check(call):
    assert_same(result_of(call, "func"))


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


def cube_sum(x):
    return (x**3).sum()
