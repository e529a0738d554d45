"""Python numbers beside tensors and stored in them: which fit, which wrap around and which are refused, as in PyTorch."""

import pytest

from tests.both_sides import assert_same, result_of

CALLS = """
x + 2**63; x * 2**64; i + 2**63; x.mul_(2**70); x == 2**70; s + 200; s * -200; u * -1; s.add_(200); u - 300
i.int() + 2**40; h + 1e6; h.add_(1e6); u ** 300; u.clamp(0, 300); u.clamp(-1, 5); i + 1.5; s / 300; u == 44; u < 255
x.fill_(2**70); x.fill_(1e300); x.fill_(float('inf')); x.fill_(True); x.fill_(1j); x.fill_(1+0j); h.fill_(1e6)
u.fill_(-1); u.fill_(-300); u.fill_(256); s.fill_(128); i.fill_(1.7); i.fill_(float('nan')); i.fill_(1+0j); b.fill_(3)
c.fill_(1e300j); x.fill_('a'); x.fill_(None); x.masked_fill(b, 1e300); h.masked_fill_(b, 1e6); u.masked_fill_(b, 300)
x.index_fill_(0, i, 1e300); torch.full((2,), 300, dtype=torch.uint8); torch.lerp(x, x, 1e300); x.clamp(0, 1e300)
i.__setitem__(0, 2**70); i.__setitem__(0, float('nan')); x.__setitem__(0, 1e300); h.__setitem__(0, 1e6) or h
u.__setitem__(0, -1) or u; u.__setitem__(0, 300); u.__setitem__(0, 1.5) or u; x.__setitem__(0, 1j)
x.__setitem__(u, 2); x.__setitem__(u, x[:1].clone()); x[s]; x[s] == 1; x.__delitem__(0); x.masked_fill(i, 2)
x.add_('a'); x.mul_(None); x.add_([1]); x.index_put_((i,), torch.tensor(2))
"""


def called(torch, call):
    """The call on tensors of several dtypes."""
    x, i = torch.ones(3), torch.tensor([0, 1, 2])
    scope = {"torch": torch, "x": x, "i": i, "b": i > 0, "s": i.to(torch.int8), "h": x.half()}
    scope |= {"u": torch.tensor([1, 0, 1], dtype=torch.uint8), "c": x.to(torch.complex64)}
    made = eval(call, scope)
    return str(made.dtype), made.tolist()


@pytest.mark.parametrize(
    "call", [call for line in CALLS.split("\n") for call in line.split("; ") if call]
)
def test_a_number_is_taken_as_pytorch_takes_it(call):
    assert_same(result_of(lambda torch: called(torch, call)))
