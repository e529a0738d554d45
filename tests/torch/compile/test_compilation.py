"""A compiled function does what the function does: values, gradients, in-place updates, and when it must not compile."""

import numpy as np
import pytest

import funcgrad.torch as torch


class Problem:
    def __init__(self, rows=5, columns=3):
        torch.manual_seed(1)
        self.x, self.y = torch.rand(rows, columns), torch.rand(rows)
        self.w = torch.rand(columns, requires_grad=True)
        self.steps = torch.zeros(1)
        self.optimizer = None

    def step(self, rate=0.1, clear=True):
        loss = ((self.x @ self.w - self.y) ** 2).mean()
        loss.backward()
        self.w.data -= rate * self.w.grad
        if clear:
            self.w.grad = None
        with torch.no_grad():
            self.steps += 1
        return loss

    def optimized(self):
        self.optimizer.zero_grad()
        loss = ((self.x @ self.w - self.y) ** 2).mean()
        loss.backward()
        self.optimizer.step()
        return loss


def both(calls, make, count=8):
    """The losses, weights and step counts of `count` calls, compiled and as they are."""
    outcomes = []
    for compiled in (True, False):
        problem = Problem()
        function = make(problem)
        if compiled:
            function = torch.compile(function)
        losses = [calls(function, k).item() for k in range(count)]
        outcomes.append((losses, problem.w.detach().numpy(), problem.steps.item(), problem.w.grad))
        if compiled:
            kept = function
    return kept, *outcomes


def assert_ends_alike(mine, expected):
    np.testing.assert_allclose(mine[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(mine[1], expected[1], rtol=1e-5)
    assert mine[2] == expected[2]
    assert (mine[3] is None) == (expected[3] is None)
    if mine[3] is not None:
        np.testing.assert_allclose(mine[3].numpy(), expected[3].numpy(), rtol=1e-4, atol=1e-6)


def test_a_step_that_reads_and_changes_tensors_around_it():
    function, mine, expected = both(lambda f, k: f(), lambda problem: problem.step)
    assert_ends_alike(mine, expected)
    assert function.why is None


def test_python_does_not_run_once_it_is_compiled():
    problem, calls = Problem(), []

    def step():
        calls.append(1)
        return problem.step()

    compiled = torch.compile(step)
    for _ in range(3):
        compiled()
    settled = len(calls)
    for _ in range(10):
        compiled()
    assert len(calls) == settled
    assert problem.steps.item() == 13


def test_gradients_that_are_not_cleared_accumulate():
    function, mine, expected = both(
        lambda f, k: f(), lambda problem: lambda: problem.step(0.01, clear=False)
    )
    assert_ends_alike(mine, expected)
    assert function.why is None


def test_a_number_among_the_arguments_is_not_frozen():
    function, mine, expected = both(
        lambda f, k: f(0.1 if k < 6 else 0.2), lambda problem: problem.step, count=12
    )
    assert_ends_alike(mine, expected)
    assert function.why is None


def test_a_number_in_the_closure_is_not_frozen():
    def make(problem):
        rate = 0.1

        def step():
            return problem.step(rate)

        def slower():
            nonlocal rate
            rate = 0.01

        step.slower = slower
        return step

    def calls(function, k):
        if k == 6:
            function.slower()
        return function()

    function, mine, expected = both(calls, make, count=12)
    assert_ends_alike(mine, expected)
    assert function.why is None


def test_numbers_that_are_equal_and_not_the_same_are_told_apart():
    scaled = torch.compile(lambda t, factor: t * factor)
    counts = torch.tensor([1, 2])
    for factor in (2, 2.0, True, 0.0, -0.0, float("nan")):
        for _ in range(4):
            mine, expected = scaled(counts, factor), counts * factor
            assert (mine.dtype, repr(mine)) == (expected.dtype, repr(expected))


def test_an_argument_that_no_program_can_be_found_by_runs_as_it_is():
    def scaled(t, factors):
        return t * torch.tensor(factors)

    compiled, factors = torch.compile(scaled), np.ones(2)
    for _ in range(4):
        factors *= 2
        assert compiled(torch.ones(2), factors).tolist() == factors.tolist()
    assert "numpy.ndarray" in compiled.why
    with pytest.raises(RuntimeError, match="cannot be compiled: it takes an argument of unhash"):
        torch.compile(scaled, fullgraph=True)(torch.ones(2), factors)


def test_tensors_among_the_arguments():
    torch.manual_seed(5)
    batches = [(torch.rand(5, 3), torch.rand(5)) for _ in range(10)]
    ends = []
    for wrap in (torch.compile, lambda f: f):
        w = torch.ones(3, requires_grad=True)

        def step(x, y, w=w):
            loss = ((x @ w - y) ** 2).mean()
            loss.backward()
            w.data -= 0.1 * w.grad
            w.grad = None
            return loss

        function = wrap(step)
        ends.append([function(x, y).item() for x, y in batches] + w.tolist())
        assert getattr(function, "why", None) is None
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5)


@pytest.mark.parametrize(("name", "compiles"), [("SGD", True), ("Adam", False)])
def test_optimizers(name, compiles):
    def make(problem):
        options = {"lr": 0.05, "momentum": 0.9} if name == "SGD" else {"lr": 0.05}
        problem.optimizer = getattr(torch.optim, name)([problem.w], **options)
        return problem.optimized

    function, mine, expected = both(lambda f, k: f(), make, count=12)
    assert_ends_alike(mine, expected)
    # Adam's bias correction is a Python number that changes with every step.
    assert (function.why is None) == compiles


def test_other_shapes_are_traced_anew():
    double = torch.compile(lambda t: t * 2)
    for size in (2, 3):
        for _ in range(4):
            assert double(torch.ones(size)).tolist() == [2.0] * size


def test_a_captured_tensor_may_be_replaced_by_another():
    problem = Problem()
    compiled = torch.compile(problem.step)
    for _ in range(5):
        compiled()
    assert compiled.why is None
    problem.x, problem.y = torch.ones(7, 3), torch.ones(7) * 2
    problem.w.data = torch.zeros(3)
    assert compiled().item() == 4.0
    problem.w = torch.ones(3, requires_grad=True)
    assert compiled().item() == 1.0


def test_a_captured_tensor_may_be_given_other_elements_through_data():
    problem = Problem()
    compiled = torch.compile(problem.step)
    for _ in range(5):
        compiled()
    for k in range(3):
        problem.w.data = torch.zeros(3)
        assert compiled(rate=0.1 * k).item() == pytest.approx((problem.y**2).mean().item())
        assert (problem.w.abs().sum() > 0).item() == (k > 0)


@pytest.mark.parametrize("layout", ["one", "pair", "nested"])
def test_results_come_back_in_the_function_s_own_layout(layout):
    w = torch.ones(3)

    @torch.compile
    def function(x, exponent):
        a, b = x + w, x**exponent
        return {"one": a, "pair": (a, b), "nested": {"a": [a, None], "b": (b, "text", 3)}}[layout]

    for k in range(6):
        x = torch.ones(3) * k
        a, b = [1.0 + k] * 3, [float(k) ** 2] * 3
        out = function(x, 2)
        if layout == "one":
            assert out.tolist() == a
        elif layout == "pair":
            assert [each.tolist() for each in out] == [a, b]
        else:
            assert (out["a"][0].tolist(), out["b"][0].tolist()) == (a, b)
            assert (out["a"][1], *out["b"][1:]) == (None, "text", 3)
    assert function.why is None


def test_two_arguments_that_share_their_elements_both_change():
    @torch.compile
    def function(a, b):
        a += 1
        return a + b

    a, b = torch.zeros(2), torch.zeros(2)
    for k in range(4):
        assert function(a, b).tolist() == [k + 1.0] * 2
    alias = a.detach()
    for k in range(4):
        assert function(a, alias).tolist() == [2.0 * (k + 5)] * 2
    assert (alias.tolist(), b.tolist()) == ([8.0] * 2, [0.0] * 2)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda w: w * w.sum().item(), "looks at a tensor's value"),
        (lambda w: w * torch.rand(3), "draws random numbers"),
        (lambda w: w * 2, "requires grad"),
    ],
)
def test_what_cannot_be_compiled_runs_as_it_is_and_says_why(function, why):
    w = torch.ones(3, requires_grad=True)
    compiled = torch.compile(function)
    for _ in range(8):
        result = compiled(w)
        assert result.requires_grad
        result.sum().backward()
    assert why in compiled.why
    full = torch.compile(function, fullgraph=True)

    def call_until_it_is_traced():
        for _ in range(8):
            full(w)

    with pytest.raises(RuntimeError, match="cannot be compiled: it"):
        call_until_it_is_traced()


