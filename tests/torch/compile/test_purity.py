"""Inside JAX's transformations tensors carry tracers; `funcgrad.pure` makes imperative code a pure function."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import funcgrad
import funcgrad.torch as torch
from funcgrad import engine, regression
from funcgrad.engine import derivatives
from tests.processes import output_of


def data(seed=0):
    rng = np.random.default_rng(seed)
    return (
        jnp.asarray(rng.random(3, np.float32)),
        jnp.asarray(rng.random((5, 3), np.float32)),
        jnp.asarray(rng.random(5, np.float32)),
    )


def loss(w, x, y):
    return ((x @ w - y) ** 2).mean()


def step(w, x, y, rate=0.1):
    value = loss(w, x, y)
    value.backward()
    w.data -= rate * w.grad
    return value


def test_grad_of_a_pure_loss_is_the_gradient():
    value, grad = jax.value_and_grad(funcgrad.pure(loss))(*data())
    expected_value, expected = regression.value_and_grad(*data())
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    np.testing.assert_allclose(grad, expected, rtol=1e-5)


def test_hessian_of_a_pure_loss():
    w, x, y = data()
    hessian = jax.hessian(funcgrad.pure(loss))(w, x, y)
    np.testing.assert_allclose(hessian, 2 / 5 * x.T @ x, rtol=1e-5)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["as it is", "jit"])
def test_a_step_with_backward_inside_is_one_pure_function(transform):
    w, x, y = data()
    value, (new,) = transform(funcgrad.pure(step, requires_grad=0, updates=0))(w, x, y)
    expected_value, grad = regression.value_and_grad(w, x, y)
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    np.testing.assert_allclose(new, w - 0.1 * grad, rtol=1e-5)
    np.testing.assert_array_equal(w, data()[0])


def test_vmap_over_starts():
    w, x, y = data()
    starts = jnp.stack([w, 2 * w, -w])
    values, (new,) = jax.vmap(funcgrad.pure(step, requires_grad=0, updates=0), (0, None, None))(
        starts, x, y
    )
    for start, value, after in zip(starts, values, new, strict=True):
        expected, grad = regression.value_and_grad(start, x, y)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        np.testing.assert_allclose(after, start - 0.1 * grad, rtol=1e-4, atol=1e-6)


def test_scan_over_steps_is_the_training_loop():
    w, x, y = data()
    pure_step = funcgrad.pure(step, requires_grad=0, updates=0)

    def body(w, _):
        value, (w,) = pure_step(w, x, y)
        return w, value

    final, values = jax.lax.scan(body, w, length=20)
    tensor = torch.tensor(np.asarray(w), requires_grad=True)
    eager = []
    for _ in range(20):
        eager.append(step(tensor, torch.tensor(np.asarray(x)), torch.tensor(np.asarray(y))).item())
        tensor.grad = None
    np.testing.assert_allclose(values, eager, rtol=1e-5)
    np.testing.assert_allclose(final, tensor.detach().numpy(), rtol=1e-5)


def test_an_update_that_is_not_named_is_refused():
    with pytest.raises(ValueError, match="argument 0 was changed in place"):
        funcgrad.pure(step, requires_grad=0)(*data())


def test_pytrees_and_other_arguments_pass():
    def function(params, scale, name):
        return {name: params["a"] * scale + params["b"]}

    w, _, _ = data()
    out = jax.jit(funcgrad.pure(function), static_argnums=2)({"a": w, "b": w}, 2.0, "sum")
    np.testing.assert_allclose(out["sum"], 3 * w, rtol=1e-6)


def test_a_pending_tensor_captured_by_a_traced_function_is_a_constant(recorded):
    captured = torch.ones(3) * 2 + 1
    assert engine.stats().pending_ops >= 2
    w, _, _ = data()
    out = jax.jit(funcgrad.pure(lambda w: w * captured))(w)
    np.testing.assert_allclose(out, 3 * w, rtol=1e-6)
    assert captured.tolist() == [3.0, 3.0, 3.0]


def test_a_tensor_made_and_read_inside_a_trace_stays_concrete():
    def function(w):
        scale = torch.ones(3) * 2
        return w * scale.sum().item()

    w, _, _ = data()
    np.testing.assert_allclose(jax.jit(funcgrad.pure(function))(w), 6 * w, rtol=1e-6)


def test_a_traced_value_cannot_be_read_as_a_number():
    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.jit(funcgrad.pure(lambda w: w * w.sum().item()))(data()[0])
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(funcgrad.pure(lambda w: w if w.sum() > 0 else -w))(data()[0])


def test_float64_arrays_stay_float64():
    with jax.enable_x64(True):
        w = jnp.arange(3, dtype=jnp.float64)
    out = funcgrad.pure(lambda w: (w * w).sum())(w)
    assert out.dtype == np.float64
    assert float(out) == 5


def test_a_number_that_comes_again_inside_a_trace_stays_a_number_outside_it():
    # JAX's `ensure_compile_time_eval` does not leave the trace in which it runs the rule of a `custom_jvp`.
    def f(w):
        return (w * 0.8125 - (w * 0.8125).logsumexp(0)).sum()

    jax.value_and_grad(funcgrad.pure(f))(jnp.array([0.4, 1.6]))

    scaled = torch.compile(lambda t: t * 0.8125)
    for _ in range(4):
        assert scaled(torch.tensor([2.0])).tolist() == [1.625]


def test_the_derivative_of_an_op_is_traced_once(monkeypatch):
    def recurrent(library, steps, w):
        h = 0.5 * w
        for _ in range(steps):
            h = library.tanh(h * w + 0.5 * h)
        return (h * h).sum()

    def never(*_):
        raise AssertionError("a derivative was traced again")

    for length in (2, 3, 4):  # from the second length on, a derivative is kept without its jaxpr
        w = jnp.linspace(-1, 1, length)
        jax.make_jaxpr(jax.grad(funcgrad.pure(partial(recurrent, torch, 2))))(w)
    monkeypatch.setattr(derivatives, "_pull_back", never)
    found = jax.jit(jax.grad(funcgrad.pure(partial(recurrent, torch, 6))))(w)
    np.testing.assert_allclose(found, jax.grad(partial(recurrent, jnp, 6))(w), atol=1e-6)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_ops_seen_before_know_the_axes_of_a_mesh(kind):
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(kind,))
    function = funcgrad.pure(lambda w, x: torch.tanh(x @ w).sum().reshape(1))
    w, x = jnp.array([0.5, -1.0]), jnp.array([[1.0, 2.0], [3.0, 4.0]])
    jax.make_jaxpr(function)(w, x)  # each op has a jaxpr from here on
    w, x = (
        jax.device_put(each, NamedSharding(mesh, spec)) for each, spec in ((w, P()), (x, P("rows")))
    )
    mapped = jax.shard_map(function, mesh=mesh, in_specs=(P(), P("rows")), out_specs=P("rows"))
    np.testing.assert_allclose(jax.jit(mapped)(w, x), np.tanh([-1.5, -2.5]).sum(), rtol=1e-6)


def test_derivatives_in_shard_map_are_those_of_jax():
    output_of(Path(__file__).with_name("four_devices.py"), devices=4)
