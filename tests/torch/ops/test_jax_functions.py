"""`from_jax`: any JAX function as a differentiable op."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad.torch as torch
from funcgrad import engine


def test_values_and_gradients_are_those_of_jax():
    x = np.array([0.3, 1.7, 2.5])
    tensor = torch.tensor(x, requires_grad=True)
    torch.from_jax(jax.scipy.special.gammaln)(tensor).sum().backward()
    with jax.enable_x64(True):
        expected = jax.grad(lambda x: jax.scipy.special.gammaln(x).sum())(jnp.asarray(x))
    np.testing.assert_allclose(tensor.grad.numpy(), expected, rtol=1e-12)


def test_pytrees_go_in_and_come_out():
    @torch.from_jax
    def both(pair, *, scale):
        return {"sum": pair["a"] + pair["b"], "product": (pair["a"] * pair["b"] * scale,)}

    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])
    result = both({"a": a, "b": b}, scale=10)
    assert result["sum"].tolist() == [4.0, 6.0]
    assert result["product"][0].tolist() == [30.0, 80.0]
    result["product"][0].sum().backward()
    assert a.grad.tolist() == [30.0, 40.0]


def test_constants_of_other_types_are_other_ops():
    power = torch.from_jax(lambda x, n: x**n, name="power")
    x = torch.tensor([2, 3])
    assert str(power(x, 2).dtype) == "torch.int64"
    assert str(power(x, 2.0).dtype).startswith("torch.float")


def test_gradients_of_gradients():
    cube = torch.from_jax(lambda x: x**3, name="cube")
    x = torch.tensor(2.0, requires_grad=True)
    y = cube(x)
    assert type(y.grad_fn).__name__ == "CubeBackward"
    (slope,) = torch.autograd.grad(y, x, create_graph=True)
    assert torch.autograd.grad(slope, x)[0].item() == 12.0


def test_an_op_of_a_loop_is_compiled_into_its_program():
    wave = torch.from_jax(jnp.sin)
    w = torch.ones(3, requires_grad=True)
    for _ in range(4):
        wave(w).sum().backward()
        w.data -= 0.1 * w.grad
        w.grad = None
    before = engine.stats().programs_compiled
    for _ in range(4):
        wave(w).sum().backward()
        w.data -= 0.1 * w.grad
        w.grad = None
    assert engine.stats().programs_compiled == before


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda x: torch.from_jax(lambda x, s: x, "f")(x, {1, 2}), "f: .*unhashable type: 'set'"),
        (lambda x: torch.from_jax(jnp.add)(x, jnp.ones(2)), "give arrays as tensors"),
        (lambda x: torch.from_jax(lambda x: None, "f")(x), "f returned no array"),
        (lambda x: torch.from_jax(3), "expected a function of arrays, got int"),
    ],
    ids=["a set among the arguments", "an array among them", "no result", "no function"],
)
def test_what_cannot_be_an_op_is_refused(call, complaint):
    with pytest.raises(TypeError, match=complaint):
        call(torch.ones(2))


def test_an_error_of_the_function_is_its_own():
    def fails(x):
        raise KeyError("mine")

    op = torch.from_jax(fails)
    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            op(torch.ones(2))