def test_without_grad_any_function_compiles():
    w = torch.ones(3, requires_grad=True)

    @torch.compile(fullgraph=True)
    def predict(x):
        with torch.no_grad():
            return {"mean": (x @ w).mean(), "rows": 4}

    for k in range(5):
        out = predict(torch.ones(4, 3) * k)
        assert out["mean"].item() == 3.0 * k
        assert out["rows"] == 4
    assert predict.why is None


def test_an_error_leaves_everything_as_it_was():
    problem = Problem()

    def step(fail):
        loss = problem.step()
        if fail:
            raise KeyError("mine")
        return loss

    compiled = torch.compile(step)
    for _ in range(4):
        compiled(False)
    with pytest.raises(KeyError, match="mine"):
        compiled(True)
    assert problem.steps.item() == 5
    assert compiled(False).item() > 0


def test_code_can_ask_whether_it_is_compiled():
    seen = []

    @torch.compile
    def step(x):
        seen.append(torch.compiler.is_compiling())
        return x * 2

    assert torch.compiler.disable(lambda x: x + 1)(1) == 2
    assert torch.compiler.disable()(abs) is abs
    assert step(torch.ones(2)).tolist() == [2.0, 2.0]
    assert seen == [True]
    assert not torch.compiler.is_compiling()
    assert not torch.cuda._initialized


def test_tensors_in_another_order_in_memory_are_read_from_outside():
    def losses(compile):
        torch.manual_seed(0)
        w = torch.rand(2, 3, 2, 2).to(memory_format=torch.channels_last).requires_grad_()
        x = torch.rand(1, 3, 3, 3).to(memory_format=torch.channels_last)

        def step():
            loss = torch.nn.functional.conv2d(x, w).square().mean()
            loss.backward()
            w.data -= 0.1 * w.grad
            w.grad = None
            return loss

        call = torch.compile(step) if compile else step
        found = [call().item() for _ in range(6)]
        x.mul_(2)
        return [*found, call().item(), call().item()]

    np.testing.assert_allclose(losses(True), losses(False), rtol=1e-5)
