"""Walks inside walks: functions and hooks that call `backward()` while a walk is under way, as deep as they like."""

import threading

import jax
import pytest

import funcgrad
import funcgrad.torch as torch
from tests.both_sides import assert_same

DEPTH = 500


def by_functions(torch, depth):
    class Countdown(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            with torch.enable_grad():
                ctx.x = x.detach().requires_grad_() - 1
            return ctx.x.detach()

        @staticmethod
        def backward(ctx, gradient):
            if ctx.x > 0:
                with torch.enable_grad():
                    Countdown.apply(ctx.x).sum().backward()
            return gradient

    x = torch.tensor(float(depth), requires_grad=True)
    Countdown.apply(x).backward()
    return x.grad


def by_hooks(torch, depth):
    x = torch.ones(1, requires_grad=True)

    def countdown(left):
        with torch.enable_grad():
            y = x * 2
            if left:
                y.register_hook(lambda _: countdown(left - 1))
            y.backward()

    countdown(depth)
    return x.grad


@pytest.mark.parametrize("program", [by_functions, by_hooks])
def test_no_recursion_limit_decides(program):
    assert_same(lambda torch, see: see(program(torch, DEPTH)))


def from_deep_inside(look, depth=60):
    """The result of a function that a hook calls, in so many walks inside one another."""
    found = []
    x = torch.ones(1, requires_grad=True)

    def countdown(left):
        with torch.enable_grad():
            y = x * 2
            y.register_hook(lambda _: countdown(left - 1) if left else found.append(look()))
            y.backward()

    countdown(depth)
    return found[0]


def test_a_deep_walk_has_the_state_of_the_thread_that_began_it():
    packed = []

    def pack(tensor):
        packed.append(tensor.shape)
        return tensor

    def look():
        packed.clear()
        with torch.enable_grad():
            torch.ones(3, requires_grad=True).exp()
        return packed

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        assert from_deep_inside(look) == [(3,)]


def test_what_fails_in_a_deep_walk_is_raised_where_the_walk_was_asked_for():
    def fail():
        raise LookupError("deep inside")

    with pytest.raises(LookupError, match="deep inside"):
        from_deep_inside(fail)
    assert torch.is_grad_enabled()


def test_no_thread_is_left():
    before = threading.active_count()
    from_deep_inside(lambda: None)
    assert threading.active_count() == before


def test_deep_walks_inside_a_transformation_of_jax():
    def cubed(x):
        w = x.detach().requires_grad_()
        found = []

        def countdown(left):
            with torch.enable_grad():
                y = w**3
                y.register_hook(lambda _: countdown(left - 1) if left else found.append(1))
                y.sum().backward()

        countdown(25)
        return w.grad

    x = jax.numpy.array([2.0])
    assert jax.jit(funcgrad.pure(cubed))(x).tolist() == [26 * 12.0]
