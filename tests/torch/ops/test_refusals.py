"""Dtypes that PyTorch has no kernel for are refused in its words, where JAX would compute something."""

import warnings

import pytest

from tests.both_sides import assert_same, attempt, ours, result_of, theirs

CALLS = """
c < d; c <= 1; d > 1j; c >= c; c.lt_(c); torch.maximum(c, c); torch.minimum(d, c); torch.max(c, c); c.clamp(0, 1)
c.clamp_min(0); c.clip(0, 1); c.relu(); c.relu_(); c.floor(); c.ceil(); c.round(); c.trunc(); c.sign(); c.erf()
torch.atan2(c, c); c.max(); c.min(0); c.amax(); c.amin(0); c.argmax(); c.sort(); c.topk(1); c.softmax(0); c.abs_()
c.log_softmax(0); b.floor(); b.round(); b.abs(); b.relu(); -b; b.neg_(); b ** b; torch.addcmul(b, b, b); b.sub_(d)
b.argmax(); b.argmin(0); b[None].trace(); b.lerp(b, 0.5); i.lerp(i, 0.5); d.lerp(d.float(), 0.5); d.lerp(d, torch.ones(2)); torch.addcdiv(d, i, i)
d.index_add_(0, i, c); i.lerp_(d, 0.5); b @ b; b[None] @ b; b @ b[:, None]; b[None] @ b[:, None]; b.topk(1)
"""


def called(torch, call):
    """The call on tensors of several dtypes."""
    scope = {
        "torch": torch,
        "b": torch.tensor([True, False]),
        "i": torch.tensor([0, 1]),
        "d": torch.ones(2, dtype=torch.float64),
        "c": torch.ones(2, dtype=torch.complex64),
    }
    return eval(call, scope)


@pytest.mark.parametrize(
    "call", [call for line in CALLS.split("\n") for call in line.split("; ") if call]
)
def test_what_has_no_kernel_is_refused(call):
    assert isinstance(attempt(called, theirs, call), Exception)
    assert_same(result_of(lambda torch: called(torch, call)))


@pytest.mark.parametrize(
    "call",
    [
        "torch.roll(d[0], 1, 0)",
        "d.narrow(0, d[0], 1)",
        "d.narrow(0, i[:1], 1)",
        "torch.cov(d, fweights=i - 1)",
        "torch.cov(d, aweights=-d)",
    ],
)
def test_arguments_without_a_meaning_are_refused(call):
    assert isinstance(attempt(called, theirs, call), Exception)
    assert_same(result_of(lambda torch: called(torch, call)))


@pytest.mark.parametrize("call", ["b.sign()", "b.square()", "d.lerp(d, torch.tensor(0.5))"])
def test_what_has_one_gives_the_dtype_that_it_gives(call):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert str(called(ours, call).dtype) == str(called(theirs, call).dtype)
