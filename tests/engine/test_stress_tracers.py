"""Inside JAX's transformations tensors carry tracers: ops apply at once, and what was pending outside is computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad.torch as torch
from funcgrad import engine

X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
Y = np.array([1.0, 2.0], np.float32)
W = np.array([0.5, -0.5], np.float32)
GRADIENT = np.array([-9.0, -13.0], np.float32)  # exact: see tests/torch/test_lesson.py


def loss(w):
    """The lesson's loss as a function of arrays, written with tensors."""
    residual = torch.tensor(X) @ torch.tensor(w) - torch.tensor(Y)
    return (residual**2).mean()._array()


def gradient_by_backward(w):
    """The lesson's gradient as a function of arrays, by `.backward()`."""
    weights = torch.tensor(w, requires_grad=True)
    ((torch.tensor(X) @ weights - torch.tensor(Y)) ** 2).mean().backward()
    return weights.grad._array()


@pytest.mark.parametrize(
    "transformed",
    [
        jax.grad(loss),
        jax.jit(jax.grad(loss)),
        jax.jacfwd(loss),
        jax.jacrev(loss),
        gradient_by_backward,
        jax.jit(gradient_by_backward),
        jax.jit(jax.jit(gradient_by_backward)),
        lambda w: jax.vmap(gradient_by_backward)(w[None])[0],
        lambda w: jax.jit(jax.vmap(jax.grad(loss)))(w[None])[0],
        lambda w: jax.checkpoint(gradient_by_backward)(w),
        lambda w: jax.lax.map(gradient_by_backward, w[None])[0],
        lambda w: jax.lax.cond(True, gradient_by_backward, lambda w: w, w),
    ],
    ids=[
        "grad",
        "jit of grad",
        "jacfwd",
        "jacrev",
        "backward",
        "jit of backward",
        "jit of jit",
        "vmap of backward",
        "jit of vmap of grad",
        "checkpoint",
        "lax.map",
        "lax.cond",
    ],
)
def test_a_transformation_of_code_with_tensors_gives_the_gradient(transformed):
    np.testing.assert_array_equal(transformed(jnp.asarray(W)), GRADIENT)


def test_a_hessian_through_backward_is_the_exact_one():
    hessian = jax.jit(jax.jacfwd(gradient_by_backward))(jnp.asarray(W))
    np.testing.assert_array_equal(hessian, X.T @ X)


def test_vmap_runs_each_row_by_itself():
    rows = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    batched = jax.jit(jax.vmap(gradient_by_backward))(rows)
    np.testing.assert_allclose(batched, [gradient_by_backward(row) for row in rows], rtol=1e-5)


def test_values_pending_outside_are_computed_when_a_traced_function_meets_them(recorded):
    outside = torch.tensor([1.0, 2.0]) * 3
    other = outside + 1  # pending, and not used inside
    assert engine.stats().pending_ops == 2
    traced = jax.jit(lambda a: (torch.tensor(a) * outside)._array())
    np.testing.assert_array_equal(traced(jnp.ones(2)), [3.0, 6.0])
    np.testing.assert_array_equal(traced(jnp.ones(2) * 2), [6.0, 12.0])
    assert not isinstance(outside._array(), jax.core.Tracer)
    assert outside.tolist() == [3.0, 6.0]
    assert other.tolist() == [4.0, 7.0]


def test_ops_on_concrete_tensors_inside_a_traced_function_stay_concrete():
    seen = []

    def function(a):
        concrete = torch.tensor([1.0, 2.0]) * 2
        seen.append(concrete.tolist())
        return (torch.tensor(a) + concrete)._array()

    np.testing.assert_array_equal(jax.jit(function)(jnp.zeros(2)), [2.0, 4.0])
    np.testing.assert_array_equal(jax.grad(lambda a: function(a).sum())(jnp.zeros(2)), [1.0, 1.0])
    np.testing.assert_array_equal(jax.vmap(function)(jnp.zeros((3, 2))), [[2.0, 4.0]] * 3)
    assert seen == [[2.0, 4.0]] * 3


def test_a_leaf_outside_gathers_no_tracer_from_a_loss_that_does_not_meet_one():
    w = torch.tensor([1.0, 2.0], requires_grad=True)

    def function(a):
        (w * w).sum().backward()
        return a + 1

    jax.jit(function)(jnp.zeros(()))
    assert w.grad.tolist() == [2.0, 4.0]


def test_numbers_first_met_inside_a_traced_function_are_no_tracers_outside():
    number = 0.123456
    traced = jax.jit(lambda a: (torch.tensor(a) * number * number)._array())
    for _ in range(3):
        traced(jnp.ones(2))
        assert (torch.ones(2) * number).tolist() == pytest.approx([number] * 2)


def test_tracers_leave_nothing_behind_in_the_trace():
    engine.flush("a test begins")
    jax.jit(gradient_by_backward).lower(jax.ShapeDtypeStruct((2,), np.float32))
    w = torch.tensor(W, requires_grad=True)
    ((torch.tensor(X) @ w - torch.tensor(Y)) ** 2).mean().backward()
    np.testing.assert_array_equal(w.grad.numpy(), GRADIENT)


def test_a_tracer_of_an_ended_transformation_raises_and_disturbs_nothing():
    leaked = []
    jax.jit(lambda a: leaked.append(torch.tensor(a) * 2) or a)(jnp.ones(2))
    healthy = torch.ones(2) + 1
    with pytest.raises(jax.errors.UnexpectedTracerError):
        jax.block_until_ready((leaked[0] + healthy)._array() + 0)
    assert healthy.tolist() == [2.0, 2.0]


def test_printing_a_traced_tensor_says_so():
    seen = []
    jax.jit(lambda a: seen.append(repr(torch.tensor(a) + 1)) or a)(jnp.ones(2))
    assert "Tracer" in seen[0]


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_64_bit_types_are_kept_inside_jit_without_touching_jax(dtype):
    dtype = getattr(torch, dtype)
    outside = torch.tensor([1, 2], dtype=dtype) * 3
    seen = []

    def function(a):
        result = torch.tensor(a).to(dtype) * outside
        seen.append(result.dtype)
        return result._array()

    result = jax.jit(function)(jnp.ones(2, "int32"))
    assert seen == [dtype]
    assert result.dtype == dtype.numpy_dtype
    np.testing.assert_array_equal(result, [3, 6])
    assert not jax.config.jax_enable_x64


def test_the_sum_of_integers_is_int64_inside_jit_as_outside():
    big = np.full(4, 2**30, np.int32)
    result = jax.jit(lambda a: torch.tensor(a).sum()._array())(big)
    assert result.dtype == np.int64
    assert int(result) == 2**32
