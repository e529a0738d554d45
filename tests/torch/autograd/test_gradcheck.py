"""gradcheck: on every op of the tables as the proof of its derivatives, and next to PyTorch on functions that are wrong."""

import re

import numpy as np
import pytest

from funcgrad import engine
from funcgrad.torch._ops.row import BOOL
from tests.both_sides import SIDES, assert_same, attempt, ours, theirs
from tests.torch.ops.tables import (
    ABOVE_ONE,
    BETWEEN_ZERO_AND_ONE,
    BINARY,
    REDUCTIONS,
    UNARY,
    called,
)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _eager():
    """Code that runs a few times only is not worth compiling."""
    with engine.mode("eager"):
        yield


def elements(name, *shape, seed=0):
    """Random elements of an op's domain, away from its kinks."""
    made = np.random.default_rng(seed).uniform(0.15, 0.85, shape)
    if name in ABOVE_ONE:
        return made + 1
    return made if name in BETWEEN_ZERO_AND_ONE else made * np.where(made > 0.5, 2, -2)


def leaf(name, *shape, seed=0, dtype=None):
    return ours.tensor(elements(name, *shape, seed=seed), dtype=dtype, requires_grad=True)


def assert_right(function, *inputs, forward_over_reverse=True):
    """First derivatives in both modes, and second ones, by differences."""
    assert ours.autograd.gradcheck(function, inputs, check_forward_ad=True)
    # Nothing depends on a derivative that is constant.
    outputs = function(*inputs)
    outputs = [each.sum() for each in (outputs if isinstance(outputs, tuple) else (outputs,))]
    gradients = ours.autograd.grad(outputs, inputs, create_graph=True, materialize_grads=True)
    if any(each.requires_grad for each in gradients):
        # Projected, since each walk over a graph of a graph takes its time.
        assert ours.autograd.gradgradcheck(
            function, inputs, check_fwd_over_rev=forward_over_reverse, fast_mode=True
        )


DIFFERENTIABLE = [row for row in UNARY if row.dtype != BOOL]
TWO = [row for row in BINARY if row.dtype != BOOL]


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=lambda row: row.name)
def test_derivatives_of_unary_ops(row):
    assert_right(called(ours, row.name), leaf(row.name, 2), forward_over_reverse=False)


@pytest.mark.parametrize("row", TWO, ids=lambda row: row.name)
def test_derivatives_of_binary_ops(row):
    assert_right(called(ours, row.name), leaf("", 2, 1), leaf(row.name, 2, seed=1))


REDUCED = [
    pytest.param(row, dim, id=f"{row.name}-{dim}")
    for row in REDUCTIONS
    for dim in (None, 0)
    if row.dtype != BOOL and (row.name, dim) != ("logsumexp", None)
]


@pytest.mark.parametrize(("row", "dim"), REDUCED)
def test_derivatives_of_reductions(row, dim):
    options = {} if dim is None else {"dim": dim}
    assert_right(
        lambda x: getattr(ours, row.name)(x, **options), leaf("", 2, 3), forward_over_reverse=False
    )


FUNCTIONS = {
    "a power": lambda x, y: x**3,
    "a power by a tensor": lambda x, y: (x * x) ** y,
    "a power of a number": lambda x, y: 2.5**x,
    "a vector product": lambda x, y: x @ y,
    "a matrix product": lambda x, y: x.reshape(2, 1) @ y.reshape(1, 2),
    "a copy": lambda x, y: x.clone(),
    "in place": lambda x, y: (x * y).mul_(x).add_(y).exp_(),
    "parts": lambda x, y: x[0] * y[1:],
    "in place on parts": lambda x, y: in_parts(x, y),
    "several outputs": lambda x, y: (x * y, x.sum(), y * y),
    "a broadcast": lambda x, y: x.reshape(2, 1) * y.expand(3, 2).sum(0),
}


def in_parts(x, y):
    made = x * y
    made[0] = y[1] * y[1]
    made[1:] *= x[:1]
    return made


@pytest.mark.parametrize("case", FUNCTIONS)
def test_derivatives_of_programs(case):
    assert_right(FUNCTIONS[case], leaf("", 2), leaf("", 2, seed=1))


