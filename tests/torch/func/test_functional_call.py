"""`functional_call` and its kin next to PyTorch's."""

import contextlib
from types import SimpleNamespace

import pytest

import funcgrad.torch as ours
import funcgrad.torch.func as our_func
from tests.torch.func.samples import (
    check,
    matrix,
    vector,
)


class Line:
    """A class with the interface of a module that `functional_call` uses."""

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
    "an attribute that is not there": lambda t, f, m: f.functional_call(
        m, {"other": t.ones(1), "inner.third": t.ones(2)}, matrix(t)
    ),
    "a submodule that is not there": lambda t, f, m: f.functional_call(
        m, {"third.bias": t.ones(1)}, matrix(t)
    ),
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
        with contextlib.suppress(ValueError, RuntimeError, AttributeError):
            CALLS[case](t, f, module)
        assert module.weight.tolist() == [1.0, 1.0, 1.0]
        assert not hasattr(module, "other")
        assert not hasattr(module.inner, "third")
        return CALLS[case](t, f, module)

    check(call)


def test_functional_call_with_a_value_that_is_no_tensor():
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
