"""`torch.utils.checkpoint` next to PyTorch: both variants, what is run again, random numbers, and what is not the same."""

import contextlib
import gc
import weakref

import pytest

from funcgrad.torch.utils import checkpoint as our_checkpoint
from tests.both_sides import SIDES, assert_same, attempt, ours

VARIANTS = [pytest.param(False, id="without reentry"), pytest.param(True, id="reentrant")]


def check(call):
    """The same results; or the same error, by its first line and without what PyTorch alone knows."""

    def program(torch, see):
        result = attempt(call, torch, torch.utils.checkpoint)
        if isinstance(result, Exception):
            see(type(result).__name__, first_line(str(result)))
        else:
            see(result)

    assert_same(program)


def first_line(words):
    return (
        words.split("\n")[0]
        .replace(", which is output 0 of MulBackward0", "")
        .replace(", which is output 0 of Mul,", "")
    )


def x(t):
    return t.tensor([1.0, 2.0, 3.0], dtype=t.float64, requires_grad=True)


class Counted:
    """A function that counts its runs."""

    def __init__(self):
        self.runs = 0

    def __call__(self, a, b=2.0):
        self.runs += 1
        return ((a * b).sin() * a).exp()


@pytest.mark.parametrize("reentrant", VARIANTS)
def test_values_and_gradients_are_those_of_the_function(reentrant):
    def call(t, c):
        start, function = x(t), Counted()
        output = c.checkpoint(function, start, use_reentrant=reentrant)
        output.sum().backward()
        plain = x(t)
        Counted()(plain).sum().backward()
        assert start.grad.tolist() == pytest.approx(plain.grad.tolist())
        return output, start.grad, function.runs

    check(call)


@pytest.mark.parametrize("reentrant", VARIANTS)
def test_each_walk_runs_it_again(reentrant):
    def call(t, c):
        function, start = Counted(), x(t)
        loss = c.checkpoint(function, start, use_reentrant=reentrant).sum()
        loss.backward(retain_graph=True)
        loss.backward()
        return function.runs, start.grad

    check(call)


def a_walk_too_many(t, c, reentrant):
    loss = c.checkpoint(Counted(), x(t), use_reentrant=reentrant).sum()
    loss.backward()
    loss.backward()


def changed_between(t, c, reentrant):
    y = x(t) * 2
    output = c.checkpoint(Counted(), y, use_reentrant=reentrant)
    with t.no_grad():
        y.add_(1)
    output.sum().backward()


def nested(t, c, reentrant):
    start = x(t)
    inner = lambda a: c.checkpoint(Counted(), a, use_reentrant=reentrant) * a  # noqa: E731
    c.checkpoint(inner, start, use_reentrant=reentrant).sum().backward()
    return start.grad


def several_outputs(t, c, reentrant, both=True):
    start = x(t)
    a, b = c.checkpoint(lambda a: (a * a, a.sin()), start, use_reentrant=reentrant)
    (a.sum() + b.sum() if both else a.sum()).backward()
    return start.grad


def failing(a):
    raise ZeroDivisionError("in the function")


def without_grad(t, c, reentrant):
    with t.no_grad():
        return c.checkpoint(Counted(), x(t), use_reentrant=reentrant)


def with_inputs(t, c, reentrant):
    start = x(t)
    c.checkpoint(Counted(), start, use_reentrant=reentrant).sum().backward(inputs=[start])
    return start.grad


def with_random_numbers(t, c, reentrant, preserve=True):
    t.manual_seed(0)
    start = x(t)
    output = c.checkpoint(
        lambda a: a * t.rand(3) * a, start, use_reentrant=reentrant, preserve_rng_state=preserve
    )
    after = t.rand(1)
    output.sum().backward()
    return output, start.grad, after, t.rand(1)