COMPLEX = {
    "a product": lambda z: z * z * (2 - 1j),
    "a quotient": lambda z: z / (z + 1j),
    "of complex and real": lambda z: (z.abs(), z * z),
    "the size": lambda z: z.abs() ** 2,
    "exp": lambda z: z.exp(),
    "a sum": lambda z: z.sum() * z,
}


@pytest.mark.parametrize("case", COMPLEX)
def test_complex_derivatives(case):
    z = ours.tensor(np.array([0.5 + 1j, -1.5 - 0.25j]), requires_grad=True)
    assert ours.autograd.gradcheck(COMPLEX[case], z, check_forward_ad=True)
    assert ours.autograd.gradgradcheck(COMPLEX[case], z, fast_mode=True)


@pytest.mark.parametrize("fast_mode", [False, True], ids=["whole", "projected"])
def test_every_option_on_a_right_function(fast_mode):
    x, y = leaf("", 3), leaf("", 3, seed=1)
    options = {"fast_mode": fast_mode, "check_batched_grad": True, "check_grad_dtypes": True}
    assert ours.autograd.gradcheck(
        lambda x, y: (x.sin() * y, x.sum()),
        (x, y),
        check_forward_ad=True,
        check_batched_forward_grad=True,
        **options,
    )
    assert ours.autograd.gradgradcheck(
        lambda x, y: x.sin() * y, (x, y), check_fwd_over_rev=True, **options
    )


# ------------------------------------------------------------------------ next to PyTorch, on what is wrong


