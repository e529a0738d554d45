"""dtypes, promotion, limits, Size and device answer as PyTorch's own do."""

import copy
import itertools
import pickle

import jax
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

import funcgrad.torch as shim
from funcgrad.torch._types import devices
from funcgrad.torch._types import dtypes as ours
from funcgrad.torch._types.limits import finfo, iinfo
from funcgrad.torch._types.size import Size

NAMES = [each.name for each in ours.ALL_DTYPES]
PAIRS = list(itertools.product(NAMES, NAMES))
SCALARS = {bool: True, int: 3, float: 2.5, complex: 1j}


@pytest.fixture
def default_dtype(torch):
    """Sets the default dtype on both sides by name, and puts both back."""

    def set_both(name):
        ours.set_default_dtype(ours.NAMES[name])
        torch.set_default_dtype(getattr(torch, name))

    yield set_both
    set_both("float32")


def outcome(call):
    """The value or the error of a call, in a form that both libraries can share."""
    try:
        return repr(call())
    except (TypeError, RuntimeError, AttributeError) as error:
        return type(error), str(error)


# ---------------------------------------------------------------------------- dtype


@pytest.mark.parametrize("name", NAMES)
def test_attributes_are_pytorchs(torch, name):
    mine, theirs = ours.NAMES[name], getattr(torch, name)
    for attribute in ("is_floating_point", "is_complex", "is_signed", "itemsize"):
        assert getattr(mine, attribute) == getattr(theirs, attribute)
    assert repr(mine) == str(mine) == repr(theirs)
    assert repr(mine.to_real()) == repr(theirs.to_real())


@pytest.mark.parametrize("name", NAMES)
def test_scalar_type_is_the_name_in_pytorchs_messages(torch, name):
    other = "float64" if name != "float64" else "float32"
    vectors = [torch.ones(2, dtype=getattr(torch, each)) for each in (name, other)]
    with pytest.raises(RuntimeError, match=f"found {ours.NAMES[name].scalar_type} and"):
        torch.dot(*vectors)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"bool", "bfloat16"}])
def test_numpy_dtype_is_the_one_pytorch_converts_to(torch, name):
    assert ours.NAMES[name].numpy_dtype == torch.empty(0, dtype=getattr(torch, name)).numpy().dtype


def test_bool_and_bfloat16_are_stored_as_such():
    assert ours.bool_.numpy_dtype == np.dtype(bool)
    assert ours.bfloat16.numpy_dtype == np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize("name", ours.NAMES)
def test_every_alias_names_the_same_dtype_as_in_pytorch(torch, name):
    assert repr(ours.NAMES[name]) == repr(getattr(torch, name))


@pytest.mark.parametrize("mine", ours.ALL_DTYPES, ids=repr)
def test_a_dtype_copies_and_pickles_to_itself(mine):
    assert copy.copy(mine) is mine
    assert copy.deepcopy([mine])[0] is mine
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(mine, protocol)) is mine


@pytest.mark.parametrize("mine", ours.ALL_DTYPES, ids=repr)
def test_a_dtype_is_found_again_from_numpy(mine):
    assert ours.from_numpy_dtype(mine.numpy_dtype) is mine
    assert ours.from_numpy_dtype(mine.numpy_dtype.newbyteorder()) is mine


@pytest.mark.parametrize("unknown", ["U3", "O", "datetime64[s]", "longdouble"])
def test_a_numpy_type_without_counterpart_is_refused(unknown):
    with pytest.raises(TypeError, match="only supported types are"):
        ours.from_numpy_dtype(unknown)


def test_dtypes_are_a_closed_set_of_constants():
    with pytest.raises(TypeError, match="cannot create"):
        ours.dtype("float32")
    with pytest.raises(TypeError, match="not an acceptable base"):
        type("mine", (ours.dtype,), {})
    with pytest.raises(AttributeError, match="itemsize"):
        ours.float32.itemsize = 8


# ---------------------------------------------------------------------------- default dtype


@pytest.mark.parametrize("name", NAMES)
def test_default_dtype_accepts_what_pytorch_accepts(torch, default_dtype, name):
    expected = outcome(lambda: torch.set_default_dtype(getattr(torch, name)))
    assert outcome(lambda: ours.set_default_dtype(ours.NAMES[name])) == expected
    assert repr(ours.get_default_dtype()) == repr(torch.get_default_dtype())


@pytest.mark.parametrize("wrong", ["float32", None, float])
def test_default_dtype_refuses_other_objects_in_pytorchs_words(torch, wrong):
    expected = outcome(lambda: torch.set_default_dtype(wrong))
    assert outcome(lambda: ours.set_default_dtype(wrong)) == expected


