"""The rule of dtypes and JAX's strict settings, held against every public function in one table."""

import warnings
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression, training
from funcgrad.datasets import Stream
from funcgrad.regression import Linear
from funcgrad.training import moments_of_batches

SGD = optax.sgd(1e-3)
KEY = jax.random.key(0)
HUBER = regression.mean_loss(optax.losses.huber_loss)


def own_loss(params, x, y):
    return jnp.mean(jnp.square(x @ params.weights + params.bias - y))


def trained(loss, params, *data, **options):
    result = fit(loss, params, *data, optimizer=SGD, **options)
    return result.params, result.loss, result.losses, result.gradient_norm


# One row for each function: what it gives for params, x and y.
IN_DTYPE_OF_ARRAYS = {
    "Linear": lambda p, x, y: regression.predict(Linear(*p), x),
    "predict": lambda p, x, y: regression.predict(p, x),
    "squared_error": regression.squared_error,
    "loss": regression.loss,
    "mean_loss": HUBER,
    "read_once, another loss": regression.read_once(own_loss),
    "value_and_grad": regression.value_and_grad,
    "update": lambda p, x, y: regression.update(p, regression.value_and_grad(p, x, y)[1], 1e-3),
    "step": lambda p, x, y: regression.step(p, x, y, 1e-3),
    "largest_eigenvalue": lambda p, x, y: regression.largest_eigenvalue(p, x),
    "largest_stable_learning_rate": lambda p, x, y: regression.largest_stable_learning_rate(p, x),
    "least_squares": lambda p, x, y: regression.least_squares(x, y, intercept=True)[:2],
    "huber": lambda p, x, y: regression.huber(x, y).params,
    "quantile": lambda p, x, y: regression.quantile(x, y).params,
    "glm": lambda p, x, y: regression.glm(x, y, intercept=True).params,
    "fit": lambda p, x, y: trained(regression.loss, p, x, y, steps=3),
    "fit, another loss": lambda p, x, y: trained(own_loss, p, x, y, steps=3),
    "fit, mini-batches": lambda p, x, y: trained(
        regression.loss, p, x, y, steps=3, batch_size=2, key=KEY
    ),
    "fit, batches": lambda p, x, y: trained(regression.loss, p, [(x[:3], y[:3]), (x[3:], y[3:])]),
    "fit, batches of a generator": lambda p, x, y: trained(
        regression.loss, p, (pair for pair in [(x[:3], y[:3]), (x[3:], y[3:])])
    ),
    "fit, batches by epoch": lambda p, x, y: trained(
        regression.loss, p, lambda epoch: [(x[:3], y[:3]), (x[3:], y[3:])], epochs=2
    ),
}
ALWAYS_FLOAT64 = {
    "Moments": lambda p, x, y: regression.moments(x[:2], y[:2]) + regression.moments(x[2:], y[2:]),
    "moments": lambda p, x, y: regression.moments(x, y),
    "moments_of_batches": lambda p, x, y: moments_of_batches([(x, y)]),
    "ridge": lambda p, x, y: regression.ridge(regression.moments(x, y), 0.5),
    "ridge of rows": lambda p, x, y: regression.ridge((x, y), 0.5, intercept=True),
    "lasso": lambda p, x, y: regression.lasso(regression.moments(x, y), 0.5),
    "lasso of rows": lambda p, x, y: regression.lasso((x, y), 0.5, intercept=True),
    "elastic_net": lambda p, x, y: regression.elastic_net(regression.moments(x, y), 0.5),
    "summary": lambda p, x, y: regression.summary(x, y, intercept=True).standard_errors,
    "powers": lambda p, x, y: regression.powers(x[:, 0], 2),
    "TwoFloats": lambda p, x, y: regression.least_squares(regression.powers(x[:, 0], 2), y).params,
}
FUNCTIONS = IN_DTYPE_OF_ARRAYS | ALWAYS_FLOAT64
# Their data is the loss's own: integers stay integers, and the settings are the user's.
OF_ANOTHER_LOSS = {"fit, another loss", "read_once, another loss"}
NOT_OF_ARRAYS = {"LeastSquares", "LostDigitsWarning", "Params", "rounding"}
NOT_OF_ARRAYS |= {"Generalised", "Huber", "Intervals", "Quantile", "Summary"}

X = np.array([[3.0, -1.0], [1.0, 2.0], [2.0, 5.0], [-2.0, 1.0], [4.0, 4.0], [0.0, -3.0]])
Y = np.array([2.0, 1.0, -3.0, 4.0, 1.0, 6.0])


def params(dtype, asarray=np.asarray):
    return Linear(asarray(np.array([0.5, -0.25], dtype)), asarray(np.array(0.125, dtype)))


def leaves(result):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(result) if leaf.dtype.kind == "f"]


