"""Lazy layers beside PyTorch's: before and after the first call."""

import numpy as np
import pytest

from tests.both_sides import ours, outcome, theirs
from tests.torch.nn.samples import check_alike, elements

LAYERS = {
    "LazyConv1d(4, 2, bias=False)": (2, 3, 5),
    "LazyConv2d(4, 3, padding=1, groups=3)": (2, 3, 4, 4),
    "LazyConv3d(2, 2)": (1, 2, 3, 3, 3),
    "LazyConvTranspose1d(2, 2)": (2, 3, 4),
    "LazyConvTranspose2d(2, 3, stride=2)": (3, 2, 2),
    "LazyConvTranspose3d(1, 2)": (1, 2, 2, 2, 2),
    "LazyBatchNorm1d()": (4, 3),
    "LazyBatchNorm2d(affine=False)": (2, 3, 2, 2),
    "LazyBatchNorm3d(track_running_stats=False)": (2, 2, 2, 2, 2),
    "LazyInstanceNorm1d()": (2, 3, 4),
    "LazyInstanceNorm2d(bias=False)": (2, 3, 2, 2),
    "LazyInstanceNorm3d()": (2, 2, 2, 2, 2),
}


@pytest.mark.parametrize(("text", "shape"), LAYERS.items())
def test_a_layer_takes_its_sizes_from_the_first_input(text, shape):
    if "groups=3" in text:
        text = text.replace("(4", "(6")

    def run(torch):
        torch.manual_seed(0)
        module = eval(text, vars(torch.nn))
        before = repr(module), list(module.state_dict()), module.has_uninitialized_params()
        numbers = np.sin(np.arange(1.0, np.prod(shape) + 1)).reshape(shape)
        made = module(torch.tensor(numbers.astype(np.float32)))
        return before, repr(module), type(module).__name__, module.state_dict(), made

    *mine, state, made = run(ours)
    *expected, reference, wanted = run(theirs)
    assert mine == expected
    assert list(state) == list(reference)
    for name in state:
        np.testing.assert_allclose(elements(state[name]), elements(reference[name]), rtol=1e-5, atol=1e-6)  # fmt: skip
    check_alike(made, wanted, text, 5)


@pytest.mark.parametrize(
    "text",
    [
        "nn.LazyConv2d(4, 3)(torch.ones(3, 3))",
        "nn.LazyConv2d(4, 3, groups=2)(torch.ones(1, 3, 4, 4))",
    ],
)
def test_errors_are_pytorchs(text):
    def call(torch):
        return eval(text, {"torch": torch, "nn": torch.nn})

    assert outcome(call, ours) == outcome(call, theirs)


def test_a_state_without_elements_is_loaded():
    for torch in (ours, theirs):
        module, given = torch.nn.LazyLinear(4), torch.nn.LazyLinear(4)
        assert str(module.load_state_dict(given.state_dict())) == "<All keys matched successfully>"
        assert module.has_uninitialized_params()
