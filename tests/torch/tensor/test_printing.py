"""A tensor's text is PyTorch's, to the character."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from funcgrad.torch._tensor import printing
from funcgrad.torch._types import dtypes
from funcgrad.torch._types.limits import iinfo

NAMES = [each.name for each in dtypes.ALL_DTYPES]
FLOATS = ("float16", "bfloat16", "float32", "float64")
INF, NAN = math.inf, math.nan


@pytest.fixture(autouse=True)
def _default_options():
    yield
    printing.set_printoptions(profile="default")
    dtypes.set_default_dtype(dtypes.float32)


@pytest.fixture
def options(torch):
    """Sets the options on both sides, and puts both back."""

    def set_both(**chosen):
        printing.set_printoptions(**chosen)
        torch.set_printoptions(**chosen)

    yield set_both
    set_both(profile="default")


def texts(torch, array, name):
    """Our text and PyTorch's for the same values, cast by PyTorch to the dtype."""
    wide = np.complex128 if array.dtype.kind == "c" else array.dtype
    tensor = torch.from_numpy(array.astype(wide)).to(getattr(torch, name))
    dtype = dtypes.NAMES[name]
    if name == "bfloat16":
        values = tensor.float().numpy().astype(dtype.numpy_dtype)
    else:
        values = tensor.numpy()
    return printing.format_tensor(values, dtype), repr(tensor)


def assert_same_text(torch, array, name):
    mine, theirs = texts(torch, np.asarray(array), name)
    assert mine == theirs


VALUES = {
    "zeros": [0.0, 0.0],
    "negative zero": [-0.0, 0.0, 1.5],
    "whole": [1.0, -20.0, 300.0],
    "whole with inf": [1.0, INF, -INF],
    "whole with nan": [1.0, NAN],
    "only nan": [NAN, NAN],
    "only inf": [-INF, INF, 0.0],
    "fractions": [0.5, -1.25, 3.0],
    "fractions with inf and nan": [0.5, INF, NAN, -INF],
    "rounding to even": [0.12345, 0.00005, 0.99995],
    "ratio of exactly 1000": [1.0, 1000.0],
    "ratio above 1000": [1.0, 1001.0],
    "fractional ratio above 1000": [0.5, 600.25],
    "largest of fixed point": [1e8],
    "above the largest of fixed point": [100000008.0],
    "smallest of fixed point": [1.0001e-4],
    "below the smallest of fixed point": [9.9e-5],
    "one ten-thousandth": [1e-4],
    "scientific with inf and nan": [1e-7, INF, NAN, 0.0],
    "scientific with negatives": [-1e-7, 1.0],
    "extremes": [1e308, 5e-324, -1e308],
    "many": list(np.linspace(-3, 3, 23)),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_floating_point_values_print_as_in_pytorch(torch, values, name):
    assert_same_text(torch, np.array(values), name)
    for value in values:
        assert_same_text(torch, np.array(value), name)


@pytest.mark.parametrize("name", ["complex64", "complex128"])
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_complex_values_print_as_in_pytorch(torch, values, name):
    reverse = np.array(values[::-1])
    numbers = np.empty(len(values), np.complex128)
    numbers.real, numbers.imag = values, reverse
    with np.errstate(over="ignore"):
        assert_same_text(torch, numbers, name)
        for number in numbers:
            assert_same_text(torch, np.array(number), name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "shape", [(), (0,), (0, 3), (2, 0, 3), (1,), (7,), (40,), (2, 3), (2, 3, 4), (1, 1, 1, 2)]
)
def test_every_dtype_and_shape_prints_as_in_pytorch(torch, name, shape):
    count = math.prod(shape)
    assert_same_text(torch, (np.arange(count).reshape(shape) % 13), name)
    assert_same_text(torch, (np.arange(count).reshape(shape) % 7 - 2.5), name)


@pytest.mark.parametrize("name", ["float32", "int64", "bool", "complex64", "bfloat16"])
@pytest.mark.parametrize(
    "shape",
    [
        (1000,),
        (1001,),
        (10, 100),
        (7, 143),
        (7, 144),
        (6, 200),
        (2, 7, 100),
        (5, 5, 5, 9),
        (1, 1001),
    ],
)
def test_what_is_too_long_is_summarised_as_in_pytorch(torch, name, shape):
    values = np.random.default_rng(0).normal(scale=30, size=shape)
    assert_same_text(torch, values, name)


def test_a_summary_is_formatted_by_what_it_shows(torch):
    values = np.ones((50, 50))
    values[25, 25] = 1e-9
    assert_same_text(torch, values, "float64")
    values[1, 48] = 1e-9
    assert_same_text(torch, values, "float64")


# ---------------------------------------------------------------------------- suffixes


def leaf(torch):
    return torch.zeros(2, 2, requires_grad=True)


@pytest.mark.parametrize("width", [1, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20])
@pytest.mark.parametrize("name", ["float32", "float64", "float16"])
def test_suffixes_wrap_where_pytorch_wraps_them(torch, width, name):
    tensor = torch.arange(width, dtype=getattr(torch, name)) + 0.5
    values, dtype = tensor.numpy(), dtypes.NAMES[name]
    tensor.requires_grad_()
    assert printing.format_tensor(values, dtype, requires_grad=True) == repr(tensor)
    for derived in (tensor * 1, tensor[None] * 1):
        mine = printing.format_tensor(
            derived.detach().numpy(),
            dtype,
            requires_grad=True,
            grad_fn_name=type(derived.grad_fn).__name__,
        )
        assert mine == repr(derived)


def test_the_lessons_tensors_print_as_in_pytorch(torch):
    w = torch.tensor([0.7576, 0.2793], requires_grad=True)
    x = torch.tensor([[0.4031, 0.7347], [0.0293, 0.7999]])
    y = x @ w
    values = y.detach().numpy()
    assert printing.format_tensor(values, dtypes.float32, grad_fn_name="MvBackward0") == repr(y)


@pytest.mark.parametrize("default", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_the_dtype_is_named_where_pytorch_names_it(torch, default, name):
    previous = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, default))
    dtypes.set_default_dtype(dtypes.NAMES[default])
    try:
        assert_same_text(torch, np.ones(2), name)
        assert_same_text(torch, np.ones(0), name)
    finally:
        torch.set_default_dtype(previous)


