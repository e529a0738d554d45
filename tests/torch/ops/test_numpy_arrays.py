"""Tensors beside NumPy's and JAX's arrays: PyTorch's results, or a refusal; no gradient is lost without a word."""

import operator
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad.torch as ours
from tests.both_sides import assert_alike_results, outcome, theirs

MAKE = {
    "tensor": lambda torch: torch.tensor([3.0, 4.0]),
    "leaf": lambda torch: torch.tensor([3.0, 4.0], requires_grad=True),
    "result": lambda torch: torch.tensor([3.0, 4.0], requires_grad=True) * 1,
    "integers": lambda torch: torch.tensor([3, 4]),
    "float64 array": lambda torch: np.array([1.0, 4.0]),
    "float32 array": lambda torch: np.array([1.0, 4.0], np.float32),
    "integer array": lambda torch: np.array([1, 4]),
    "0-d array": lambda torch: np.array(2.0),
    "array of another shape": lambda torch: np.array([1.0, 2.0, 3.0]),
    "array of objects": lambda torch: np.array([1, "x"], object),
    "float64": lambda torch: np.float64(2),
    "float32": lambda torch: np.float32(2),
    "int64": lambda torch: np.int64(2),
}
TENSORS, ARRAYS = list(MAKE)[:4], list(MAKE)[4:]
PAIRS = [(a, b) for a in TENSORS for b in ARRAYS] + [(b, a) for a in TENSORS for b in ARRAYS]
OPERATORS = [
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "lshift"),
    *(
        "iadd",
        "isub",
        "imul",
        "itruediv",
        "ifloordiv",
        "imod",
        "ipow",
        "eq",
        "lt",
        "le",
        "gt",
        "ge",
    ),
]


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_beside_numpy_arrays_give_what_pytorch_gives(name):
    apply = getattr(operator, name)
    for left, right in PAIRS:

        def program(torch, left=left, right=right):
            return apply(MAKE[left](torch), MAKE[right](torch))

        mine, reference = outcome(program, ours), outcome(program, theirs)
        if isinstance(reference, tuple):  # JAX has fewer dtypes
            mine, reference = (
                (kind, text.split(" The only")[0]) for kind, text in (mine, reference)
            )
        assert_alike_results(mine, reference)


@pytest.mark.parametrize(
    ("left", "right"), [pair for pair in PAIRS if "objects" not in pair[0] + pair[1]]
)
def test_unequal_is_the_opposite_of_equal(left, right):
    # PyTorch says True of any array.
    equal = outcome(lambda torch: MAKE[left](torch) == MAKE[right](torch), ours)
    unequal = outcome(lambda torch: MAKE[left](torch) != MAKE[right](torch), ours)
    if isinstance(equal, tuple):
        assert unequal == equal
    else:
        assert unequal.tolist() == (~equal.numpy()).tolist()