CASES = {
    "a keyword": lambda t, c, r: c.checkpoint(Counted(), x(t), use_reentrant=r, b=3.0),
    "autograd.grad": lambda t, c, r: grad_of(t, c.checkpoint, use_reentrant=r),
    "backward(inputs=...)": with_inputs,
    "no input that requires grad": lambda t, c, r: c.checkpoint(
        Counted(), x(t).detach(), use_reentrant=r
    ),
    "a walk too many": a_walk_too_many,
    "an input changed before the walk": changed_between,
    "nested": nested,
    "two outputs": several_outputs,
    "one of two outputs": lambda t, c, r: several_outputs(t, c, r, both=False),
    "an error inside": lambda t, c, r: c.checkpoint(failing, x(t), use_reentrant=r),
    "under no_grad": without_grad,
    "an output that is detached": lambda t, c, r: (
        c.checkpoint(lambda a: a.detach(), x(t), use_reentrant=r).sum().backward()
    ),
    "random numbers": with_random_numbers,
    "random numbers, not preserved": lambda t, c, r: with_random_numbers(t, c, r, preserve=False),
    "a context": lambda t, c, r: c.checkpoint(
        Counted(), x(t), use_reentrant=r, context_fn=lambda: (contextlib.nullcontext(),) * 2
    ),
    "debug": lambda t, c, r: c.checkpoint(Counted(), x(t), use_reentrant=r, debug=True),
    "inside torch.func.grad": lambda t, c, r: t.func.grad(
        lambda a: c.checkpoint(Counted(), a, use_reentrant=r).sum()
    )(x(t)),
}


def grad_of(t, checkpoint, **options):
    start = x(t)
    return t.autograd.grad(checkpoint(Counted(), start, **options).sum(), start)


@pytest.mark.parametrize("reentrant", VARIANTS)
@pytest.mark.parametrize("case", CASES)
def test_both_variants_do_what_pytorchs_do(case, reentrant):
    check(lambda t, c: CASES[case](t, c, reentrant))


def test_gradients_of_gradients_go_through():
    def call(t, c):
        start = x(t)
        output = c.checkpoint(Counted(), start, use_reentrant=False)
        (slope,) = t.autograd.grad(output.sum(), start, create_graph=True)
        return slope, t.autograd.grad(slope.sum(), start)

    check(call)


class Changing:
    """A function that does something else when it is run again."""

    def __init__(self, first, again):
        self.functions = [first, again]

    def __call__(self, a):
        return self.functions.pop(0)(a)


def again(first, second, **options):
    def call(t, c):
        c.checkpoint(Changing(first, second), x(t), use_reentrant=False, **options).sum().backward()

    return call


