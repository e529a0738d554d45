"""uint16, uint32 and uint64: what PyTorch computes with them, its refusals to promote them, and files."""

import io

import pytest

from tests.both_sides import assert_same, ours, theirs

UNSIGNED = [
    "see(x, x[1:], x[torch.tensor([0, 2])], x.tolist(), x[0].item(), x.numpy().dtype.name)",
    "see(x * 2, x * 2.5, x / 2, x & 1, x ^ x, x == 2, x.sum(), x.prod(), x.cumsum(0), x.bool(), x.any())",
    "see(x.float(), x.long(), torch.arange(3).to(x.dtype), torch.cat([x, x]), torch.stack([x, x]), x.sort(), x.unique())",
    "see(torch.zeros(2, dtype=x.dtype), torch.full((2,), 7, dtype=x.dtype), x.view(torch.uint8), torch.where(x == 2, x, x))",
    "see(x.clone().copy_(torch.tensor([1.5, 2, 3])), x.dtype.itemsize, x.dtype.is_signed, str(torch.iinfo(x.dtype)), x.type())",
    "see(x + torch.tensor([1.0, 2, 3]), str(torch.promote_types(x.dtype, torch.float16)), torch.equal(x, x))",
    "x + torch.tensor([1, 2, 3])",
    "x + torch.tensor([True, False, True])",
    "torch.promote_types(x.dtype, torch.int32)",
    "torch.zeros(2, dtype=x.dtype, requires_grad=True)",
]


@pytest.mark.parametrize("name", ["uint16", "uint32", "uint64"])
@pytest.mark.parametrize("text", UNSIGNED)
def test_unsigned_integers_are_pytorchs(text, name):
    def program(torch, see):
        x = torch.tensor([1, 2, 60000], dtype=getattr(torch, name))
        exec(text, {"torch": torch, "see": see, "x": x})

    assert_same(program)


@pytest.mark.parametrize("writer", ["ours", "theirs"])
def test_unsigned_integers_are_saved_for_both_sides(writer):
    first, second = (ours, theirs) if writer == "ours" else (theirs, ours)
    file = io.BytesIO()
    whole = first.tensor([[1, 2], [3, 60000]], dtype=first.uint16)
    first.save({"whole": whole, "row": whole[1], "dtype": first.uint32}, file)
    file.seek(0)
    found = second.load(file)
    assert str(found["whole"]) == str(whole)
    found["row"][0] = 7
    assert found["whole"].tolist() == [[1, 2], [7, 60000]]
    assert found["dtype"] is second.uint32