@cache
def right(name):
    """The value in float64 for the table's own data."""
    return in_float64(name, X, Y)


def in_float64(name, x, y):
    """The value where all of JAX is in float64 and so are the arrays."""
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(each, np.float64)) for each in (x, y)]
        return leaves(FUNCTIONS[name](params(np.float64, jnp.asarray), *wide))


def test_every_public_function_has_its_row():
    of_fit = {name.split(",")[0].split(" of ")[0] for name in FUNCTIONS} - {
        "fit",
        "moments_of_batches",
    }
    assert of_fit | NOT_OF_ARRAYS == set(regression.__all__)


# The data of each row, and that of the parameters, and what comes out.
GIVEN = {
    "NumPy float64": (np.float64, np.float64, np.float64),
    "NumPy float64, parameters in float32": (np.float64, np.float32, np.float64),
    "NumPy float32": (np.float32, np.float32, np.float32),
    "NumPy int16": (np.int16, np.float32, np.float32),
    "NumPy int64": (np.int64, np.float64, np.float64),
    "big-endian": (">f8", np.float64, np.float64),
}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_dtype_of_the_arrays_is_computed_in(name, given):
    of_data, of_params, expected = GIVEN[given]
    if given == "big-endian" and name in OF_ANOTHER_LOSS:
        pytest.skip("JAX reads no such array, and the loss is JAX's alone")
    result = leaves(FUNCTIONS[name](params(of_params), X.astype(of_data), Y.astype(of_data)))
    if name in ALWAYS_FLOAT64:
        assert {leaf.dtype.name for leaf in result} == {"float64"}
    elif name in ("update", "value_and_grad", "step"):  # which keep the parameters' dtype
        assert {leaf.dtype.type for leaf in result} <= {expected, of_params}
    else:
        assert {leaf.dtype.type for leaf in result} == {expected}
    exact = expected == np.float64 == of_params or name in ALWAYS_FLOAT64
    for ours, wide in zip(result, right(name), strict=True):
        np.testing.assert_allclose(
            ours, wide, rtol=1e-12 if exact else 2e-5, atol=1e-12 if exact else 1e-5
        )
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize("name", FUNCTIONS)
def test_integers_beyond_32_bits_are_what_they_are(name):
    """Divided by 2**40, which rounds nothing, they give what small numbers do; wrapped, they would not."""
    if name in OF_ANOTHER_LOSS:
        pytest.skip("its integers stay integers: the next test")
    offset = 3_000_000_000
    x, y = X.astype(np.int64) * offset, Y.astype(np.int64) * offset
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", training.DivergenceWarning)
        ours = leaves(FUNCTIONS[name](params(np.float64), x, y))
        theirs = leaves(
            FUNCTIONS[name](params(np.float64), x.astype(np.float64), y.astype(np.float64))
        )
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_loss_of_ones_own_keeps_integers_even_those_beyond_32_bits():
    seen = []

    def loss(w, x, y):
        seen.append((x.dtype.name, y.dtype.name))
        return jnp.mean(jnp.square(w[y] * (x - 3_000_000_000) - 1))

    x, y = np.array([3_000_000_001, 3_000_000_002]), np.array([0, 1])
    result = fit(loss, np.zeros(2), x, y, optimizer=optax.sgd(0.2), steps=300)
    np.testing.assert_allclose(result.params, [1.0, 0.5], rtol=1e-12)
    assert set(seen) == {("int64", "int32")}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("dtype", "value", "error", "message"),
    [
        (np.int64, 2**53 + 1, ValueError, r"9007199254740993.*2\*\*53"),
        (np.uint64, 2**63 + 1, ValueError, r"9223372036854775809.*2\*\*53"),
        (np.longdouble, 1, TypeError, "float64: convert it"),
        (object, 1, TypeError, "must hold numbers, got an array of dtype object"),
    ],
)
def test_what_cannot_be_kept_is_refused(name, dtype, value, error, message):
    if name in OF_ANOTHER_LOSS:
        pytest.skip("its data is the loss's own")
    x = np.full((6, 2), value, dtype)
    with pytest.raises(error, match=message):
        FUNCTIONS[name](params(np.float64), x, Y)


def test_jax_arrays_are_promoted_as_jax_does():
    x, y = jnp.asarray(X, jnp.int32), jnp.asarray(Y, jnp.bfloat16)
    weights = jnp.ones(2, jnp.bfloat16)
    assert regression.predict(weights, x).dtype == jnp.bfloat16
    assert regression.loss(jnp.ones(2), x, y).dtype == jnp.float32