@pytest.mark.parametrize("name", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (2, 3), (0,)])
def test_a_tensor_without_values_prints_its_size(torch, name, shape):
    meta = torch.empty(shape, dtype=getattr(torch, name), device="meta")
    mine = printing.format_tensor(
        None, dtypes.NAMES[name], device_suffix="meta", shape=torch.Size(shape)
    )
    assert mine == repr(meta)


def test_the_device_comes_first_and_a_subclass_keeps_its_name(torch):
    class Mine(torch.Tensor):
        pass

    subclass = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).as_subclass(Mine)
    values = subclass.numpy()
    assert printing.format_tensor(values, dtypes.float32, class_name="Mine") == repr(subclass)
    mine = printing.format_tensor(
        values.astype(np.float64), dtypes.float64, device_suffix="cuda:0", requires_grad=True
    )
    start = "tensor([[1., 2.],\n        [3., 4.]]"
    assert mine == f"{start}, device='cuda:0', dtype=torch.float64, requires_grad=True)"


# ---------------------------------------------------------------------------- options

OPTIONS = [
    {"precision": 2},
    {"precision": 10},
    {"precision": 0},
    {"threshold": 5},
    {"threshold": math.inf},
    {"threshold": 5, "edgeitems": 1},
    {"threshold": 5, "edgeitems": 0},
    {"edgeitems": 0},
    {"linewidth": 20},
    {"linewidth": 200},
    {"linewidth": 1},
    {"profile": "short"},
    {"profile": "full"},
    {"profile": "short", "precision": 6},
    {"sci_mode": True},
    {"sci_mode": False},
    {"sci_mode": True, "precision": 2},
]


@pytest.mark.parametrize("chosen", OPTIONS, ids=str)
def test_options_do_what_they_do_in_pytorch(torch, options, chosen):
    options(**chosen)
    assert printing.get_printoptions() == torch._tensor_str.get_printoptions()
    generator = np.random.default_rng(0)
    for name, shape in itertools.product(
        ("float32", "int32", "bool", "complex64"), [(), (4,), (9,), (3, 3), (2, 8, 2), (40, 40)]
    ):
        for scale in (1, 1e-6):
            assert_same_text(torch, generator.normal(scale=scale, size=shape), name)


def test_options_in_a_with_block_last_as_long_as_it(torch):
    with printing.printoptions(precision=1, sci_mode=True):
        with torch._tensor_str.printoptions(precision=1, sci_mode=True):
            assert_same_text(torch, np.array([1.25, 300.0]), "float32")
        with pytest.raises(ZeroDivisionError), printing.printoptions(precision=7):
            raise ZeroDivisionError
        assert printing.get_printoptions()["precision"] == 1
    assert printing.get_printoptions() == torch._tensor_str.get_printoptions()


def test_the_scientific_mode_is_reset_by_the_next_choice(torch, options):
    options(sci_mode=True)
    options(precision=3)
    assert_same_text(torch, np.array([1.5]), "float32")


# ---------------------------------------------------------------------------- any values

shapes = numpy_strategies.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=8)


@st.composite
def arrays(draw):
    """Arrays of each dtype: any bits, or one order of magnitude, or whole numbers."""
    name = draw(st.sampled_from(NAMES))
    dtype = dtypes.NAMES[name]
    if not (dtype.is_floating_point or dtype.is_complex):
        elements = st.integers(0, 1) if name == "bool" else None
        if elements is None:
            limits = iinfo(dtype)
            elements = st.integers(limits.min, limits.max) | st.integers(0, 9)
        return draw(numpy_strategies.arrays(np.int64, draw(shapes), elements=elements)), name
    elements = draw(
        st.sampled_from(
            [
                st.floats(),
                st.floats(-10, 10),
                st.floats(0, 1).map(lambda x: x * 1e-4),
                st.integers(-(10**9), 10**9).map(float),
                st.integers(-20, 20).map(float) | st.sampled_from([NAN, INF, -INF, -0.0]),
            ]
        )
    )
    values = draw(numpy_strategies.arrays(np.float64, draw(shapes), elements=elements))
    if not dtype.is_complex:
        return values, name
    numbers = np.empty(values.shape, np.complex128)
    numbers.real, numbers.imag = values, values.ravel()[::-1].reshape(values.shape)
    return numbers, name


@given(case=arrays())
@settings(deadline=None, max_examples=150)
def test_any_tensor_prints_as_in_pytorch(torch, case):
    assert_same_text(torch, *case)


@given(
    case=arrays(),
    precision=st.integers(0, 8),
    threshold=st.integers(0, 50),
    edgeitems=st.integers(0, 4),
    linewidth=st.integers(1, 120),
    sci_mode=st.sampled_from([None, True, False]),
)
@settings(deadline=None, max_examples=150)
def test_any_tensor_prints_as_in_pytorch_under_any_options(torch, case, **chosen):
    with printing.printoptions(**chosen), torch._tensor_str.printoptions(**chosen):
        assert_same_text(torch, *case)
