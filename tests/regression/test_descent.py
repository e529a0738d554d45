"""Gradient, update and step: against exact arithmetic and against PyTorch's autograd."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcgrad import regression
from funcgrad.regression import Linear

# The lesson's kind of data, as PyTorch prints it: three weights, two rows.
X = np.array([[0.4963, 0.7682, 0.0885], [0.1320, 0.3074, 0.6341]], np.float32)
Y = np.array([0.4901, 0.8964], np.float32)
W = np.array([0.4556, 0.6323, 0.3489], np.float32)


def exact_loss_and_gradient(w, x, y):
    """The loss and its gradient in rational arithmetic, from the very numbers the floats hold."""
    w, y = [Fraction(float(v)) for v in w], [Fraction(float(v)) for v in y]
    x = [[Fraction(float(v)) for v in row] for row in x]
    rows = range(len(x))
    residuals = [sum(a * b for a, b in zip(x[i], w, strict=True)) - y[i] for i in rows]
    loss = sum(r * r for r in residuals) / len(x)
    grads = [2 * sum(residuals[i] * x[i][j] for i in rows) / len(x) for j in range(len(w))]
    return loss, grads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lesson_gradient_is_the_exact_one_to_rounding(dtype):
    loss, grads = exact_loss_and_gradient(W, X, Y)
    with jax.enable_x64(dtype is np.float64):
        value, got = regression.value_and_grad(*(a.astype(dtype) for a in (W, X, Y)))
    # A few roundings of terms below one; no cancellation that would enlarge them.
    bound = 8 * np.finfo(dtype).eps
    assert abs(Fraction(float(value)) - loss) <= bound
    for computed, exact in zip(got, grads, strict=True):
        assert abs(Fraction(float(computed)) - exact) <= bound


def test_lesson_step_goes_against_the_exact_gradient():
    loss, grads = exact_loss_and_gradient(W, X, Y)
    new, before = regression.step(W, X, Y, 0.5)
    assert float(before) == pytest.approx(float(loss), rel=1e-6)
    expected = [float(Fraction(float(w)) - g / 2) for w, g in zip(W, grads, strict=True)]
    np.testing.assert_allclose(new, expected, rtol=1e-6)


SHAPES = {
    "weights": ((4,), None),
    "weights and bias": ((4,), ()),
    "outputs": ((4, 3), None),
    "outputs and biases": ((4, 3), (3,)),
    "one output as a column": ((4, 1), (1,)),
}


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_and_gradient_are_pytorchs(torch, shapes, dtype):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 4)).astype(dtype)
    y = rng.normal(size=(50, *shapes[0][1:])).astype(dtype)
    values = [rng.normal(size=s).astype(dtype) for s in shapes if s is not None]

    leaves = [torch.tensor(v, requires_grad=True) for v in values]
    prediction = torch.tensor(x) @ leaves[0]
    if len(leaves) == 2:
        prediction = prediction + leaves[1]
    theirs = (prediction - torch.tensor(y)).pow(2).mean()
    theirs.backward()

    with jax.enable_x64(dtype is np.float64):
        params = Linear(*values) if len(values) == 2 else values[0]
        ours, grads = regression.value_and_grad(params, x, y)
    tolerance = 50 * np.finfo(dtype).eps
    np.testing.assert_allclose(ours, theirs.item(), rtol=tolerance)
    for got, leaf in zip(jax.tree.leaves(grads), leaves, strict=True):
        np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=tolerance, atol=tolerance)


def test_update_has_a_learning_rate_of_one_as_the_lesson_does():
    new = regression.update(jnp.array([1.0, 2.0]), jnp.array([0.25, -0.5]))
    assert new.tolist() == [0.75, 2.5]


def test_update_keeps_structure_and_dtypes():
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": [jnp.ones((), jnp.float32)]}
    new = regression.update(params, params, np.float64(0.5))
    assert jax.tree.map(lambda leaf: leaf.dtype.name, new) == {"a": "bfloat16", "b": ["float32"]}
    assert jax.tree.map(lambda leaf: leaf.tolist(), new) == {"a": [0.5, 0.5], "b": [0.5]}


BAD_UPDATES = {
    "other shapes": (np.ones(2), np.ones((2, 1)), 1.0, r"\(2, 1\).*\(2,\)"),
    "grads without bias": (Linear(np.ones(2), np.ones(())), np.ones(2), 1.0, "structure"),
    "grads with bias": (np.ones(2), Linear(np.ones(2), np.ones(())), 1.0, "structure"),
    "several learning rates": (np.ones(2), np.ones(2), np.ones(2), r"one number.*\(2,\)"),
}


@pytest.mark.parametrize("case", BAD_UPDATES)
def test_update_refuses_what_does_not_fit(case):
    params, grads, learning_rate, message = BAD_UPDATES[case]
    with pytest.raises(ValueError, match=message):
        regression.update(params, grads, learning_rate)


def test_step_leaves_the_parameters_given_valid():
    w = jnp.array(W)
    regression.step(w, X, Y, 0.1)
    np.testing.assert_array_equal(w, W)


def test_step_compiles_once_for_all_learning_rates(caplog):
    x, y, w = np.ones((7, 2), np.float32), np.ones(7, np.float32), np.zeros(2, np.float32)
    with jax.log_compiles():
        regression.step(w, x, y, 0.1)
        assert "Finished XLA compilation" in caplog.text
        caplog.clear()
        for learning_rate in (0.2, 0.3, 1.0):
            w, _ = regression.step(w, x, y, learning_rate)
    assert "Finished XLA compilation" not in caplog.text


def test_differentiating_through_a_step_gives_the_hypergradient():
    """d loss(w - r g) / d r is -g·g': the learning rate's own gradient, by hand."""

    def loss_after(learning_rate):
        new, _ = regression.step(W, X, Y, learning_rate)
        return regression.loss(new, X, Y)

    _, before = regression.value_and_grad(W, X, Y)
    new, _ = regression.step(W, X, Y, 0.25)
    _, after = regression.value_and_grad(new, X, Y)
    np.testing.assert_allclose(jax.jit(jax.grad(loss_after))(0.25), -before @ after, rtol=1e-5)
