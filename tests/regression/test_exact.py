"""The exact answer: against rational arithmetic, certified values, PyTorch, and its own definition."""

import math
import re
from fractions import Fraction
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcgrad import regression
from funcgrad.datasets import NIST_PROBLEMS, correct_digits, load_nist
from funcgrad.regression import Linear, exact
from funcgrad.regression.orthogonal import triangular_factor
from tests.rational import solve_exactly

pytestmark = pytest.mark.slow

# By degree, by dependence, by size, and without an intercept. Each shape is a program, which takes a second to compile.
NIST_HARDEST = ("filip", "longley", "wampler5", "noint1")


@pytest.fixture(params=["at once", "compiled"])
def way(request, monkeypatch):
    """Small data is solved by NumPy, and by the compiled function where it comes often: the digits are the same."""
    if request.param == "compiled":
        monkeypatch.setattr(exact, "_MOST_AT_ONCE", 0)


@pytest.fixture
def compilations(caplog):
    """The names of the functions that JAX compiles."""
    with jax.log_compiles(), caplog.at_level("WARNING", "jax"):
        yield lambda: re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)


def exact_statistics(x, y, intercept):
    """Coefficients (intercept first), standard errors, deviation and R² in rational arithmetic."""
    x = [[*([Fraction(1)] * intercept), *(Fraction(float(v)) for v in row)] for row in x]
    y = [Fraction(float(v)) for v in y]
    size, rows = len(x[0]), range(len(y))
    gram = [[sum(x[i][j] * x[i][k] for i in rows) for k in range(size)] for j in range(size)]
    coefficients = solve_exactly(gram, [sum(x[i][j] * y[i] for i in rows) for j in range(size)])
    residuals = [y[i] - sum(a * b for a, b in zip(x[i], coefficients, strict=True)) for i in rows]
    squares = sum(r * r for r in residuals)
    variance = squares / (len(y) - size)
    inverse = [solve_exactly(gram, [Fraction(j == k) for k in range(size)])[j] for j in range(size)]
    errors = [math.sqrt(variance * v) for v in inverse]
    centre = sum(y) / len(y) if intercept else 0
    r_squared = 1 - squares / sum((t - centre) ** 2 for t in y)
    return [float(c) for c in coefficients], errors, math.sqrt(variance), float(r_squared)


def intercept_first(params):
    return np.append(params.bias, params.weights) if isinstance(params, Linear) else params


@pytest.mark.parametrize(
    ("name", "way"),
    [*product(NIST_PROBLEMS, ["at once"]), *product(NIST_HARDEST, ["compiled"])],
    indirect=["way"],
)
def test_thirteen_digits_of_every_nist_problem_are_right(name, way):
    problem = load_nist(name)
    x = problem.x if problem.degree is None else regression.powers(problem.x[:, 0], problem.degree)
    answer = regression.least_squares(x, problem.y, intercept=problem.intercept)
    digits = {
        "coefficients": correct_digits(intercept_first(answer.params), problem.coefficients),
        "errors": correct_digits(intercept_first(answer.standard_errors), problem.standard_errors),
        "deviation": correct_digits(
            [answer.residual_standard_deviation], [problem.residual_standard_deviation]
        ),
        "R²": correct_digits([answer.r_squared], [problem.r_squared]),
    }
    assert min(digits.values()) >= 13, digits


def test_small_data_is_not_compiled_until_it_has_come_often(compilations, monkeypatch):
    """By the names of what JAX compiles; either way the params are the same to the last digit."""
    monkeypatch.setattr(exact, "_TIMES_AT_ONCE", 3)
    exact._times.cache_clear()
    x, y = np.random.default_rng(0).normal(size=(9, 2)), np.arange(9.0) ** 2
    answers = [regression.least_squares(x, y, intercept=True) for _ in range(3)]
    assert not compilations()
    answers.append(regression.least_squares(x, y, intercept=True))
    assert compilations().count("_answer") == 1
    for leaves in zip(*map(jax.tree.leaves, answers), strict=True):
        assert len({leaf.dtype for leaf in leaves}) == 1
        assert all(isinstance(leaf, jax.Array) for leaf in leaves)
        np.testing.assert_allclose(leaves, np.stack(leaves[-1:] * 4), rtol=4 * np.finfo(float).eps)
    weights, biases = zip(*(answer.params for answer in answers), strict=True)
    assert len(set(map(float, biases))) == 1
    assert np.ptp(weights, axis=0).tolist() == [0, 0]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("intercept", [False, True])
def test_ill_conditioned_data_gets_the_exact_answer_rounded(intercept):
    """Scaled condition number 1e9 to 1e11: QR in float64 alone keeps five or six digits."""
    x = np.vander(np.linspace(1, 2, 15), 9)[:, :-1].astype(np.float32).astype(np.float64)
    y = np.random.default_rng(0).normal(size=15)
    coefficients, errors, deviation, r_squared = exact_statistics(x, y, intercept)
    answer = regression.least_squares(x, y, intercept=intercept)
    rounding = 4 * np.finfo(np.float64).eps
    np.testing.assert_allclose(intercept_first(answer.params), coefficients, rtol=rounding)
    np.testing.assert_allclose(intercept_first(answer.standard_errors), errors, rtol=rounding)
    np.testing.assert_allclose(answer.residual_standard_deviation, deviation, rtol=rounding)
    np.testing.assert_allclose(answer.r_squared, r_squared, rtol=rounding)