FUNCTIONS = {
    **{name: getattr(np, name) for name in ("sin", "exp", "abs", "isnan", "round", "negative")},
    **{name: getattr(np, name) for name in ("asarray", "array", "transpose", "ravel", "sort")},
    **{name: getattr(np, name) for name in ("mean", "sum", "zeros_like", "median")},
    "inv": np.linalg.inv,
    "norm": np.linalg.norm,
    "add a number": lambda t: np.add(t, 1),
    "add": lambda t: np.add(t, t),
    "reduce": lambda t: np.add.reduce(t),
    "multiply by an array": lambda t: np.multiply(np.ones(2), t),
    "matmul": lambda t: np.matmul(t, t),
    "dot": lambda t: np.dot(t, t),
    "greater": lambda t: np.greater(t, 1),
    "divmod": lambda t: np.divmod(t, 2),
    "stack": lambda t: np.stack([t, t]),
    "concatenate": lambda t: np.concatenate([t, t]),
    "where": lambda t: np.where(np.asarray(t) > 1, t, 0),
    "reshape": lambda t: np.reshape(t, (-1,)),
    "a list": lambda t: np.array([t, t]),
    "another dtype": lambda t: np.asarray(t, dtype=np.float16),
    "a copy": lambda t: np.array(t, copy=True),
    "allclose": lambda t: np.allclose(t, t),
    "out": lambda t: np.sin(t, out=np.zeros(t.shape)),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize(
    "make",
    [
        lambda torch: torch.tensor([[3.0, 4.0], [5.0, 6.0]]),
        lambda torch: torch.tensor([[3.0, 4.0], [5.0, 6.0]], requires_grad=True),
        lambda torch: torch.tensor([[3, 4], [1, 0]]),
    ],
    ids=["float", "requires grad", "int"],
)
def test_functions_of_numpy_give_what_pytorch_gives(function, make):
    def program(torch):
        result = function(make(torch))
        return (
            (type(result).__name__, result.dtype, result.tolist())
            if isinstance(result, np.ndarray)
            else result
        )

    assert_alike_results(outcome(program, ours), outcome(program, theirs))


def test_a_bool_result_of_numpy_is_uint8_as_in_pytorch():
    assert_alike_results(
        np.logical_not(ours.tensor([True, False])), theirs.tensor([0, 1], dtype=theirs.uint8)
    )


def test_wrapping_a_result_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(np.sin(ours.ones(2)), ours.Tensor)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "enable_grad"])
def test_numpy_of_a_tensor_that_requires_grad_is_refused_in_grad_mode_only(mode):
    def program(torch):
        x = torch.tensor([3.0, 4.0], requires_grad=True)
        with getattr(torch, mode)():
            return x.numpy().tolist(), np.asarray(x).tolist(), np.sin(x), x * np.ones(2)

    assert_alike_results(outcome(program, ours), outcome(program, theirs))


def test_reversed_reverses_the_rows():
    for make in (
        lambda t: t.arange(6).reshape(2, 3),
        lambda t: t.tensor(3.0),
        lambda t: t.ones(0, 2),
    ):
        assert_alike_results(reversed(make(ours)), reversed(make(theirs)))


@pytest.mark.parametrize(
    "name", ["add", "sub", "mul", "truediv", "pow", "matmul", "iadd", "imul", "ipow"]
)
def test_a_jax_array_on_the_right_is_a_constant_of_the_graph(name):
    apply = getattr(operator, name)
    values = np.array([1.5, 2.0], np.float32)

    def gradient(torch, array):
        x = torch.tensor([3.0, 4.0], requires_grad=True)
        y = apply(x * 1, array)
        y.sum().backward()
        return [y, x.grad]

    reference = gradient(theirs, theirs.tensor(values))
    assert_alike_results(gradient(ours, jnp.asarray(values)), reference)


def test_a_tensor_compared_with_a_jax_array_is_a_tensor():
    assert_alike_results(
        ours.tensor([1.0, 2.0]) == jnp.asarray([1.0, 3.0]), theirs.tensor([True, False])
    )
    assert_alike_results(
        ours.tensor([1.0, 2.0]) < jnp.asarray([1.0, 3.0]), theirs.tensor([False, True])
    )


@pytest.mark.parametrize(
    "use",
    [lambda x, a: a * x, lambda x, a: a @ x, lambda x, a: jnp.asarray(x)],
    ids=["*", "@", "asarray"],
)
def test_a_jax_function_of_a_tensor_that_requires_grad_is_refused(use):
    x, array = ours.ones(2, requires_grad=True), jnp.ones(2)
    with pytest.raises(RuntimeError, match="gradient would be lost"):
        use(x, array)
    with ours.no_grad():
        assert isinstance(use(x, array), jax.Array)
    assert isinstance(use(x.detach(), array), jax.Array)


def test_a_tracer_beside_a_tensor_is_an_operand():
    x = ours.tensor([3.0, 4.0])
    gradient = jax.grad(lambda a: (x * a).sum()._array())(jnp.ones(2))
    assert gradient.tolist() == [3.0, 4.0]
