"""A mean is a sum divided by a count, in one rounding: accuracies print as in PyTorch."""

import numpy as np
import pytest

import funcgrad.engine as engine
import funcgrad.torch as torch


@pytest.mark.parametrize("mode", ["op_by_op", "compiled"])
@pytest.mark.parametrize("count", [3, 30, 49])
def test_a_mean_of_flags_is_the_nearest_number_to_the_fraction(mode, count):
    with engine.mode(mode):
        for right in range(0, count + 1, 3):
            hits = torch.arange(count) < right
            expected = float(np.float32(right) / np.float32(count))
            assert hits.float().mean().item() == expected
            assert torch.stack([hits.float()] * 2).mean(1).tolist() == [expected] * 2


def test_its_gradient_is_the_cotangent_divided_by_the_count():
    w = torch.ones(49, requires_grad=True)
    w.mean().backward()
    assert w.grad[0].item() == float(np.float32(1) / np.float32(49))


def test_means_of_nothing_and_of_complex_numbers():
    assert np.isnan(torch.zeros(0).mean().item())
    assert torch.zeros(0, 2).mean(1).shape == (0,)
    assert torch.tensor([1 + 1j, 2.0]).mean().item() == 1.5 + 0.5j
    assert torch.ones(70000, dtype=torch.float16).mean().item() == 1