# ---------------------------------------------------------------------------- promotion


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_promote_types_is_pytorchs_table(torch, first, second):
    expected = torch.promote_types(getattr(torch, first), getattr(torch, second))
    assert repr(ours.promote_types(ours.NAMES[first], ours.NAMES[second])) == repr(expected)


@pytest.mark.parametrize("wrong", [3, "float32", None])
def test_promote_types_refuses_other_objects_in_pytorchs_words(torch, wrong):
    expected = outcome(lambda: torch.promote_types(torch.float32, wrong))
    assert outcome(lambda: ours.promote_types(ours.float32, wrong)) == expected


def expected_or_complex32(result):
    """PyTorch's result; None where it is complex32, which JAX does not have."""
    return None if repr(result) == "torch.complex32" else repr(result)


def our_result(**operands):
    try:
        return repr(ours.result_dtype(**operands))
    except TypeError as error:
        if "complex32" not in str(error):
            raise
        return None


@pytest.mark.parametrize("default", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_result_dtype_of_a_tensor_and_a_scalar(torch, default_dtype, default, name):
    default_dtype(default)
    dtype = getattr(torch, name)
    for kind, value in SCALARS.items():
        expected = expected_or_complex32(torch.result_type(torch.ones(2, dtype=dtype), value))
        assert our_result(dimensioned=[ours.NAMES[name]], scalars=[kind]) == expected
        expected = expected_or_complex32(torch.result_type(torch.ones((), dtype=dtype), value))
        assert our_result(zero_dimensional=[ours.NAMES[name]], scalars=[kind]) == expected


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_result_dtype_of_two_tensors(torch, first, second):
    mine = ours.NAMES[first], ours.NAMES[second]
    theirs = getattr(torch, first), getattr(torch, second)
    for first_shape, second_shape in itertools.product([(), (1,), (0, 2)], repeat=2):
        operands = {
            "dimensioned": [
                each for each, shape in zip(mine, (first_shape, second_shape), strict=True) if shape
            ],
            "zero_dimensional": [
                each
                for each, shape in zip(mine, (first_shape, second_shape), strict=True)
                if not shape
            ],
        }
        expected = torch.result_type(
            torch.empty(first_shape, dtype=theirs[0]), torch.empty(second_shape, dtype=theirs[1])
        )
        assert our_result(**operands) == expected_or_complex32(expected)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(SCALARS, SCALARS)))
def test_result_dtype_of_two_scalars(torch, first, second):
    expected = torch.result_type(SCALARS[first], SCALARS[second])
    assert our_result(scalars=[first, second]) == repr(expected)


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.booleans()),
        min_size=3,
        max_size=3,
    ).filter(lambda operands: any(name != "bool" for name, _ in operands))
)
def test_result_dtype_of_three_tensors(torch, operands):
    # `result_type` takes two operands; `addcmul` promotes three (and has no kernel for bool).
    tensors = [
        torch.ones((2,) if dimensioned else (), dtype=getattr(torch, name))
        for name, dimensioned in operands
    ]
    try:
        expected = expected_or_complex32(torch.addcmul(*tensors).dtype)
    except NotImplementedError as error:
        reject_unless_no_kernel(error)
    result = our_result(
        dimensioned=[ours.NAMES[name] for name, dimensioned in operands if dimensioned],
        zero_dimensional=[ours.NAMES[name] for name, dimensioned in operands if not dimensioned],
    )
    assert result == expected


def reject_unless_no_kernel(error):
    if "not implemented for" not in str(error):
        raise error
    reject()


def test_result_dtype_needs_an_operand():
    with pytest.raises(ValueError, match="at least one"):
        ours.result_dtype()


def test_a_scalar_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="expected a number, not str"):
        ours.result_dtype([ours.float32], scalars=[str])


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [
        (np.bool_, ours.bool_),
        (np.int8, ours.int64),
        (np.float64, ours.float32),
        (np.float32, ours.float32),
        (np.complex128, ours.complex64),
    ],
)
def test_a_numpy_scalar_counts_as_the_python_scalar_of_its_kind(scalar, expected):
    assert ours.scalar_category_dtype(scalar) is expected


# ---------------------------------------------------------------------------- limits

FINFO_FIELDS = ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype")