def function_of(t, forward, backward):
    """A custom function with this derivative."""

    class Custom(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return forward(x)

    Custom.backward = staticmethod(lambda ctx, g: backward(t, g, *ctx.saved_tensors))
    return Custom.apply


counter = []


def unsteady(t, g, x):
    counter.append(0)
    return g * 2 * x + 1e-3 * (len(counter) % 2)


WRONG = {
    "right": lambda t: function_of(t, lambda x: x * x, lambda t, g, x: 2 * g * x),
    "a wrong factor": lambda t: function_of(t, lambda x: x * x, lambda t, g, x: 3 * g * x),
    "not multiplied": lambda t: function_of(t, lambda x: x * 2, lambda t, g, x: g * 0 + 2),
    "no gradient": lambda t: lambda x: x.detach() * 3,
    "no gradient of a constant": lambda t: lambda x: t.ones(2, dtype=t.float64),
    "one of two outputs": lambda t: lambda x: (x * x, x.detach() * 0),
    "unsteady": lambda t: function_of(t, lambda x: x * x, unsteady),
    "a gradient that does not take undefined": lambda t: strict_of(t),
    "complex outputs": lambda t: lambda x: x * x * 1j,
    "a wrong complex output": lambda t: function_of(
        t, lambda x: x * (1 + 2j), lambda t, g, x: (g * (1 + 2j)).abs()
    ),
}


def strict_of(t):
    class Strict(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            if g is None:
                raise RuntimeError("no gradient")
            return g * 2

    return Strict.apply


OPTIONS = {
    "whole": {},
    "projected": {"fast_mode": True},
    "batched": {"check_batched_grad": True, "check_undefined_grad": False},
    "returned": {"raise_exception": False},
    "tolerant": {"nondet_tol": 1.0, "atol": 1e-2},
}


def gist_of(call):
    """A program that sees what a call returns, or its error's type and the beginning of its words, without numbers."""

    def program(torch, see):
        result = attempt(call, torch)
        if isinstance(result, Exception):
            first = str(result).strip().split("\n")[0].split("While this", 1)[0]
            see(type(result).__name__, re.sub(r"-?\d+\.\d+(e-?\d+)?", "#", first)[:200])
        else:
            see(result)

    return program


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_found_as_pytorch_finds_it(case, options):
    def call(t):
        x = t.tensor([0.5, -1.5], dtype=t.float64, requires_grad=True)
        counter.clear()
        return t.autograd.gradcheck(WRONG[case](t), x, **OPTIONS[options])

    assert_same(gist_of(call))


def wrong_twice(t):
    """Right once, wrong differentiated again."""

    class Once(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * (x * x.detach())

    return Once.apply


TWICE = {
    "right": lambda t: lambda x: x**3,
    "wrong": wrong_twice,
    "linear": lambda t: lambda x: x * 2,
}


@pytest.mark.parametrize("case", TWICE)
@pytest.mark.parametrize("fast_mode", [False, True])
def test_gradients_of_gradients_are_checked_as_pytorch_does(case, fast_mode):
    def call(t):
        t.manual_seed(0)
        x = t.tensor([0.5, -1.5], dtype=t.float64, requires_grad=True)
        return t.autograd.gradgradcheck(TWICE[case](t), x, fast_mode=fast_mode)

    assert_same(gist_of(call))


BAD_INPUT = {
    "nothing requires grad": lambda t, x: t.autograd.gradcheck(lambda x: x * 2, x.detach()),
    "no mode": lambda t, x: t.autograd.gradcheck(lambda x: x, x, check_backward_ad=False),
    "batched without backward": lambda t, x: t.autograd.gradcheck(
        lambda x: x, x, check_batched_grad=True, check_backward_ad=False, check_forward_ad=True
    ),
    "batched tangents without forward": lambda t, x: t.autograd.gradcheck(
        lambda x: x, x, check_batched_forward_grad=True
    ),
    "no mode, twice": lambda t, x: t.autograd.gradgradcheck(
        lambda x: x, x, check_rev_over_rev=False
    ),
    "undefined without backward, twice": lambda t, x: t.autograd.gradgradcheck(
        lambda x: x, x, check_rev_over_rev=False, check_fwd_over_rev=True
    ),
    "an expanded input": lambda t, x: t.autograd.gradcheck(
        lambda x: x, t.ones(1, dtype=t.float64).expand(3).requires_grad_()
    ),
    "outputs that change shape": lambda t, x: t.autograd.gradcheck(
        lambda x: x[: 1 + int(x.sum() > -1)], x
    ),
    "float32": lambda t, x: t.autograd.gradcheck(
        lambda x: x * 2, t.ones(2, requires_grad=True), atol=10.0
    ),
    "a bool output": lambda t, x: t.autograd.gradcheck(lambda x: (x * x, x > 0), x),
    "a negative tolerance": lambda t, x: t.autograd.gradcheck(lambda x: x, x, rtol=-1.0),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_refused_as_pytorch_does(case):
    def call(t):
        return BAD_INPUT[case](t, t.tensor([0.5, -1.5], dtype=t.float64, requires_grad=True))

    assert_same(gist_of(call))


EMPTY = {
    "an input without elements": lambda t, x: (lambda x: x * x, x[:0].detach().requires_grad_()),
    "an output without elements": lambda t, x: (lambda x: x[:0], x),
}


@pytest.mark.parametrize("fast_mode", [False, True], ids=["whole", "projected"])
@pytest.mark.parametrize("case", EMPTY)
def test_nothing_to_check_is_right(case, fast_mode):
    def call(t):
        x = t.tensor([0.5, -1.5], dtype=t.float64, requires_grad=True)
        return t.autograd.gradcheck(
            *EMPTY[case](t, x), check_forward_ad=True, check_batched_grad=True, fast_mode=fast_mode
        )

    assert call(ours) is call(theirs) is True


def test_a_wrong_tangent_is_shown_whole_as_well_where_a_projection_was_checked():
    def call(t):
        class Custom(t.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def jvp(ctx, tangent):
                return tangent * 3

        t.manual_seed(0)
        x = t.tensor([0.5, -1.5], dtype=t.float64, requires_grad=True)
        t.autograd.gradcheck(
            Custom.apply, x, fast_mode=True, check_forward_ad=True, check_backward_ad=False
        )

    mine, reference = (str(attempt(call, torch)) for torch in SIDES)
    assert mine == reference.replace(", grad_fn=<CopySlices>", "")
    assert "Below, we recompute numerical and analytical jacobians in slow mode" in mine


def test_float32_is_warned_of():
    for t in SIDES:
        with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double"):
            t.autograd.gradcheck(lambda x: x * 2, t.ones(2, requires_grad=True), atol=10.0)


def test_inputs_are_left_as_they_were():
    x = leaf("", 2)
    before = x.tolist(), x._version
    ours.autograd.gradcheck(lambda x: x.sin(), x)
    assert (x.tolist(), x._version) == before
    assert x.grad is None


def test_the_error_is_importable_as_in_pytorch():
    from funcgrad.torch.autograd._checking.common import GradcheckError

    assert issubclass(GradcheckError, RuntimeError)
