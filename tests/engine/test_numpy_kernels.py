"""Kernels of NumPy calls give what XLA gives: the same dtypes and shapes, values to rounding, at the edges too."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy import special

from funcgrad.engine.kernels import numpy_kernel
from funcgrad.engine.kernels.elementwise import erf, log1p, select
from funcgrad.engine.kernels.places import combine, in_order, order_of
from funcgrad.engine.values import with_wide_types

RNG = np.random.default_rng(0)
F = RNG.normal(size=(4, 3)).astype(np.float32)
D = RNG.normal(size=(3, 4))
V = np.array([1.5, -2.5, 0.5], np.float32)
EDGES = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 1e38], np.float32)
N = np.array([7, -7, 0, 5, -(2**31), 2**31 - 1], np.int32)
J = np.array([2, 2, 0, -3, -1, 0], np.int32)
B = np.array([True, False, True])
POSITIONS = np.array([2, 0, 2, -1, 9], np.int32)

CASES = {
    "product of a matrix and a vector": (lambda x, v: x @ v, F, V),
    "product transposed": (lambda x, y: x.T @ y, F, F),
    "product of both transposed": (lambda x, y: x.T @ y.T, F, D.astype(np.float32)),
    "products of a batch": (lambda x: jnp.einsum("bij,bjk->bik", x, x), F.reshape(3, 2, 2)),
    "contraction of two axes": (lambda x: jnp.einsum("ijk,ijl->kl", x, x), F.reshape(2, 2, 3)),
    "outer product": (lambda v: jnp.einsum("i,j->ij", v, v), V),
    "diagonal of a product": (lambda x: jnp.einsum("ij,ij->i", x, x), F),
    "product of integers": (lambda x: x @ x, N[:3]),
    "mean and deviation": (lambda x: (x.mean(0), x.std(1)), F),
    "taken apart": (lambda x: (jnp.unstack(x, axis=1), jnp.unstack(x)[2] * 2), F),
    "softmax": (lambda x: jax.nn.softmax(x, axis=1), F),
    "gradient of log_softmax": (jax.grad(lambda x: jax.nn.log_softmax(x, axis=1)[0, 1]), F),
    "gradient of the largest": (jax.grad(lambda x: x.max(1).sum()), F),
    "sums and extremes of one element": (
        lambda x: (x[:, :, None].sum(2), x[None, :, 1:2].sum((0, 2)), x[:1].max(0), x[:1].prod(0)),
        np.where(F > 0.5, np.float32(-0.0), F),
    ),
    "a result that is written into an array that nothing else reads": (
        lambda x: (y := x * 2, z := y + 1, (z - x).T.reshape(-1), jnp.exp(y - z) * y),
        F,
    ),
    "a view of an array that could be written into": (
        lambda x: (lambda y: (y.T, (y.reshape(-1) + 1).reshape(y.shape) * y))(x + 1),
        F,
    ),
    "chosen by rows": (
        lambda x, b: (jnp.where(b[:, None, None], 0.0, x), jnp.where(b[:, None, None], x, 0.0)),
        np.zeros((3, 64, 64), np.float32) + EDGES[:1],
        B,
    ),
    "sums of negative terms": (
        lambda x, n: ((-x).sum(1), (-(x * 0)).sum(0), (-n).sum(), -x, (-x[:, :1]).sum(1)),
        F,
        N,
    ),
    "made of constants": (
        lambda x: (jnp.arange(4)[:, None] >= jnp.arange(3), x * (jnp.arange(3) + 1).T),
        F,
    ),
    "sums of nothing": (lambda x: (x[:0].sum(0), x[:0].prod(0)), F),
    "largest of nothing, with a start": (lambda x: x[:0].max(0, initial=-jnp.inf), F),
    "sum along the first of many": (lambda x: x.sum(0), np.full((3001, 2), 0.1, np.float32)),
    "sum of bytes wraps": (lambda x: x.sum(dtype=jnp.uint8), np.full(5, 200, np.uint8)),
    "any and all": (lambda b: (b.any(), b.all(), (~b).sum()), B),
    "positions of extremes": (lambda x: (x.argmax(), x.argmin(), jnp.argmax(x[3:])), EDGES),
    "running sums": (lambda x: (jnp.cumsum(x, 0), lax.cumsum(x, 1, reverse=True)), F),
    "running extremes": (
        lambda x: (lax.cummax(x, 0), lax.cumprod(x, 1), lax.cumlogsumexp(x, 0)),
        F,
    ),
    "sorted": (lambda x: (jnp.sort(x, 0), jnp.argsort(x, 1)), F),
    "sorted with NaN": (lambda x: jnp.sort(x), EDGES),
    "sorted by two keys": (lambda x, y: lax.sort((x, y, x + y), num_keys=2), J, N),
    "comparisons at the edges": (lambda x: (x < 1, x == x, x != 0.5, jnp.isfinite(x)), EDGES),
    "extremes at the edges": (lambda x: (jnp.maximum(x, 1), jnp.minimum(x, 1)), EDGES),
    "clamped at the edges": (lambda x: lax.clamp(np.float32(-1), x, np.float32(1)), EDGES),
    "rounded to even": (lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), EDGES),
    "rounded away": (lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO), EDGES),
    "signs and parts": (lambda x: (jnp.sign(x), jnp.floor(x), jnp.ceil(x), jnp.abs(x)), EDGES),
    "floats to integers": (lambda x: x.astype(jnp.int32), EDGES),
    "floats to bytes": (lambda x: x.astype(jnp.uint8), np.array([0.5, 255.0, 254.9], np.float32)),
    "floats to wide integers": (lambda x: x.astype(jnp.int64), EDGES),
    "floats to bools and back": (lambda x: x.astype(bool).astype(jnp.float32), EDGES),
    "quotients of integers": (lambda x, y: lax.div(x, y), N, J),
    "remainders of integers": (lambda x, y: lax.rem(x, y), N, J),
    "remainders of floats": (lambda x: lax.rem(x, np.float32(0.7)), EDGES),
    "whole quotients": (lambda x, y: (x // y, x % y), N[:2], J[:2]),
    "powers": (lambda x: (x**2, x**3, x**-2, x**0.5, jnp.abs(x) ** 1.3), F),
    "bits": (lambda x, y: (x & y, x | y, x ^ y, ~x, x << 2, x >> 1), N, J),
    "roots and logistics": (lambda x: (lax.rsqrt(x * x), jax.nn.sigmoid(x), jnp.cbrt(x)), F),
    "special functions": (lambda x: (lax.erf(x), lax.erfc(x), lax.lgamma(jnp.abs(x) + 1)), F),
    "exponentials": (lambda x: (jnp.exp(x), jnp.expm1(x), jnp.log1p(jnp.abs(x)), jnp.tanh(x)), F),
    "bits of floats": (
        lambda x: lax.bitcast_convert_type(x, jnp.int32) & 0x7FFFF000,
        EDGES,
    ),
    "derivative of the error function": (jax.grad(lambda x: lax.erf(x).sum()), F),
    "trigonometry": (lambda x: (jnp.sin(x), jnp.arctan2(x, x + 1), jnp.arcsinh(x)), F),
    "chosen": (lambda x: jnp.where(x > 0, x, 0.0), F),
    "padded": (lambda x: lax.pad(x, np.float32(9), ((-1, 2, 1), (1, -2, 0))), F),
    "padded, cut to nothing": (lambda x: lax.pad(x, np.float32(9), ((-3, -1, 0), (1, 1, 2))), F),
    "padded inside and cut": (lambda x: lax.pad(x, np.float32(9), ((-3, 1, 2), (2, -4, 1))), F),
    "slices": (
        lambda x: (x[1:3], x[::-1, ::2], x[None, 0], lax.slice(x, (0, 1), (4, 3), (2, 1))),
        F,
    ),
    "window that is moved inside": (
        lambda x, i: lax.dynamic_slice(x, (i, i), (2, 2)),
        F,
        np.int32(3),
    ),
    "window written": (
        lambda x, i: lax.dynamic_update_slice(x, x[:2, :2] * 2, (i, i)),
        F,
        np.int32(9),
    ),
    "joined and parted": (lambda x: jnp.split(jnp.concatenate([x, x * 2]), [3, 5]), F),
    "counted": (lambda x: jnp.tril(x) + lax.broadcasted_iota(jnp.float32, (4, 3), 0), F),
    "looked up": (lambda x, i: x[i[:3]], F, POSITIONS),
    "looked up outside, filled": (lambda x, i: x.at[i].get(mode="fill"), F, POSITIONS),
    "looked up outside, clipped": (lambda x, i: x.at[:, i].get(mode="clip"), F, POSITIONS),
    "looked up along an axis": (lambda x: jnp.take_along_axis(x, jnp.argsort(x, 1), 1), F),
    "looked up by two indices": (lambda x, i: x[i[:3], i[1:4]], F, POSITIONS),
    "gradient of what was looked up": (
        jax.grad(lambda x, i: (x[i[:3]] ** 2).sum()),
        F,
        POSITIONS,
    ),
    "put": (lambda x, i: x.at[i[:2]].set(5.0), F, POSITIONS),
    "put outside": (lambda x, i: x.at[i].set(5.0, mode="drop"), F, POSITIONS),
    "added at repeated places": (lambda x, i: x.at[i].add(1.0), F, POSITIONS),
    "largest at places": (lambda x, i: x.at[1, i[:3]].max(0.0), F, POSITIONS),
    "product at places": (lambda x, i: x.at[:, i[:3]].multiply(2.0), F, POSITIONS),
    "float64 stays": (lambda x: (x @ x.T, x.sum(), jnp.tanh(x)), D),
    "the same along an axis": (lambda x: (jnp.ones_like(x) * x[:1] + x[:, :1], x[:1] * 2), F),
    "of numbers without dimensions": (lambda x: (x * 2 + 1).reshape(1, 1), np.float32(3)),
    "a loop over steps": (lambda x, v: lax.scan(lambda c, a: (c * a, (c, a @ v)), x[0], x), F, V),
    "a loop backwards, of one result": (
        lambda x: lax.scan(lambda c, a: (c + a, None), x[0], x, reverse=True)[0],
        F,
    ),
    "gradient of a loop": (
        jax.grad(lambda x: lax.scan(lambda c, a: (jnp.tanh(c + a), c), x[0], x)[1].sum()),
        F,
    ),
    "an argument itself": (lambda x, y: (x, y), F, V),
}


IMAGES = RNG.normal(size=(2, 4, 6, 7))


def convolution(channels, window, results=6, **facts):
    """A convolution of the images, and its derivatives by images and weights."""
    weights = RNG.normal(size=(results, channels, *window))
    facts = {"window_strides": (1, 1), "padding": ((1, 1), (0, 2)), **facts}

    def function(x, w):
        made, pull = jax.vjp(
            lambda x, w: lax.conv_general_dilated(x, w, precision="highest", **facts), x, w
        )
        return made, *pull(jnp.cos(made))

    return function, IMAGES, weights


CASES |= {
    "convolution": convolution(4, (3, 2)),
    "convolution in steps": convolution(4, (3, 2), window_strides=(2, 3)),
    "convolution spread out": convolution(4, (2, 3), rhs_dilation=(2, 1), lhs_dilation=(1, 2)),
    "convolution in groups": convolution(2, (3, 3), feature_group_count=2, window_strides=(2, 1)),
    "convolution of single elements": convolution(2, (1, 1), feature_group_count=2),
    "convolution by one large window": convolution(4, (7, 9)),
    "convolution with rows cut off": convolution(4, (2, 2), padding=((-1, 0), (1, -2))),
    "convolution of many channels": convolution(4, (3, 2), rhs_dilation=(1, 2), results=130),
    "convolution to one channel": convolution(4, (3, 2), window_strides=(1, 2), results=1),
    "convolution of nothing": convolution(4, (3, 3), padding=((0, -6), (0, 0))),
}


def both(function, *arrays):
    closed = with_wide_types(jax.make_jaxpr(function), *arrays)
    kernel = numpy_kernel(closed)
    expected = jax.tree.leaves(with_wide_types(jax.jit(function), *arrays))
    return kernel, expected


@pytest.mark.parametrize("case", CASES)
def test_a_kernel_gives_what_xla_gives(case):
    function, *arrays = CASES[case]
    kernel, expected = both(function, *arrays)
    kept = [np.array(array) for array in arrays]
    with np.errstate(all="ignore"):
        results = kernel(*arrays)
    results = results if isinstance(results, tuple) else (results,)
    assert len(results) == len(expected)
    for mine, theirs in zip(results, expected, strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(mine, theirs, rtol=3e-6, atol=1e-6)
    for array, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    ("function", "array"),
    [
        (lambda x: x * 2, F.astype(np.complex64)),
        (lambda x: x.sum(), F.astype(np.float16)),
        (lambda x: x * 2, jnp.asarray(F, jnp.bfloat16)),
        (lambda x: lax.while_loop(lambda y: y.sum() < 100, lambda y: y * 2, jnp.abs(x)), F),
        (lambda x: lax.scan(lambda c, _: (c + 1, None), x, None, 100_000)[0], F),
        (lambda x: jnp.linalg.inv(x @ x.T + jnp.eye(4)), F),
    ],
    ids=[
        "complex numbers",
        "half precision",
        "bfloat16",
        "a loop",
        "many steps",
        "a factorisation",
    ],
)
def test_what_numpy_does_not_compute_as_xla_does_is_left_to_xla(function, array):
    assert numpy_kernel(with_wide_types(jax.make_jaxpr(function), array)) is None


def test_a_result_that_follows_from_constants_is_made_for_each_call():
    closed = jax.make_jaxpr(lambda x: (jnp.arange(4)[:, None] >= jnp.arange(3), x))(F)
    kernel = numpy_kernel(closed)
    first, _ = kernel(F)
    first[...] = False
    assert kernel(F)[0].any()


def test_infinity_beside_a_window_is_not_met():
    images = IMAGES.copy()
    images[0, 0, 1, 0], images[1, 2, 0, 6] = np.inf, np.nan
    weights, gradient = RNG.normal(size=(6, 4, 3, 2)), RNG.normal(size=(2, 6, 4, 6))

    def by_weights(x, gradient):
        made = partial(lax.conv_general_dilated, x, window_strides=(1, 1), padding="VALID")
        return jax.vjp(made, weights)[1](gradient)

    kernel, (expected,) = both(by_weights, images, gradient)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(np.isfinite(kernel(images, gradient)), np.isfinite(expected))
    assert 0 < np.isfinite(expected).sum() < expected.size


def test_a_long_sum_is_as_exact_as_xlas():
    x = RNG.random((200_000, 2)).astype(np.float32)
    kernel, _ = both(lambda x: x.sum(0), x)
    np.testing.assert_allclose(kernel(x), x.astype(np.float64).sum(0), rtol=2e-7)


def test_a_part_does_not_keep_the_whole_alive():
    whole = np.zeros((100, 100), np.float32)
    for function in (
        lambda x: x[0],
        lambda x: x[:, ::50],
        lambda x: lax.dynamic_slice(x, (3, 4), (2, 2)).T.reshape(4),
        lambda x: jnp.split(x, [1, 2])[0],
        lambda x: x[jnp.array([1, 2])],
    ):
        (part,) = jax.tree.leaves(both(function, whole)[0](whole))
        while part.base is not None:
            part = part.base
        assert part.size < whole.size


MANY = RNG.normal(size=(2, 3000))
MANY_UPDATES = 5000
SPECIALS = np.array([-0.0, 0.0, np.nan, np.inf, -np.inf, 1.0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("kinds", ["arrays", "zero first", "zero last", "minus zero", "numbers"])
def test_a_choice_between_many_elements_keeps_each_bit(dtype, kinds):
    whole = np.dtype(dtype).kind != "f"
    x = np.resize(np.array([0, 1, 1, 0, 1]) if whole else SPECIALS, MANY.shape).astype(dtype)
    y, zero = x[:, ::-1], np.zeros((), dtype)
    chosen, other = {
        "arrays": (x, y),
        "zero first": (zero, y),
        "zero last": (x, zero),
        "minus zero": (-zero if dtype.startswith("f") else zero, y),
        "numbers": (zero, np.ones((), dtype)),
    }[kinds]
    for mask in (MANY > 0, MANY.T.copy().T > 0):
        made = select(mask, chosen, other)
        assert made.dtype == dtype
        np.testing.assert_array_equal(
            made.copy("C").view(np.uint8), np.where(mask, chosen, other).copy("C").view(np.uint8)
        )


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 3e-7), ("float64", 6e-16)])
def test_a_logarithm_of_many_elements_is_as_exact_as_one(dtype, digits):
    tiny = np.finfo(dtype).tiny
    edges = [np.nan, np.inf, -1.0, -2.0, 0.0, -0.0, tiny, -tiny, 1e-30, 1e30, np.finfo(dtype).max]
    spread = 10 ** RNG.uniform(-20, 3, 6000)
    x = np.concatenate([edges, spread, -spread / 1001]).astype(dtype)
    with np.errstate(all="ignore"):
        made, expected = log1p(x), np.array([np.log1p(each) for each in x.astype(np.longdouble)])
    assert made.dtype == dtype
    np.testing.assert_allclose(made, expected.astype(dtype), rtol=digits)
    np.testing.assert_array_equal(np.signbit(made[4:6]), [False, True])


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 4e-7), ("float64", 3e-16)])
def test_the_error_function_of_many_elements(dtype, digits):
    edges = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-30, 3.8325, -3.9, 10.0]
    spread = np.linspace(-4.5, 4.5, 100_000)
    x = np.concatenate([edges, spread, spread / 1e6]).astype(dtype)
    made = erf(x.reshape(2, -1).T, special.erf).T.reshape(-1)
    assert made.dtype == dtype
    np.testing.assert_allclose(made, special.erf(x.astype(float)).astype(dtype), rtol=digits)
    np.testing.assert_array_equal(np.signbit(made[3:5]), [False, True])
    assert np.nanmax(np.abs(made)) == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "int8", "bool"])
def test_many_elements_are_sorted_stably(dtype, axis):
    whole = np.dtype(dtype).kind != "f"
    x = RNG.normal(size=(20, 11, 30)) if dtype != "int32" else RNG.integers(-(2**31), 2**31, 6600)
    x = x.astype(dtype).reshape(20, 11, 30)
    x[::3, ::2] = x[0, 0]  # some are equal
    without_zeros = x.copy()
    x.reshape(-1)[:300:7] = (
        0 if whole else np.resize([-0.0, 0.0, np.nan, -np.nan, np.inf, -np.inf], 43)
    )
    np.testing.assert_array_equal(order_of(axis, x), np.argsort(x, axis, "stable"))
    np.testing.assert_array_equal(order_of(axis, x[::-1]), np.argsort(x[::-1], axis, "stable"))
    for each in (x, without_zeros):
        made, expected = in_order(each, axis), np.sort(each, axis, "stable")
        np.testing.assert_array_equal(made, expected)
        np.testing.assert_array_equal(np.signbit(made * 1.0), np.signbit(expected * 1.0))


@pytest.mark.parametrize("function", [np.add, np.multiply, np.minimum, np.maximum])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize(
    ("shape", "indexed", "order"),
    [
        ((5000,), 1, None),
        ((7, 9), 1, None),
        ((7, 9), 2, None),
        ((3, 600), 1, None),
        ((4, 5, 6), 2, None),
        ((4, 5, 6), 1, (2, 0, 1)),
        ((2, 3, 600), 2, (1, 0, 2)),
    ],
)
def test_many_updates_are_combined_as_by_numpy(function, dtype, shape, indexed, order):
    made = (3 * RNG.normal(size=shape)).astype(dtype)
    expected = made.copy()
    target, wanted = (each.transpose(order) if order else each for each in (made, expected))
    count = -(-MANY_UPDATES // int(np.prod(target.shape[indexed:])))
    places = tuple(RNG.integers(0, n, (2, count)) for n in target.shape[:indexed])
    places = (places[0], *[each[:1] for each in places[1:]])  # these broadcast
    updates = (3 * RNG.normal(size=(2, count, *target.shape[indexed:]))).astype(dtype)
    with np.errstate(over="ignore"):
        combine(function, made, target, places, updates)
        function.at(wanted, places, updates)
    np.testing.assert_array_equal(made, expected)


def test_the_sums_of_many_short_rows():
    x = RNG.normal(size=(40, 50, 30)).astype(np.float32)
    x[0, 0, 0], x[0, 1, 2] = np.inf, np.nan
    kernel, _ = both(lambda x: x.sum(-1), x)
    np.testing.assert_allclose(kernel(x), x.astype(np.float64).sum(-1), rtol=1e-5, atol=1e-5)
