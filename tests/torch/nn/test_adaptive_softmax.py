"""`AdaptiveLogSoftmaxWithLoss`: parameters, losses, gradients, predictions and refusals are PyTorch's."""

import numpy as np
import pytest

from tests.both_sides import SIDES


def _seen(torch, target):
    torch.manual_seed(0)
    module = torch.nn.AdaptiveLogSoftmaxWithLoss(6, 12, [3, 7], div_value=2.0, head_bias=True)
    inputs = torch.randn(5, 6)
    target = torch.tensor(target)
    output, loss = module(inputs if target.dim() else inputs[0], target)
    loss.backward()
    return {
        "printed": repr(module),
        "output": output.detach().numpy(),
        "loss": loss.item(),
        "gradients": [None if p.grad is None else p.grad.numpy() for p in module.parameters()],
        "log_prob": module.log_prob(inputs).detach().numpy(),
        "predict": module.predict(inputs).tolist(),
    }


@pytest.mark.parametrize("target", [[0, 2, 5, 9, 11], [0, 1, 1, 3, 6], 8])
def test_losses_gradients_and_predictions_are_pytorchs(target):
    mine, other = (_seen(torch, target) for torch in SIDES)
    for name in ("printed", "predict"):
        assert mine[name] == other[name]
    for name in ("output", "loss", "log_prob"):
        np.testing.assert_allclose(mine[name], other[name], rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(mine["gradients"], other["gradients"], strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


REFUSED = {
    "no cutoffs": lambda torch: torch.nn.AdaptiveLogSoftmaxWithLoss(4, 9, []),
    "not sorted": lambda torch: torch.nn.AdaptiveLogSoftmaxWithLoss(4, 9, [5, 3]),
    "too large": lambda torch: torch.nn.AdaptiveLogSoftmaxWithLoss(4, 9, [9]),
    "class": lambda torch: _module(torch)(torch.ones(2, 4), torch.tensor([0, 9])),
    "sizes": lambda torch: _module(torch)(torch.ones(2, 4), torch.tensor([0, 1, 2])),
    "dimensions": lambda torch: _module(torch)(torch.ones(2, 4), torch.tensor(0)),
    "targets": lambda torch: _module(torch)(torch.ones(2, 4), torch.ones(2, 2).long()),
}


def _module(torch):
    return torch.nn.AdaptiveLogSoftmaxWithLoss(4, 9, [3])


@pytest.mark.parametrize("name", REFUSED)
def test_what_pytorch_refuses_is_refused_in_its_words(name):
    found = []
    for torch in SIDES:
        with pytest.raises((ValueError, RuntimeError)) as refused:
            REFUSED[name](torch)
        found.append((refused.type, str(refused.value)))
    assert found[0] == found[1]