@pytest.mark.parametrize("name", [*NAMES, None])
def test_finfo_is_pytorchs(torch, name):
    mine = () if name is None else (ours.NAMES[name],)
    theirs = () if name is None else (getattr(torch, name),)
    assert outcome(lambda: finfo(*mine)) == outcome(lambda: torch.finfo(*theirs))
    if name is None or theirs[0].is_floating_point or theirs[0].is_complex:
        for field in FINFO_FIELDS:
            assert getattr(finfo(*mine), field) == getattr(torch.finfo(*theirs), field)


@pytest.mark.parametrize("name", NAMES)
def test_iinfo_is_pytorchs(torch, name):
    mine, theirs = ours.NAMES[name], getattr(torch, name)
    assert outcome(lambda: iinfo(mine)) == outcome(lambda: torch.iinfo(theirs))
    if name.startswith(("int", "uint")):
        for field in ("bits", "min", "max", "dtype"):
            assert getattr(iinfo(mine), field) == getattr(torch.iinfo(theirs), field)


@pytest.mark.parametrize("function", [finfo, iinfo])
def test_limits_of_no_dtype_are_refused_in_pytorchs_words(torch, function):
    expected = outcome(lambda: getattr(torch, function.__name__)("float32"))
    assert outcome(lambda: function("float32")) == expected


def test_limits_compare_by_dtype():
    assert finfo(ours.float32) == finfo(ours.complex64)
    assert finfo(ours.float32) != finfo(ours.float64)
    assert iinfo(ours.int8) == iinfo(ours.int8)


# ---------------------------------------------------------------------------- Size

SIZE_EXPRESSIONS = {
    "length": lambda size: size[1],
    "last length": lambda size: size[-1],
    "slice": lambda size: size[1:],
    "reversed": lambda size: size[::-1],
    "empty slice": lambda size: size[5:],
    "plus tuple": lambda size: size + (1, 2),  # noqa: RUF005
    "tuple plus": lambda size: (1,) + size,  # noqa: RUF005 - the operator is what is tested
    "plus list": lambda size: size + [1],  # noqa: RUF005
    "list plus": lambda size: [1] + size,  # noqa: RUF005
    "plus text": lambda size: size + ("a",),  # noqa: RUF005
    "float plus": lambda size: (1.5,) + size,  # noqa: RUF005
    "times": lambda size: size * 2,
    "times from the left": lambda size: 2 * size,
    "times float": lambda size: size * 1.5,
    "numel": lambda size: size.numel(),
    "text": str,
    "deep copy": copy.deepcopy,
    "pickled": lambda size: pickle.loads(pickle.dumps(size)),
    "from a list": lambda size: type(size)([4, True, np.int64(3)]),
    "from a generator": lambda size: type(size)(n for n in (1, 2)),
    "from nothing": lambda size: type(size)(),
    "from an int": lambda size: type(size)(3),
    "from floats": lambda size: type(size)([2, 1.5]),
    "from text": lambda size: type(size)("ab"),
    "index of": lambda size: size.index(3),
    "sorted": sorted,
}


@pytest.mark.parametrize("sizes", [(2, 3, 4), (0, 3)], ids=str)
@pytest.mark.parametrize("expression", SIZE_EXPRESSIONS.values(), ids=SIZE_EXPRESSIONS.keys())
def test_size_behaves_as_pytorchs(torch, expression, sizes):
    kind_and_text = outcome(lambda: expression(torch.Size(sizes)))
    if isinstance(kind_and_text, tuple):
        # A message that Python itself writes names the class as it is defined: Size, torch.Size.
        kind_and_text = kind_and_text[0], kind_and_text[1].replace('"torch.Size"', '"Size"')
    assert outcome(lambda: expression(Size(sizes))) == kind_and_text


def test_size_is_a_tuple_of_ints():
    size = Size([2, 3])
    assert size == (2, 3)
    assert hash(size) == hash((2, 3))
    assert Size([]).numel() == 1
    assert {type(each) for each in Size([True, np.int64(3)])} == {int}


# ---------------------------------------------------------------------------- device

DEVICE_ARGUMENTS = [
    *[(text,) for text in ("cpu", "cuda", "cuda:0", "cuda:1", "cpu:0", "mps", "meta", "xla")],
    *[(text,) for text in ("cuda:", "cuda:a", "", "cuda:-1", "cuda:01", "cuda:1:2", " cpu")],
    *[("cuda", 1), ("cuda", None), ("cuda:1", 2), ("cpu", 0), ("cuda", -1), ("cpu", "x")],
]


@pytest.mark.parametrize("arguments", DEVICE_ARGUMENTS, ids=repr)
def test_device_reads_what_pytorch_reads(torch, arguments):
    expected = outcome(lambda: torch.device(*arguments))
    assert outcome(lambda: devices.device(*arguments)) == expected
    if isinstance(expected, str):
        assert str(devices.device(*arguments)) == str(torch.device(*arguments))
        assert devices.device(*arguments).type == torch.device(*arguments).type
        assert devices.device(*arguments).index == torch.device(*arguments).index


