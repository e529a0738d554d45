"""The exact answer: against rational arithmetic, PyTorch, and its own definition."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcgrad import regression
from funcgrad.regression import Linear


def solve_exactly(matrix, right):
    """Gauss-Jordan elimination in rational arithmetic."""
    size = len(matrix)
    rows = [[*map(Fraction, matrix[i]), Fraction(right[i])] for i in range(size)]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(size):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def test_answer_solves_the_normal_equations_of_rational_arithmetic():
    rng = np.random.default_rng(0)
    x, y = rng.integers(-9, 9, size=(12, 4)), rng.integers(-9, 9, size=12)
    gram = [[int(v) for v in row] for row in x.T @ x]
    exact = solve_exactly(gram, [int(v) for v in x.T @ y])
    answer = regression.least_squares(x.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(answer.params, [float(v) for v in exact], rtol=1e-13)
    assert int(answer.rank) == 4


@pytest.mark.parametrize("outputs", [(), (2,)], ids=["one output", "two outputs"])
@pytest.mark.parametrize("intercept", [False, True])
def test_answer_is_pytorchs(outputs, intercept):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, y = rng.normal(2.0, 1.0, size=(40, 5)), rng.normal(size=(40, *outputs))
    design = np.column_stack([x, np.ones(40)]) if intercept else x
    right = torch.tensor(y.reshape(40, -1))
    theirs = torch.linalg.lstsq(torch.tensor(design), right).solution.numpy()
    answer = regression.least_squares(x, y, intercept=intercept)
    ours = (
        np.vstack(jax.tree.leaves(answer.params))
        if outputs
        else np.hstack(jax.tree.leaves(answer.params))
    )
    np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, rtol=1e-11)


@pytest.mark.parametrize("intercept", [False, True])
def test_gradient_is_zero_at_the_answer(intercept):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 5)), rng.normal(size=40)
    answer = regression.least_squares(x, y, intercept=intercept)
    with jax.enable_x64(True):
        value, grads = regression.value_and_grad(answer.params, x, y)
    np.testing.assert_allclose(value, answer.loss, rtol=1e-14)
    assert all(np.abs(leaf).max() < 1e-14 for leaf in jax.tree.leaves(grads))


def test_float32_answer_is_the_float64_answer_rounded_once():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(40, 5)).astype(np.float32), rng.normal(size=40).astype(np.float32)
    single = regression.least_squares(x, y)
    double = regression.least_squares(x.astype(np.float64), y.astype(np.float64))
    assert single.params.dtype == np.float32
    assert double.params.dtype == np.float64
    np.testing.assert_array_equal(single.params, np.asarray(double.params).astype(np.float32))


def test_importing_or_solving_leaves_jaxs_default_precision_alone():
    regression.least_squares(np.eye(2), np.ones(2))
    assert jnp.ones(1).dtype == np.float32
    assert not jax.config.jax_enable_x64


def test_more_features_than_rows_gives_the_smallest_exact_fit():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(3, 6)), rng.normal(size=3)
    answer = regression.least_squares(x, y)
    assert int(answer.rank) == 3
    assert float(answer.loss) < 1e-28
    np.testing.assert_allclose(answer.params, np.linalg.pinv(x) @ y, rtol=1e-12)


def test_a_column_given_twice_shares_its_weight():
    x = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    answer = regression.least_squares(x, np.array([2.0, 4.0, 6.0]))
    assert int(answer.rank) == 1
    np.testing.assert_allclose(answer.params, [1.0, 1.0], rtol=1e-14)


def test_jit_and_vmap_agree_with_eager():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2, 8, 3)).astype(np.float32)
    y = rng.normal(size=(2, 8)).astype(np.float32)
    both = jax.jit(jax.vmap(regression.least_squares))(x, y)
    for i in range(2):
        one = regression.least_squares(x[i], y[i])
        np.testing.assert_allclose(both.params[i], one.params, rtol=1e-6)


def test_intercept_is_returned_as_the_bias():
    x = np.array([[0.0], [1.0], [2.0]])
    answer = regression.least_squares(x, np.array([1.0, 3.0, 5.0]), intercept=True)
    assert isinstance(answer.params, Linear)
    np.testing.assert_allclose(answer.params.weights, [2.0], rtol=1e-14)
    np.testing.assert_allclose(answer.params.bias, 1.0, rtol=1e-14)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (np.ones(3), np.ones(3), ValueError, r"\(rows, features\).*\(3,\)"),
        (np.ones((0, 2)), np.ones(0), ValueError, r"\(0, 2\)"),
        (np.ones((3, 0)), np.ones(3), ValueError, r"\(3, 0\)"),
        (np.ones((3, 2)), np.ones(4), ValueError, r"\(3,\) or \(3, outputs\), got \(4,\)"),
        (np.ones((3, 2)), 1.0, ValueError, r"got \(\)"),
        (np.ones((3, 2), complex), np.ones(3), TypeError, "x must be real"),
    ],
)
def test_data_that_does_not_fit_is_refused(x, y, error, message):
    with pytest.raises(error, match=message):
        regression.least_squares(x, y)