DIFFERENT = {
    "fewer": again(lambda a: a.sin().sin().exp(), lambda a: a.sin().exp()),
    "more, stopped early": again(lambda a: a.sin().exp(), lambda a: a.sin().exp().sin()),
    "more": again(lambda a: a.sin().exp(), lambda a: a.sin().exp().sin(), early_stop=False),
    "another shape": again(lambda a: a.sin(), lambda a: a.sum().sin()),
    "another dtype": again(lambda a: a.sin(), lambda a: a.double().sin()),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_a_function_that_does_something_else_again_is_found_out(case):
    check(DIFFERENT[case])


def test_complaints_list_what_was_saved_if_asked():
    call = again(lambda a: a.sin().sin(), lambda a: a.sin(), debug=True)
    with pytest.raises(our_checkpoint.CheckpointError, match="Saved during the original forward"):
        call(ours, our_checkpoint)
    with (
        our_checkpoint.set_checkpoint_debug_enabled(True),
        pytest.raises(our_checkpoint.CheckpointError, match="Saved during recomputation"),
    ):
        again(lambda a: a.sin().sin(), lambda a: a.sin())(ours, our_checkpoint)


def events_of(t, c, **options):
    events = []

    def function(a):
        a = a.sin()
        events.append("needed")
        a = a + 1
        events.append("not needed")
        return a

    c.checkpoint(function, x(t), use_reentrant=False, **options).sum().backward()
    return events


def with_early_stop_set(t, c, enable):
    with c.set_checkpoint_early_stop(enable):
        return events_of(t, c), events_of(t, c, early_stop=not enable)


STOPS = {
    "by default": lambda t, c: events_of(t, c),
    "not": lambda t, c: events_of(t, c, early_stop=False),
    "set off": lambda t, c: with_early_stop_set(t, c, False),
    "set on": lambda t, c: with_early_stop_set(t, c, True),
}


@pytest.mark.parametrize("case", STOPS)
def test_running_again_stops_as_soon_as_all_is_there(case):
    check(STOPS[case])


def test_contexts_are_entered_in_each_run():
    def call(t, c):
        events = []

        @contextlib.contextmanager
        def context(name):
            events.append(f"{name} begins")
            try:
                yield
            finally:
                events.append(f"{name} ends")

        c.checkpoint(
            Counted(),
            x(t),
            use_reentrant=False,
            context_fn=lambda: (context("first"), context("again")),
        ).sum().backward()
        return events

    check(call)


def test_a_context_that_swallows_the_error_is_refused():
    check(
        lambda t, c: c.checkpoint(
            failing,
            x(t),
            use_reentrant=False,
            context_fn=lambda: (contextlib.suppress(Exception), contextlib.nullcontext()),
        )
    )


def three_steps(t):
    return [t.sin, t.exp, lambda a: a * a, t.cos]


@pytest.mark.parametrize("segments", [1, 2, 3, 4])
@pytest.mark.parametrize("reentrant", VARIANTS)
def test_functions_in_segments(segments, reentrant):
    def call(t, c):
        start = x(t)
        output = c.checkpoint_sequential(three_steps(t), segments, start, use_reentrant=reentrant)
        output.sum().backward()
        return output, start.grad

    check(call)


OPTIONS = {
    "an unknown determinism_check": lambda t, c: c.checkpoint(
        Counted(), x(t), use_reentrant=False, determinism_check="x"
    ),
    "debug and a context": lambda t, c: c.checkpoint(
        Counted(),
        x(t),
        use_reentrant=False,
        debug=True,
        context_fn=lambda: (contextlib.nullcontext(),) * 2,
    ),
    "an unknown keyword of a sequence": lambda t, c: c.checkpoint_sequential(
        three_steps(t), 2, x(t), use_reentrant=False, other=1
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_are_refused(case):
    check(OPTIONS[case])


@pytest.mark.parametrize("name", ["checkpoint", "checkpoint_sequential"])
def test_a_variant_has_to_be_named(name):
    for t in SIDES:
        c = t.utils.checkpoint
        arguments = {
            "checkpoint": (Counted(), x(t)),
            "checkpoint_sequential": (three_steps(t), 2, x(t)),
        }[name]
        with pytest.warns(UserWarning, match="use_reentrant parameter should be passed explicitly"):
            getattr(c, name)(*arguments)


def test_without_a_gradient_the_older_variant_warns():
    for t in SIDES:
        c = t.utils.checkpoint
        with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
            c.checkpoint(Counted(), x(t).detach(), use_reentrant=True)


@pytest.mark.parametrize("reentrant", VARIANTS)
def test_what_is_computed_again_is_not_kept(reentrant):
    kept = []

    def function(a):
        middle = a.sin()
        kept.append(weakref.ref(middle._storage.value))
        return middle.exp().sin()

    # Where JAX traces an op for the first time, frames of it stay until they are collected.
    function(x(ours)).sum().backward()
    gc.collect()
    gc.disable()
    try:
        start = x(ours)
        output = our_checkpoint.checkpoint(function, start, use_reentrant=reentrant)
        output.tolist()
        assert kept[1]() is None
        plain = function(start)
        plain.tolist()
        assert kept[2]() is not None
        node = weakref.ref(output.grad_fn)
        del output
        assert node() is None
    finally:
        gc.enable()


def test_hooks_outside_get_the_arguments_alone():
    def call(t, c):
        events, start = [], x(t)

        def pack(tensor):
            events.append(("pack", tuple(tensor.shape)))
            return tensor

        def unpack(tensor):
            events.append(("unpack", tuple(tensor.shape)))
            return tensor

        with t.autograd.graph.saved_tensors_hooks(pack, unpack):
            output = c.checkpoint(Counted(), start, start[:2].sum(), use_reentrant=False)
        output.sum().backward()
        return events, start.grad

    check(call)


def test_an_argument_of_a_call_inside_another_is_not_kept():
    for t in SIDES:
        c = t.utils.checkpoint
        arguments = []

        def outer(a, c=c, arguments=arguments):
            inside = a.cos()
            arguments.append(weakref.ref(inside))
            return c.checkpoint(Counted(), inside, use_reentrant=False) * a

        output = c.checkpoint(outer, x(t), use_reentrant=False)
        gc.collect()  # an op's first call may leave frames in a cycle; the graph of `output` stays alive
        assert [argument() for argument in arguments] == [None]
        output.sum().backward()


def test_an_argument_may_be_a_dual_tensor():
    def call(t, c):
        forward_ad = t.autograd.forward_ad
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(x(t).detach(), t.ones(3, dtype=t.float64))
            return tuple(forward_ad.unpack_dual(c.checkpoint(Counted(), dual, use_reentrant=False)))

    check(call)
