"""Addresses that `data_ptr` tells, and files as memory: what libraries such as safetensors read tensors by."""

import ctypes

import numpy as np
import pytest

from tests.both_sides import SIDES


def at(torch, x):
    """The float32 elements at a tensor's address, as a library reads them."""
    place = ctypes.cast(x.data_ptr(), ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(place, tuple(x.shape)).tolist()


@pytest.mark.parametrize("torch", SIDES)
def test_the_elements_are_at_the_address_which_stays(torch):
    x = torch.arange(6.0).reshape(2, 3)
    place, clone = x.data_ptr(), x.clone()
    assert at(torch, x) == [[0, 1, 2], [3, 4, 5]]
    x.add_(1)
    assert (x.data_ptr(), at(torch, x[1])) == (place, [4, 5, 6])
    assert clone.tolist() == [[0, 1, 2], [3, 4, 5]]
    x.data = x.data
    array = x.numpy()
    assert array.ctypes.data == x.data_ptr() == place
    array[0, 0] = 9
    assert (at(torch, x), x.data_ptr()) == ([[9, 2, 3], [4, 5, 6]], place)
    before = x.clone()
    del array
    x.mul_(2)
    assert (at(torch, x), x.data_ptr()) == ([[18, 4, 6], [8, 10, 12]], place)
    assert before.tolist() == [[9, 2, 3], [4, 5, 6]]
    assert x.numpy().ctypes.data == place
    assert torch.ones(2, device="meta").data_ptr() == torch.ones(0).data_ptr() == 0


@pytest.mark.parametrize("torch", SIDES)
def test_the_memory_of_an_array_keeps_its_address(torch):
    array = np.ones(3, np.float32)
    x, place = torch.from_numpy(array), array.ctypes.data
    assert x.data_ptr() == place
    del array
    x.add_(1)
    assert (x.data_ptr(), at(torch, x)) == (place, [2, 2, 2])


@pytest.mark.parametrize("torch", SIDES)
def test_the_bytes_of_a_file_are_memory(torch, tmp_path):
    path = str(tmp_path / "bytes")
    (tmp_path / "bytes").write_bytes(bytes(range(16)))
    storage = torch.UntypedStorage.from_file(path, False, 16)
    part = storage[4:12]
    assert (part.tolist(), len(part), storage[2]) == ([4, 5, 6, 7, 8, 9, 10, 11], 8, 2)
    words = torch.asarray(part, dtype=torch.uint8).view(torch.int16)
    assert words.tolist() == [0x0504, 0x0706, 0x0908, 0x0B0A]
    assert torch.asarray(part.untyped(), dtype=torch.int32).tolist() == [0x07060504, 0x0B0A0908]
    torch.from_file(path, size=4, dtype=torch.int32).fill_(0)
    assert (tmp_path / "bytes").read_bytes() == bytes(range(16))
    torch.from_file(path, True, 2, dtype=torch.int32).fill_(0)
    assert (tmp_path / "bytes").read_bytes() == bytes(8) + bytes(range(8, 16))
    with pytest.raises(
        RuntimeError, match="size <16> is smaller than the required mapping size <20>"
    ):
        torch.from_file(path, size=5)
    with pytest.raises(
        RuntimeError, match=r"unable to open file <.*> in read-only mode: No such file"
    ):
        torch.UntypedStorage.from_file(path + "s", False, 4)
    with pytest.raises(RuntimeError, match="only a step of 1 is supported"):
        storage[0:8:2]
