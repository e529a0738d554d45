"""A mean over rows: the numbers are the plain form's, however the rows are read."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.regression import Linear, one_pass
from funcgrad.training import row_weighted

RNG = np.random.default_rng(0)
ROWS, FEATURES = 3017, 5  # several turns of the loop, and rows left over
X = RNG.normal(size=(ROWS, FEATURES)).astype(np.float32)
SCORE = X @ np.array([1.0, -0.5, 0.3, 0.0, 0.7]) + RNG.normal(size=ROWS)
W = np.array([0.3, -0.2, 0.1, 0.4, -0.1], np.float32)

# An error by row, the targets it is for, and the same written out for NumPy.
ERRORS = {
    "squared": (lambda p, y: (p - y) ** 2, SCORE),
    "logistic": (optax.losses.sigmoid_binary_cross_entropy, SCORE > 0),
    "Poisson": (lambda p, y: jnp.exp(p) - y * p, np.floor(np.exp(np.clip(SCORE, -3, 3)))),
    "Huber": (optax.losses.huber_loss, SCORE),
    "quantile": (lambda p, y: jnp.maximum(0.9 * (y - p), 0.1 * (p - y)), SCORE),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(one_pass, "_BLOCK_BYTES", 32 * FEATURES * 4)
    monkeypatch.setattr(one_pass, "_BLOCKS_AT_ONCE", 2)
    monkeypatch.setattr(one_pass, "_FEWEST_TURNS", 4)


@pytest.fixture
def problem(request):
    """An error of its own for each test, because a loss is compiled once for the blocks it found."""
    error, y = ERRORS[request.param]
    return (lambda p, y: error(p, y)), y.astype(np.float32)


def plain(error):
    def loss(params, x, y):
        weights, bias = params if isinstance(params, Linear) else (params, 0.0)
        return jnp.mean(error(x @ weights + bias, y))

    return loss


def assert_close(got, wanted, **tolerance):
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, **({"rtol": 1e-5, "atol": 1e-6} | tolerance))


def in_float64(error, params, y):
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (params, X, y))
        return jax.jit(jax.value_and_grad(plain(error)))(*wide)


@pytest.mark.parametrize("problem", ERRORS, indirect=True)
@pytest.mark.parametrize("params", [W, Linear(W, np.float32(0.5))], ids=["weights", "with bias"])
def test_value_and_gradient_are_those_of_exacter_arithmetic(problem, params):
    error, y = problem
    ours = jax.jit(jax.value_and_grad(regression.mean_loss(error)))
    assert "while" in ours.lower(params, X, y).as_text()  # the form under test is the one that runs
    exact = in_float64(error, params, y)
    assert_close(ours(params, X, y), exact)
    value = jax.jit(regression.mean_loss(error))(params, X, y)
    assert_close(value, exact[0])


@pytest.mark.parametrize("problem", ["Poisson", "Huber"], indirect=True)
def test_derivatives_of_any_order_and_mode_and_by_the_data_are_the_plain_forms(problem):
    error, y = problem
    ours, theirs, params = regression.mean_loss(error), plain(error), Linear(W, np.float32(0.5))
    for transform in (
        jax.hessian,
        lambda f: jax.jacrev(jax.jacrev(f)),
        lambda f: jax.grad(f, argnums=(1, 2)),
        lambda f: jax.jacfwd(jax.grad(f), argnums=2),
    ):
        got = jax.jit(transform(ours))(params, X, y)
        assert_close(got, jax.jit(transform(theirs))(params, X, y), atol=1e-5)
    direction = Linear(np.ones_like(W), np.float32(1.0))
    assert_close(
        *(
            jax.jit(lambda p, d, loss=loss: jax.jvp(lambda p: loss(p, X, y), (p,), (d,)))(
                params, direction
            )
            for loss in (ours, theirs)
        )
    )


@pytest.mark.parametrize("problem", ["squared"], indirect=True)
def test_a_mapped_axis_of_weights_or_data_is_each_alone(problem):
    error, y = problem
    ours = jax.jit(jax.value_and_grad(regression.mean_loss(error)))
    several = np.stack([W, 2 * W, -W])
    assert_close(
        jax.jit(jax.vmap(ours, in_axes=(0, None, None)))(several, X, y),
        jax.tree.map(lambda *leaves: np.stack(leaves), *(ours(w, X, y) for w in several)),
    )
    data = np.stack([X, 2 * X])
    assert_close(
        jax.jit(jax.vmap(ours, in_axes=(None, 0, None)))(W, data, y),
        jax.tree.map(lambda *leaves: np.stack(leaves), *(ours(W, x, y) for x in data)),
    )


@pytest.mark.parametrize("problem", ["logistic"], indirect=True)
def test_float64_and_several_outputs_and_few_rows_take_the_same_words(problem):
    error, y = problem
    loss = regression.mean_loss(error)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (W, X, y))
        assert_close(jax.jit(jax.value_and_grad(loss))(*wide), in_float64(error, W, y), rtol=1e-12)
    ours, theirs = (jax.jit(jax.value_and_grad(each)) for each in (loss, plain(error)))
    both = ours(np.stack([W, W], 1), X, np.stack([y, y], 1))
    value, grad = ours(W, X, y)
    assert_close(both[0], value)
    assert_close(both[1].sum(axis=1), grad)
    assert_close(ours(W, X[:7], y[:7]), theirs(W, X[:7], y[:7]))


def test_fit_trains_it_to_scikit_learns_answer():
    linear_model = pytest.importorskip("sklearn.linear_model")
    y = (SCORE > 0).astype(np.float32)
    logistic = regression.mean_loss(optax.losses.sigmoid_binary_cross_entropy)
    start = Linear(jnp.zeros(FEATURES), jnp.zeros(()))
    result = fit(logistic, start, X, y, optimizer=optax.lbfgs(), steps=50)
    theirs = linear_model.LogisticRegression(C=np.inf, tol=1e-8).fit(X, y)
    np.testing.assert_allclose(result.params.weights, theirs.coef_[0], rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("outputs", [1, 2])
def test_weighted_rows_count_as_often_as_their_weights_say(outputs):
    error = ERRORS["Huber"][0]
    y = SCORE.astype(np.float32) if outputs == 1 else np.stack([SCORE, -SCORE], 1)
    params = W if outputs == 1 else np.stack([W, W], 1)
    counts = RNG.integers(0, 3, ROWS)
    weighted = jax.value_and_grad(row_weighted(regression.mean_loss(error)))
    repeated = np.repeat(X, counts, axis=0), np.repeat(y, counts, axis=0)
    plainly = jax.value_and_grad(lambda w, x, y: jnp.mean(error(x @ w, y)))
    assert_close(
        jax.jit(weighted)(params, X, y, counts.astype(np.float32)),
        jax.jit(plainly)(params, *repeated),
    )


def test_the_same_error_gives_the_same_loss():
    error = ERRORS["squared"][0]
    assert regression.mean_loss(error) is regression.mean_loss(error)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((W, X, SCORE[:, None]), ValueError, r"y of shape \(3017, 1\).*\(3017,\)"),
        ((W, X[:, :3], SCORE), ValueError, "has 3 features, the weights have 5"),
        ((W, X[:0], SCORE[:0]), ValueError, "over no errors"),
        ((W, X, SCORE * 1j), TypeError, "y must be real"),
        ((np.ones(5, int), X, SCORE), TypeError, "weights must be real floating point"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        regression.mean_loss(ERRORS["squared"][0])(*arguments)


def test_an_error_that_is_not_elementwise_is_refused():
    with pytest.raises(ValueError, match=r"the error of each element.*\(3017,\).*got \(\)"):
        regression.mean_loss(lambda p, y: jnp.mean(p - y))(W, X, SCORE.astype(np.float32))


def test_the_weighted_mean_is_numpys_average():
    loss = regression.mean_loss(optax.losses.l2_loss)
    x, y, counts = np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 0.0, 3.0]), np.array([1, 0, 3])
    w = np.array([0.5])
    # ((0.5 - 1)² + 3 (2 - 3)²) / 8 and (-0.5 + 3 · -4) / 4
    value = loss(w, x, y, counts)
    assert (float(value), value.dtype) == (0.40625, np.float64)
    single = [each.astype(np.float32) for each in (w, x, y, counts)]
    value, slope = jax.jit(jax.value_and_grad(loss))(*single)
    assert (float(value), value.dtype, slope.tolist()) == (0.40625, np.float32, [-3.125])
    assert jax.grad(loss)(*single).tolist() == [-3.125]
    with pytest.raises(ValueError, match="weights must be finite, 0 or more"):
        loss(w, x, y, [1, -1, 1])


NET = {
    "in": RNG.normal(size=(FEATURES, 4)).astype(np.float32),
    "bias": np.zeros(4, np.float32),
    "out": RNG.normal(size=(4, 3)).astype(np.float32),
}
CLASSES = RNG.integers(0, 3, ROWS)
TARGETS = RNG.normal(size=(ROWS, 3)).astype(np.float32)


def net(params, x):
    return jnp.tanh(x @ params["in"] + params["bias"]) @ params["out"]


def squares(params, x, y):
    return jnp.square(net(params, x) - y)


def of_row(params, x, y):
    return jnp.sum(squares(params, x, y))


def in_columns(params, x, y):
    hidden = jnp.tanh(params["in"].T @ x.T + params["bias"][:, None])
    return jnp.mean(jnp.square(params["out"].T @ hidden - y.T))


def normalised(x, axis):
    return (x - x.mean(axis, keepdims=True)) / (1 + x.std(axis, keepdims=True))


MEANS = {
    "a perceptron": (lambda p, x, y: jnp.mean(squares(p, x, y)), TARGETS),
    "each row mapped": (lambda p, x, y: 0.5 * jax.vmap(of_row, (None, 0, 0))(p, x, y).mean(), TARGETS),
    "a sum over the number": (lambda p, x, y: jnp.sum(squares(p, x, y)) / len(x), TARGETS),
    "rows as columns": (in_columns, TARGETS),
    "two means and a penalty": (
        lambda p, x, y: squares(p, x, y).mean() - 0.1 * net(p, x).mean() + jnp.sum(p["in"] ** 2),
        TARGETS,
    ),
    "shares of classes": (
        lambda p, x, y: optax.softmax_cross_entropy(net(p, x), jax.nn.softmax(y)).mean(), TARGETS,
    ),
    "classes": (
        lambda p, x, y: optax.softmax_cross_entropy_with_integer_labels(net(p, x), y).mean(), CLASSES,
    ),
    "a table of the params": (lambda p, x, y: jnp.mean(p["out"].T[y] * jax.nn.relu(x[:, :4])), CLASSES),
    "rows normalised": (
        lambda p, x, y: squares(p, normalised(x, 1), y).max(axis=1).mean(axis=0), TARGETS,
    ),
    "pytrees": (lambda p, x, y: squares(p, x["a"], y[0]).mean() * 2, (TARGETS, CLASSES)),
}  # fmt: skip


@pytest.mark.parametrize("kind", MEANS)
def test_the_gradient_of_any_mean_over_rows_is_its_own(kind):
    loss, y = MEANS[kind]
    x = {"a": X, "b": CLASSES} if kind == "pytrees" else X
    ours = jax.jit(jax.value_and_grad(regression.read_once(loss)))
    assert "while" in ours.lower(NET, x, y).as_text()
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, jnp.float64 if leaf.dtype.kind == "f" else None),
            (NET, x, y),
        )
        exact = jax.jit(jax.value_and_grad(loss))(*wide)
    assert_close(ours(NET, x, y), exact, atol=1e-5)
    few = jax.tree.map(lambda leaf: leaf[:7], (x, y))
    assert_close(jax.jit(regression.read_once(loss))(NET, *few), jax.jit(loss)(NET, *few))


def test_derivatives_of_a_loss_read_once_are_the_plain_forms():
    loss = MEANS["classes"][0]
    ours = regression.read_once(loss)
    assert regression.read_once(loss) is ours
    for transform in (
        jax.hessian,
        lambda f: jax.grad(f, argnums=1),
        lambda f: jax.jacfwd(jax.grad(f), argnums=1),
    ):
        got, wanted = (jax.jit(transform(f))(NET, X[:300], CLASSES[:300]) for f in (ours, loss))
        assert_close(got, wanted, atol=1e-5)
    with_classes = jax.jit(jax.grad(ours, argnums=1))(NET, X, CLASSES)
    assert_close(with_classes, jax.jit(jax.grad(loss, argnums=1))(NET, X, CLASSES))


def test_a_net_is_trained_as_by_its_plain_loss():
    loss, y = MEANS["classes"]
    trained = [
        fit(each, NET, X, y, optimizer=optax.sgd(0.3), steps=20).params
        for each in (loss, regression.read_once(loss))
    ]
    assert_close(*trained, atol=1e-4)


PER_ROW = jnp.asarray(TARGETS)
NO_MEANS = {
    "a sum": (lambda p, x, y: jnp.sum(squares(p, x, y)), "not divided by their number"),
    "a sum over a number": (lambda p, x, y: jnp.sum(squares(p, x, y)) / ROWS, "not divided by"),
    "a root": (lambda p, x, y: jnp.sqrt(squares(p, x, y).mean()), "'sqrt' is applied to a sum"),
    "the largest": (lambda p, x, y: jnp.max(squares(p, x, y)), "'reduce_max' may mix rows"),
    "columns normalised": (
        lambda p, x, y: squares(p, normalised(x, 0), y).mean(), "is applied to a sum over rows",
    ),
    "rows turned around": (lambda p, x, y: squares(p, x[::-1], y).mean(), "'rev' may mix rows"),
    "differences": (lambda p, x, y: jnp.diff(net(p, x), axis=0).mean(), "'slice' may mix rows"),
    "running sums": (lambda p, x, y: jnp.cumsum(net(p, x), 0).mean(), "'cumsum' may mix rows"),
    "pairs": (lambda p, x, y: jnp.mean(x @ x.T), "'dot_general' makes pairs of rows"),
    "a median": (lambda p, x, y: jnp.median(squares(p, x, y)), "may mix rows"),
    "halves": (lambda p, x, y: net(p, x).reshape(7, -1)[0].mean(), "another number of rows"),
    "rows in a line": (lambda p, x, y: jnp.mean(net(p, x).ravel()[::2]), "'reshape' may mix rows"),
    "the place of a row": (
        lambda p, x, y: jnp.mean(jnp.arange(len(x)) * net(p, x)[:, 0]), "differs from row to row",
    ),
    "the place of a row, by NumPy": (
        lambda p, x, y: jnp.mean(np.arange(len(x)) * net(p, x)[:, 0]), "a value for each row",
    ),
    "a weighted mean": (
        lambda p, x, y: jnp.average(net(p, x)[:, 0], weights=y[:, 0]), "'div' is applied to a sum",
    ),
    "targets from elsewhere": (lambda p, x, y: squares(p, x, PER_ROW).mean(), "another number of rows"),
    "no rows": (lambda p, x, y: jnp.sum(p["in"]), "it has no sum over rows"),
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_MEANS)
def test_a_loss_that_is_no_mean_over_rows_is_refused_by_name(kind):
    loss, said = NO_MEANS[kind]
    with pytest.raises(ValueError, match=said):
        regression.read_once(loss)(NET, X, TARGETS)