@pytest.mark.usefixtures("way")
def test_columns_of_any_size_are_as_exact_as_columns_of_one_size():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 4)), random.normal(size=30)
    sizes = 2.0 ** np.array([-300, -20, 0, 400])
    answer = regression.least_squares(x, y)
    scaled = regression.least_squares(x * sizes, y)
    for name in ("params", "standard_errors"):
        bigger, plain = (np.asarray(getattr(a, name)) for a in (scaled, answer))
        np.testing.assert_array_equal(bigger * sizes, plain)


@pytest.mark.usefixtures("way")
def test_dependent_columns_of_any_size_give_the_smallest_answer_of_rational_arithmetic():
    """The columns are C F with C independent: the answer is Fᵀ (F Fᵀ)⁻¹ times that for C alone."""
    random = np.random.default_rng(0)
    independent = random.integers(-9, 9, size=(12, 3)) * [1, 100, 10000]
    relation = np.array([[1, 0, 0, 2, 0], [0, 1, 0, -1, 0], [0, 0, 1, 0, 0]])
    x, y = independent @ relation, random.integers(-9, 9, size=12)
    basic = solve_exactly((independent.T @ independent).tolist(), (independent.T @ y).tolist())
    outer = solve_exactly((relation @ relation.T).tolist(), basic)
    smallest = [float(sum(f * v for f, v in zip(row, outer, strict=True))) for row in relation.T]
    with pytest.warns(np.exceptions.RankWarning, match="rank 3 for 5 parameters"):
        answer = regression.least_squares(x.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(answer.params, smallest, rtol=1e-12)


def test_a_column_that_is_the_intercept_again_is_warned_of_where_it_was_asked_for():
    x, y = np.ones((3, 1)), np.arange(3.0)
    regression.least_squares(x, y)
    with pytest.warns(np.exceptions.RankWarning, match="rank 1 for 2") as caught:
        regression.least_squares(x, y, intercept=True)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["x", "y"])
def test_data_that_is_not_finite_gives_nan_and_is_warned_of_and_not_of_rank(name, value):
    data = {"x": np.array([[1.0, 3.0], [2.0, 1.0], [0.0, 1.0]]), "y": np.ones(3)}
    data[name].flat[0] = value
    with pytest.warns(RuntimeWarning, match=f"{name} holds values that are not finite") as caught:
        answer = regression.least_squares(**data)
    assert [warning.filename for warning in caught] == [__file__]
    assert np.isnan(answer.params).all()


def test_no_warning_where_a_trace_hides_the_rank():
    ones = np.ones((3, 2))
    assert int(jax.jit(regression.least_squares)(ones, np.ones(3)).rank) == 1


def test_several_outputs_are_each_output_alone():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 5)), random.normal(size=(40, 3)) * [1, 1e5, 1e-5]
    together = regression.least_squares(x, y, intercept=True)
    for j in range(3):
        alone = regression.least_squares(x, y[:, j], intercept=True)
        for name in ("params", "standard_errors"):
            weights, bias = getattr(together, name)
            np.testing.assert_allclose(weights[:, j], getattr(alone, name).weights, rtol=1e-15)
            np.testing.assert_allclose(bias[j], getattr(alone, name).bias, rtol=1e-15)
        np.testing.assert_allclose(together.r_squared[j], alone.r_squared, rtol=1e-15)


@pytest.mark.parametrize("y", [np.arange(3.0), np.array([1 / 3, 0.1, 0.7])])
def test_as_many_rows_as_parameters_leave_no_standard_errors(y):
    answer = regression.least_squares(np.eye(3) + 0.1, y)
    assert np.isnan(answer.residual_standard_deviation)
    assert np.isnan(answer.standard_errors).all()


def test_targets_that_do_not_vary_have_no_share_that_is_explained():
    answer = regression.least_squares(np.arange(5.0)[:, None], np.full(5, 0.1), intercept=True)
    assert np.isnan(answer.r_squared)