@pytest.mark.parametrize("text", ["foo", "gpu", "CPU"])
def test_unknown_device_type_is_refused_in_pytorchs_words(torch, text):
    kind, message = outcome(lambda: devices.device(text))
    # "tpu" is the one type that PyTorch does not list.
    assert (kind, message.replace(", tpu device", " device")) == outcome(lambda: torch.device(text))


@pytest.mark.parametrize("wrong", [(None,), (1.5,), (True,), (("cpu",),), ("cpu", True)], ids=repr)
def test_device_of_something_else_is_a_type_error(torch, wrong):
    for library in (devices, torch):
        with pytest.raises(TypeError, match=r"device\(\)"):
            library.device(*wrong)


def test_devices_compare_by_type_and_index(torch):
    texts = ["cpu", "cpu:0", "cuda", "cuda:0", "cuda:1"]
    for first, second in itertools.product(texts, texts):
        expected = torch.device(first) == torch.device(second)
        assert (devices.device(first) == devices.device(second)) == expected
        if expected:
            assert hash(devices.device(first)) == hash(devices.device(second))
    assert devices.device("cpu") != "cpu"
    assert devices.device(devices.device("cuda:2")) == devices.device("cuda:2")


def test_a_device_is_a_constant_that_copies_and_pickles():
    device = devices.device("cuda:1")
    assert copy.deepcopy(device) == pickle.loads(pickle.dumps(device)) == device
    assert pickle.loads(pickle.dumps(devices.device("cpu"))) == devices.device("cpu")
    with pytest.raises(AttributeError, match="not writable"):
        device.index = 2


def test_every_jax_device_has_a_name_that_leads_back_to_it():
    for jax_device in jax.local_devices():
        assert devices.device.from_jax(jax_device).jax_device() == jax_device
    assert devices.device("xla").jax_device() == jax.local_devices()[0]
    assert devices.device("cpu").jax_device().platform == "cpu"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("cuda", AssertionError, "Torch not compiled with CUDA enabled"),
        ("tpu", RuntimeError, "device 'tpu' is not available"),
    ],
)
def test_an_absent_accelerator_is_refused_when_it_is_used(text, error, words):
    if jax.default_backend() != "cpu":
        pytest.skip("this machine has an accelerator")
    with pytest.raises(error, match=words):
        devices.device(text).jax_device()
    with pytest.raises(RuntimeError, match="Cannot access accelerator device"):
        devices.device(0)


def test_a_device_beyond_the_last_is_refused():
    with pytest.raises(RuntimeError, match="'cpu:9999' is not available: JAX finds"):
        devices.device("cpu:9999").jax_device()


def test_a_device_type_that_jax_lacks_can_be_named_only():
    with pytest.raises(RuntimeError, match="no platform for device type 'mkldnn'"):
        devices.device("mkldnn").jax_device()


@pytest.mark.parametrize("kind", ours.FLOAT8, ids=repr)
def test_a_dtype_that_only_pytorch_computes_in_can_be_compared_and_makes_no_tensor(torch, kind):
    theirs = getattr(torch, kind.name)
    for fact in ("itemsize", "is_floating_point", "is_complex", "is_signed", "__repr__"):
        mine, reference = getattr(kind, fact), getattr(theirs, fact)
        assert (mine() if callable(mine) else mine) == (reference() if callable(reference) else reference)  # fmt: skip
    assert repr(finfo(kind)) == repr(torch.finfo(theirs))
    assert shim.ones(1).dtype != kind
    for use in (
        lambda: shim.zeros(2, dtype=kind),
        lambda: shim.ones(2).to(kind),
        lambda: shim.ones(2).view(kind),
        lambda: shim.sum(shim.ones(2), dtype=kind),
        lambda: shim.nn.Linear(2, 2, dtype=kind),
        lambda: shim.set_default_dtype(kind),
    ):
        with pytest.raises(NotImplementedError, match=f"{kind.name}: the name is here for code"):
            use()
    with pytest.raises(RuntimeError) as mine:
        ours.promote_types(kind, ours.float32)
    with pytest.raises(RuntimeError) as reference:
        torch.promote_types(theirs, torch.float32)
    assert str(mine.value) == str(reference.value)


def test_finfo_of_nothing_is_of_the_default_dtype(torch, default_dtype):
    default_dtype("float64")
    assert repr(finfo()) == repr(torch.finfo())