@pytest.mark.parametrize("transform", [jax.jit, jax.grad], ids=["jit", "grad"])
def test_under_a_tracer_the_traces_dtype_decides(transform):
    """NumPy's arrays are float32 there, as in all of JAX; integers that do not fit become floats before."""
    x = np.array([[3_000_000_000, 1], [1, 2]])
    out = transform(lambda w: regression.loss(w, x, np.zeros(2)))(jnp.array([1.0, 0.0]))
    assert jax.tree.leaves(out)[0].dtype == np.float32
    np.testing.assert_allclose(
        np.ravel(out)[0], {jax.jit: 4.5e18, jax.grad: 9e18}[transform], rtol=1e-6
    )


def test_a_second_derivative_of_an_answer_is_in_the_traces_dtype():
    """The weights of X s are those of X, divided by s; the targets beside the trace are NumPy's float64."""
    weights = np.linalg.lstsq(X, Y)[0]
    second = jax.hessian(lambda s: regression.least_squares(X * s, Y).params)(2.0)
    assert second.dtype == np.float32
    np.testing.assert_allclose(second, 2 * weights / 2**3, rtol=1e-5)


def test_lists_are_read_as_numpy_reads_them_and_numbers_follow_the_arrays():
    assert regression.predict(np.ones(2), [[1.0, 2.0]]).dtype == np.float64
    assert (
        regression.predict(Linear(np.ones(2, np.float32), 0.5), np.ones((1, 2), np.float32)).dtype
        == np.float32
    )
    trained = fit(own_loss, Linear(np.zeros(2), 0.0), X, Y, optimizer=SGD, steps=1).params
    assert (trained.weights.dtype, trained.bias.dtype) == (np.float64, np.float64)


def test_time_stamps_are_predicted():
    x = (1_700_000_000_000 + np.arange(20))[:, None]
    y = 3.0 * (x[:, 0] - 1_700_000_000_000) + 5
    answer = regression.least_squares(x, y, intercept=True)
    np.testing.assert_allclose(regression.predict(answer.params, x), y, rtol=1e-3, atol=1e-2)
    assert float(regression.loss(answer.params, x, y)) < 1e-5


def test_a_stream_is_float64_where_the_sums_are(tmp_path):
    table = np.column_stack([X, Y]) + 1e8 + 0.1
    np.save(tmp_path / "table.npy", table)
    stream = Stream(tmp_path / "table.npy", "x2")
    ours, exact = regression.moments(stream), regression.moments(table[:, :2], table[:, 2])
    for name in ("x_mean", "y_mean", "xx", "xy", "yy"):
        np.testing.assert_allclose(getattr(ours, name), getattr(exact, name), rtol=1e-12)
    assert (
        fit(regression.loss, jnp.zeros(2), stream, optimizer=optax.sgd(1e-20)).params.dtype
        == np.float64
    )


def test_a_later_batch_of_a_wider_dtype_is_refused():
    narrow, wide = (X.astype(np.float32), Y.astype(np.float32)), (X, Y)
    with pytest.raises(TypeError, match="give all batches in one dtype"):
        fit(regression.loss, jnp.zeros(2), [narrow, wide], optimizer=SGD)


def test_parameters_that_are_integers_are_not_updated():
    with pytest.raises(TypeError, match="floating point, got dtype int"):
        regression.update(np.array([1, 2]), np.array([1.0, 2.0]))


STRICT = {
    "rank promotion": lambda: jax.numpy_rank_promotion("raise"),
    "dtype promotion": lambda: jax.numpy_dtype_promotion("strict"),
    "NaN": lambda: jax.debug_nans(True),
    "infinity": lambda: jax.debug_infs(True),
    "tracer leaks": lambda: jax.check_tracer_leaks(True),
    "transfers": lambda: jax.transfer_guard("disallow"),
}


@pytest.mark.parametrize("strict", STRICT)
@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - OF_ANOTHER_LOSS))
def test_strict_settings_are_for_the_users_own_code(name, strict):
    # Three rows for three parameters: standard errors have no meaning, and are NaN.
    arguments = params(np.float32), X[:4], Y[:4].astype(np.int64)
    expected = leaves(FUNCTIONS[name](*arguments))
    with STRICT[strict]():
        got = leaves(FUNCTIONS[name](*arguments))
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_nan_that_means_something_is_no_error():
    with jax.debug_nans(True):
        answer = regression.least_squares(np.eye(3) + 1, np.arange(3.0))
    assert np.isnan(answer.standard_errors).all()


@pytest.mark.parametrize("first", ["lenient", "strict"])
def test_a_loss_of_ones_own_is_traced_under_ones_own_settings(first):
    def loss(w, x, y):
        return jnp.mean(jnp.square((x @ w)[:, None] - y))

    def run():
        return fit(
            loss, jnp.zeros(2), X.astype(np.float32), Y.astype(np.float32), optimizer=SGD, steps=1
        )

    if first == "lenient":
        run()
    with jax.numpy_rank_promotion("raise"), pytest.raises(ValueError, match="rank_promotion"):
        run()
    run()
