"""A tensor's storage as PyTorch shows it: printed, read and written, with every tensor of the memory seeing the write."""

import warnings

import pytest

from tests.both_sides import assert_same, attempt


@pytest.fixture(autouse=True)
def quiet():
    """`storage()` warns once a process that PyTorch will remove it; `tests/test_structure.py` tests the warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TypedStorage is deprecated")
        yield


def text(thing):
    return str(thing).replace("funcgrad.torch", "torch")


CONTENTS = {
    "float32": [1.5e10, 0.1],
    "float16": [0.1],
    "int64": [1, -2],
    "bool": [True, False],
    "complex64": [1 + 2j],
}


@pytest.mark.parametrize("dtype", CONTENTS)
def test_a_storage_prints_its_elements(dtype):
    def program(torch, see):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            storage = torch.tensor(CONTENTS[dtype], dtype=getattr(torch, dtype)).storage()
        see(text(storage), text(repr(storage)), text(storage.untyped()), list(storage))

    assert_same(program)


def test_a_write_to_a_storage_is_seen_in_every_tensor_and_not_counted():
    def program(torch, see):
        x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        y = x.t()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            storage = y.storage()
        storage[1] = 7
        storage[-1] = 8.5
        see(x, y, x._version, y._version, len(storage), storage[-4])
        storage[2:] = 0
        see(x, storage.fill_(3).tolist(), y, x._version)
        bytes_of = x.untyped_storage()
        see(len(bytes_of), list(bytes_of), bytes_of[2], str(bytes_of.device))

    assert_same(program)


@pytest.mark.parametrize("place", [4, -5, "a", 1.5])
@pytest.mark.parametrize("writes", [False, True])
def test_a_place_outside_a_storage_is_refused(place, writes):
    def program(torch, see):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            storage = torch.zeros(4).storage()
        call = storage.__setitem__ if writes else storage.__getitem__
        error = attempt(call, *((place, 1.0) if writes else (place,)))
        see(type(error).__name__, text(error))

    assert_same(program)
