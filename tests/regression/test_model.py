"""The model and its loss: values by hand, shapes refused, JAX's transformations."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcgrad import regression
from funcgrad.regression import Linear

RNG = np.random.default_rng(0)


def arrays(*shapes, dtype=np.float32):
    return [RNG.normal(size=shape).astype(dtype) for shape in shapes]


# One row for each form of params: one output, several, with and without bias, as a mapping.
FORMS = {
    "array": lambda w, b: w,
    "Linear": Linear,
    "mapping": lambda w, b: {"weights": w, "bias": b},
}
OUTPUTS = {"one output": (), "three outputs": (3,)}


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


@pytest.fixture(params=OUTPUTS)
def outputs(request):
    return OUTPUTS[request.param]


@pytest.fixture
def problem(form, outputs):
    weights, bias, x, y = arrays((4, *outputs), outputs, (6, 4), (6, *outputs))
    return form(weights, np.asarray(bias)), x, y


def test_prediction_is_the_product_plus_bias(form, outputs):
    weights, bias, x = arrays((4, *outputs), outputs, (6, 4))
    expected = x.astype(np.float64) @ weights
    if form is not FORMS["array"]:
        expected = expected + bias
    prediction = regression.predict(form(weights, np.asarray(bias)), x)
    np.testing.assert_allclose(prediction, expected, rtol=1e-5, atol=1e-6)


def test_loss_is_the_mean_of_the_squared_errors(problem):
    params, x, y = problem
    errors = regression.squared_error(params, x, y)
    assert errors.shape == y.shape
    np.testing.assert_allclose(
        errors, (np.asarray(regression.predict(params, x)) - y) ** 2, rtol=1e-6
    )
    np.testing.assert_allclose(regression.loss(params, x, y), np.mean(errors), rtol=1e-6)


def test_jit_agrees_with_eager(problem):
    np.testing.assert_allclose(
        jax.jit(regression.loss)(*problem), regression.loss(*problem), rtol=1e-6
    )


def test_vmap_over_models_is_each_model_alone(problem):
    params, x, y = problem
    models = jax.tree.map(lambda leaf: np.stack([leaf, 2 * leaf]), params)
    losses = jax.jit(jax.vmap(regression.loss, in_axes=(0, None, None)))(models, x, y)
    for index, loss in enumerate(losses):
        model = jax.tree.map(lambda leaf, index=index: leaf[index], models)
        np.testing.assert_allclose(loss, regression.loss(model, x, y), rtol=1e-6)


def test_gradients_by_row_average_to_the_gradient(problem):
    params, x, y = problem
    by_row = jax.jit(jax.vmap(jax.grad(regression.loss), in_axes=(None, 0, 0)))(params, x, y)
    mean = jax.tree.map(lambda leaf: np.mean(leaf, axis=0), by_row)
    _, grads = regression.value_and_grad(params, x, y)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), mean, grads)


def test_hessian_is_two_over_the_count_times_the_gram_matrix():
    (x,) = arrays((6, 4))
    hessian = jax.jit(jax.hessian(regression.loss))(
        np.ones(4, np.float32), x, np.ones(6, np.float32)
    )
    np.testing.assert_allclose(hessian, 2 / 6 * x.T @ x, rtol=1e-5, atol=1e-6)


def test_hessian_has_a_block_for_each_pair_of_parameters(problem):
    params, x, y = problem
    leaves = jax.tree.leaves(params)
    blocks = jax.tree.leaves(jax.jit(jax.hessian(regression.loss))(params, x, y))
    assert [block.shape for block in blocks] == [
        np.shape(a) + np.shape(b) for a in leaves for b in leaves
    ]


dyadic = st.integers(-16, 16).map(lambda numerator: Fraction(numerator, 8))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_loss_is_exact_where_float32_can_hold_every_step(data):
    """Eighths up to 2 with 2 features and 4 rows: every product and sum fits in 24 bits."""

    def vector(count):
        return data.draw(st.lists(dyadic, min_size=count, max_size=count))

    x, w, y = [vector(2) for _ in range(4)], vector(2), vector(4)
    residuals = [
        sum(a * b for a, b in zip(row, w, strict=True)) - target
        for row, target in zip(x, y, strict=True)
    ]
    exact_loss = sum(r * r for r in residuals) / 4
    exact_grads = [
        sum(r * row[j] for r, row in zip(residuals, x, strict=True)) * 2 / 4 for j in range(2)
    ]
    as_floats = [np.array(v, dtype=np.float32) for v in (w, x, y)]
    value, grads = regression.value_and_grad(*as_floats)
    assert Fraction(float(regression.loss(*as_floats))) == exact_loss
    assert Fraction(float(value)) == exact_loss
    assert [Fraction(float(g)) for g in grads] == exact_grads


BAD_SHAPES = {
    "a column of targets": (np.ones(3), np.ones((5, 3)), np.ones((5, 1)), r"\(5, 1\).*\(5,\)"),
    "a row of targets": (np.ones((3, 1)), np.ones((5, 3)), np.ones(5), r"\(5,\).*\(5, 1\)"),
    "one target for all rows": (np.ones(3), np.ones((5, 3)), np.ones(1), r"\(1,\).*\(5,\)"),
    "a number as targets": (np.ones(3), np.ones((5, 3)), 1.0, r"\(\).*\(5,\)"),
    "other features": (np.ones(4), np.ones((5, 3)), np.ones(5), r"\(5, 3\) has 3.*have 4"),
    "a number as x": (np.ones(3), 1.0, np.ones(5), r"\(rows, features\), got \(\)"),
    "three axes in x": (np.ones(3), np.ones((2, 5, 3)), np.ones((2, 5)), r"got \(2, 5, 3\)"),
    "a number as weights": (1.0, np.ones((5, 3)), np.ones(5), r"weights must have shape.*\(\)"),
    "three axes in weights": (np.ones((3, 1, 1)), np.ones((5, 3)), np.ones(5), r"\(3, 1, 1\)"),
    "a bias for each feature": (
        Linear(np.ones(3), np.ones(3)),
        np.ones((5, 3)),
        np.ones(5),
        r"bias of shape \(3,\).*weights of shape \(3,\): expected \(\)",
    ),
    "one bias for three outputs": (
        Linear(np.ones((3, 2)), np.ones(())),
        np.ones((5, 3)),
        np.ones((5, 2)),
        r"bias of shape \(\).*expected \(2,\)",
    ),
    "no rows": (np.ones(3), np.ones((0, 3)), np.ones(0), r"\(0, 3\)"),
    "other keys": ({"w": np.ones(3)}, np.ones((5, 3)), np.ones(5), r"'weights' and 'bias'.*'w'"),
}


@pytest.mark.parametrize("case", BAD_SHAPES)
@pytest.mark.parametrize(
    "transform", [lambda f: f, jax.jit, jax.grad], ids=["eager", "jit", "grad"]
)
def test_shapes_that_would_broadcast_are_refused(case, transform):
    params, x, y, message = BAD_SHAPES[case]
    with pytest.raises(ValueError, match=message):
        transform(regression.loss)(params, x, y)


BAD_DTYPES = {
    "integer weights": (np.ones(3, int), np.ones((5, 3)), np.ones(5), "weights.*int"),
    "complex weights": (np.ones(3, complex), np.ones((5, 3)), np.ones(5), "weights.*complex"),
    "complex x": (np.ones(3), np.ones((5, 3), complex), np.ones(5), "x must be real.*complex"),
    "complex y": (np.ones(3), np.ones((5, 3)), np.ones(5, complex), "y must be real.*complex"),
    "integer bias": (Linear(np.ones(3), np.array(1)), np.ones((5, 3)), np.ones(5), "bias.*int"),
}


@pytest.mark.parametrize("case", BAD_DTYPES)
def test_parameters_that_cannot_be_descended_are_refused(case):
    params, x, y, message = BAD_DTYPES[case]
    with pytest.raises(TypeError, match=message):
        regression.loss(params, x, y)


def test_integer_data_is_data():
    x, y = np.array([[1, 2], [3, 4]]), np.array([3, 7])
    assert float(regression.loss(jnp.ones(2), x, y)) == 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtype_of_the_arrays_is_the_dtype_of_the_results(dtype):
    with jax.enable_x64(True):
        params = Linear(jnp.ones(3, dtype), jnp.ones((), dtype))
        x, y = jnp.ones((5, 3), dtype), jnp.ones(5, dtype)
        value, grads = regression.value_and_grad(params, x, y)
        new, _ = regression.step(params, x, y, 0.5)
    for leaf in (value, *grads, *new):
        assert leaf.dtype == dtype
