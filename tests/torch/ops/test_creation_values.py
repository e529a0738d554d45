"""Creation and conversion give PyTorch's values, dtypes and complaints: each call next to PyTorch."""

import array
import collections
import inspect
import warnings

import numpy as np
import pytest

import funcgrad.torch as ours
from tests.both_sides import DTYPES, theirs
from tests.torch.ops.creation_calls import CONVERTED, DATA, DRAWN, FILLED, RANDOM, STEPS

inf, nan = float("inf"), float("nan")


class Sequence:
    """An object with a length that can be indexed."""

    def __len__(self):
        return 3

    def __getitem__(self, place):
        if place > 2:
            raise IndexError
        return place * 1.5


class OfLength:
    def __len__(self):
        return 3


class Number:
    def __float__(self):
        return 2.5

    def __index__(self):
        return 2


class AnArray:
    def __array__(self, dtype=None, copy=None):
        return np.array([1.0, 2.0])


def outcome(torch, call):
    """The elements and their type, or the error, of a call; and the warnings, but for one that PyTorch gives once."""
    names = {
        "torch": torch,
        "np": np,
        "array": array,
        "collections": collections,
        "inf": inf,
        "nan": nan,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            made = eval(
                call,
                names | {kind.__name__: kind for kind in (Sequence, OfLength, Number, AnArray)},
            )
            if isinstance(made, torch.Tensor):
                made = (str(made.dtype), made.requires_grad, tuple(made.shape), made.tolist())
            elif isinstance(made, tuple):
                made = tuple(map(int, made))
            elif not isinstance(made, (bool, int, list)):
                made = str(made)
        except Exception as error:
            # The dtypes and forms that PyTorch lists are more than those here.
            made = type(error).__name__, str(error).split(" The only")[0].split(", but expected")[0]
    said = [str(each.message) for each in caught]
    # The first PyTorch gives once a process; the second is of its own speed.
    once = ("discards the imaginary part", "is extremely slow")
    return made, [each for each in said if not any(words in each for words in once)]


def close(mine, reference):
    if isinstance(reference, (list, tuple)):
        return len(mine) == len(reference) and all(map(close, mine, reference))
    if isinstance(reference, (float, complex)) and not isinstance(mine, str):
        return mine == pytest.approx(reference, rel=3e-7, abs=0, nan_ok=True)
    return mine == reference


@pytest.mark.parametrize("call", [*DATA, *FILLED, *STEPS, *RANDOM, *DRAWN, *CONVERTED])
def test_a_call_gives_what_it_gives_in_pytorch(call):
    mine, reference = outcome(ours, call), outcome(theirs, call)
    assert close(mine, reference), f"{mine} is not {reference}"


def test_a_number_in_a_list_has_to_fit_every_dtype():
    numbers = [
        0,
        1,
        -1,
        127,
        128,
        -128,
        -129,
        255,
        256,
        -255,
        -256,
        32767,
        32768,
        -32769,
        2**31 - 1,
        2**31,
        -(2**31) - 1,
    ]
    numbers += [
        2**63 - 1,
        2**63,
        -(2**63),
        -(2**63) - 1,
        2**64,
        2**70,
        0.5,
        -0.5,
        255.5,
        1e10,
        1e19,
        1e39,
        inf,
        -inf,
        nan,
        True,
    ]
    for dtype in DTYPES:
        for number in numbers:
            for form in ("{}", "[{}]", "[[0], [{}]]", "np.float64({})"):
                if "np" in form and abs(number) > 2**60:
                    continue
                call = f"torch.tensor({form.format(number)}, dtype=torch.{dtype})"
                mine, reference = outcome(ours, call), outcome(theirs, call)
                assert close(mine, reference), f"{call}: {mine} is not {reference}"


def test_numbers_of_several_kinds_are_of_the_dtype_that_holds_all():
    kinds = [
        "True",
        "2",
        "1.5",
        "2j",
        "np.int8(3)",
        "np.uint8(3)",
        "np.float32(1.5)",
        "np.float64(1.5)",
        "np.float16(1.5)",
    ]
    kinds += [
        "np.bool_(True)",
        "np.complex64(1j)",
        "torch.tensor(3)",
        "torch.tensor(1.5, dtype=torch.float64)",
    ]
    for first in kinds:
        for second in kinds:
            call = f"torch.tensor([{first}, {second}])"
            assert outcome(ours, call) == outcome(theirs, call), call


def test_a_list_of_arrays_keeps_their_dtype():
    # PyTorch warns that this is slow there.
    made = ours.tensor([[np.array([1.0, 2.0])]])
    assert (made.dtype, made.tolist()) == (ours.float64, [[[1.0, 2.0]]])


def test_a_dtype_that_jax_has_not_is_refused():
    for call in (
        "torch.tensor(np.longdouble(3))",
        "torch.tensor([np.longdouble(3)])",
        "torch.from_numpy(np.zeros(1, np.clongdouble))",
    ):
        assert outcome(ours, call)[0][0] == outcome(theirs, call)[0][0] == "TypeError"


def test_a_sparse_layout_and_pinned_memory_are_refused():
    with pytest.raises(NotImplementedError, match="only torch"):
        ours.zeros(2, layout=ours.sparse_coo)
    with pytest.raises(RuntimeError, match="pin_memory"):
        ours.zeros(2, pin_memory=True)


ASSIGNED = [
    ("real", "torch.tensor([5.0, 6.0])"),
    ("imag", "torch.tensor([5.0, 6.0])"),
    ("real", "torch.tensor([5.0, 6.0], requires_grad=True)"),
    ("imag", "3"),
    ("real", "2.5"),
    ("real", "torch.tensor([5.0, 6.0, 7.0])"),
    ("real", "[5.0, 6.0]"),
    ("imag", "None"),
]


@pytest.mark.parametrize(("part", "value"), ASSIGNED)
@pytest.mark.parametrize(
    "of",
    [
        "torch.tensor([1j, 2])",
        "torch.tensor([1.0, 2])",
        "torch.tensor([1j, 2], requires_grad=True)",
    ],
)
def test_an_assigned_part_of_complex_numbers_is_written(of, part, value):
    def program(torch):
        x = eval(of, {"torch": torch})
        try:
            setattr(x, part, eval(value, {"torch": torch}))
        except Exception as error:
            return type(error).__name__, str(error)
        return str(x.dtype), x.requires_grad, x.tolist()

    assert program(ours) == program(theirs)


def test_the_gradient_of_an_assigned_part_flows():
    def program(torch):
        a = torch.tensor([5.0, 6.0], requires_grad=True)
        x = torch.tensor([1j, 2]) * 1
        x.real = a * a
        (x.real * 3 + x.imag).sum().backward()
        return a.grad.tolist()

    assert program(ours) == program(theirs) == [30.0, 36.0]


def test_probabilities_are_in_the_graph_with_a_gradient_of_zero():
    def program(torch):
        torch.manual_seed(3)
        p = torch.rand(3, 4, requires_grad=True)
        drawn = torch.zeros(4, 3).t().bernoulli_(p)
        values, node = drawn.tolist(), type(drawn.grad_fn).__name__
        drawn.sum().backward()
        return values, node, p.grad.tolist()

    assert program(ours) == program(theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("shape", [(5,), (3, 40)])
def test_bernoulli_with_probabilities_draws_pytorchs_numbers(dtype, shape):
    def program(torch):
        torch.manual_seed(11)
        p = torch.rand(*shape).to(getattr(torch, dtype))
        return torch.zeros(*shape, dtype=torch.int32).bernoulli_(p).tolist()

    assert program(ours) == program(theirs)


def test_from_dlpack_and_to_numpy_and_jax():
    assert ours.from_dlpack(theirs.tensor([[1.0, 2.0]])).tolist() == [[1.0, 2.0]]
    made = ours.tensor([[1.0, 2.0]])
    assert np.from_dlpack(made).tolist() == [[1.0, 2.0]]
    assert theirs.from_dlpack(made).tolist() == [[1.0, 2.0]]
    with pytest.raises(BufferError, match="require gradient"):
        np.from_dlpack(made.requires_grad_())


def test_an_empty_tensor_in_a_format_is_written_in_it():
    def program(torch):
        x = torch.empty(2, 3, 4, 5, memory_format=torch.channels_last)
        x.copy_(torch.arange(120.0).reshape(2, 3, 4, 5))
        y = torch.arange(120.0).reshape(2, 3, 4, 5).to(memory_format=torch.channels_last)
        z = torch.empty_strided((2, 3), (1, 2)).copy_(torch.arange(6.0).reshape(2, 3))
        again = (y * 2).contiguous(memory_format=torch.channels_last)
        return [(each.stride(), each.is_contiguous(), each.tolist()) for each in (x, y, z, again)]

    assert program(ours) == program(theirs)


# Arguments of PyTorch's schemas that are not taken, with the reason.
NOT_TAKEN = {
    "names": "JAX's arrays have no named dimensions",
    "self": "the name in Python is `input`, or it goes before the dot",
    "from": "no name for a parameter in Python, but taken",
    "src": "the name in Python is `other`",
}
FACTORIES = [
    *("arange", "empty", "empty_strided", "eye", "full", "linspace", "logspace", "ones", "rand"),
    *("randint", "randn", "randperm", "scalar_tensor", "zeros", "clone", "fill", "empty_like"),
    *("full_like", "ones_like", "rand_like", "randint_like", "randn_like", "zeros_like"),
]
METHODS = [
    *("new_empty", "new_empty_strided", "new_full", "new_ones", "new_zeros", "contiguous"),
    *("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "copy_"),
    *("random_", "uniform_", "fill_", "zero_", "type_as", "is_contiguous", "is_pinned"),
]


@pytest.mark.parametrize("name", [*FACTORIES, *METHODS])
def test_every_argument_of_pytorchs_schemas_is_taken(name):
    taken = inspect.signature(getattr(ours if name in FACTORIES else ours.Tensor, name)).parameters
    named = {
        each.name
        for schema in theirs._C._jit_get_schemas_for_operator(f"aten::{name}")
        for each in schema.arguments
        # Tensors that are written to are `out=`.
        if not (each.alias_info is not None and each.alias_info.is_write and each.name != "self")
    }
    assert named
    assert named - taken.keys() - NOT_TAKEN.keys() == set()