@pytest.mark.parametrize("size", [2.0**-600, 2.0**665])
def test_targets_of_any_size_keep_their_standard_errors(size):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 3)), random.normal(size=30)
    plain = regression.least_squares(x, y, intercept=True)
    scaled = regression.least_squares(x, y * size, intercept=True)
    for name in ("params", "standard_errors", "residual_standard_deviation"):
        for one, other in zip(
            *map(jax.tree.leaves, (getattr(plain, name), getattr(scaled, name))), strict=True
        ):
            np.testing.assert_array_equal(np.asarray(one) * size, other)
    assert scaled.r_squared == plain.r_squared


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("rows", "features"), [(20, 3), (4, 6)])
def test_the_bias_is_not_made_small_where_columns_depend_on_one_another(rows, features):
    """The weights are the smallest for centred data: NumPy's pseudoinverse of it."""
    random = np.random.default_rng(0)
    x, y = random.normal(3, 1, size=(rows, features)), random.normal(size=rows)
    x = np.column_stack([x, x[:, 0]])
    with pytest.warns(np.exceptions.RankWarning):
        answer = regression.least_squares(x, y, intercept=True)
    with pytest.warns(np.exceptions.RankWarning):
        moved = regression.least_squares(x, y + 1000, intercept=True)
    weights = np.linalg.pinv(x - x.mean(axis=0)) @ (y - y.mean())
    np.testing.assert_allclose(answer.params.weights, weights, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(answer.params.bias, y.mean() - x.mean(axis=0) @ weights, rtol=1e-10)
    np.testing.assert_allclose(moved.params.weights, answer.params.weights, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        float(moved.params.bias) - float(answer.params.bias), 1000, rtol=1e-12
    )


def nearly_dependent(rows, bits):
    """Columns of whole numbers, and a combination of them with whole numbers times 2**-bits added: no rounding."""
    random = np.random.default_rng(0)
    base = random.integers(-9, 9, size=(rows, 3)).astype(np.float64)
    noise = random.integers(-9, 9, size=rows) * 2.0 ** (1 - bits)
    return np.column_stack([base, base @ [1, 2, -1] + noise]), random


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("bits", [40, 43, 46])
def test_columns_are_independent_as_long_as_the_answer_is_exact(bits):
    """Scaled condition numbers 3e12 to 1.8e14."""
    x, random = nearly_dependent(20, bits)
    y = random.normal(size=20)
    rows = [[Fraction(v) for v in row] for row in x.tolist()]
    gram = [[sum(row[j] * row[k] for row in rows) for k in range(4)] for j in range(4)]
    right = [
        sum(row[j] * Fraction(t) for row, t in zip(rows, y.tolist(), strict=True)) for j in range(4)
    ]
    answer = regression.least_squares(x, y)
    assert int(answer.rank) == 4
    exact = [float(v) for v in solve_exactly(gram, right)]
    np.testing.assert_allclose(answer.params, exact, rtol=4 * np.finfo(np.float64).eps)


def test_many_rows_do_not_make_columns_dependent():
    x, _ = nearly_dependent(100_000, 42)
    answer = regression.least_squares(x, x @ [3, -2, 1, 5])
    assert int(answer.rank) == 4
    np.testing.assert_allclose(answer.params, [3, -2, 1, 5], rtol=1e-12)


@pytest.mark.parametrize("rows", [9, 300, 20_000])
def test_a_column_computed_from_others_and_rounded_depends_on_them(rows):
    base = np.random.default_rng(0).normal(size=(rows, 4))
    x = np.column_stack([base, base @ [1, 2, -1, 0.3]])
    with pytest.warns(np.exceptions.RankWarning, match="rank 4 for 5"):
        regression.least_squares(x, base[:, 0])


@pytest.mark.parametrize("rows", [5, 8192, 8193, 20001])
def test_factor_of_blocks_is_the_factor_of_the_whole(rows):
    x = np.random.default_rng(0).normal(size=(rows, 6))
    with jax.enable_x64(True):
        factor = np.asarray(triangular_factor(jnp.asarray(x)))
    whole = np.linalg.qr(x, mode="r")
    np.testing.assert_array_equal(np.tril(factor, -1), 0)
    np.testing.assert_allclose(np.abs(factor), np.abs(whole), rtol=1e-11, atol=1e-11)


def test_answer_solves_the_normal_equations_of_rational_arithmetic():
    rng = np.random.default_rng(0)
    x, y = rng.integers(-9, 9, size=(40, 5)), rng.integers(-9, 9, size=40)
    gram = [[int(v) for v in row] for row in x.T @ x]
    exact = solve_exactly(gram, [int(v) for v in x.T @ y])
    answer = regression.least_squares(x.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(answer.params, [float(v) for v in exact], rtol=1e-13)
    assert int(answer.rank) == 5


@pytest.mark.parametrize("outputs", [(), (3,)], ids=["one output", "three outputs"])
@pytest.mark.parametrize("intercept", [False, True])
def test_answer_is_pytorchs(torch, outputs, intercept):
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


@pytest.mark.usefixtures("way")
def test_more_features_than_rows_gives_the_smallest_exact_fit():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(3, 6)), rng.normal(size=3)
    with pytest.warns(np.exceptions.RankWarning, match="rank 3 for 6"):
        answer = regression.least_squares(x, y)
    assert int(answer.rank) == 3
    assert float(answer.loss) < 1e-28
    np.testing.assert_allclose(answer.params, np.linalg.pinv(x) @ y, rtol=1e-12)


def test_a_column_given_twice_shares_its_weight():
    x = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    with pytest.warns(np.exceptions.RankWarning):
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
