"""Samples of images at the points of a grid, next to PyTorch: values, gradients, refusals, and the pipeline of a tutorial."""

import numpy as np
import pytest

from tests.both_sides import SIDES, assert_same

RANDOM = np.random.default_rng(0)
IMAGE, VOLUME = RANDOM.normal(size=(2, 2, 3, 4)), RANDOM.normal(size=(1, 2, 3, 2, 3))
# Inside, outside and far outside, at the centres of elements and at both ends.
POINTS = [[-1, -1], [1, 1], [0, 0], [0.3, -0.7], [-1.2, 0.4], [2.7, -3.1], [1 / 3, 0], [-5, 6]]
GRID = np.array([POINTS, POINTS[::-1]], float).reshape(2, 2, 4, 2)
GRID_3D = RANDOM.uniform(-1.5, 1.5, size=(1, 2, 2, 2, 3))


def both(call, *arrays):
    found = []
    for torch in SIDES:
        tensors = [torch.tensor(each, requires_grad=True) for each in arrays]
        made = call(torch, *tensors)
        weights = torch.tensor(np.cos(np.arange(made.numel())).reshape(tuple(made.shape)))
        gradients = torch.autograd.grad(made, tensors, weights)
        found.append(
            [type(made.grad_fn).__name__, *[t.detach().numpy() for t in (made, *gradients)]]
        )
    mine, expected = found
    assert mine[0] == expected[0]
    for one, other in zip(mine[1:], expected[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_samples_of_an_image(mode, padding, align):
    both(lambda t, x, g: t.nn.functional.grid_sample(x, g, mode, padding, align), IMAGE, GRID)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_samples_of_a_volume(mode, padding):
    both(lambda t, x, g: t.nn.functional.grid_sample(x, g, mode, padding, False), VOLUME, GRID_3D)


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid behavior has changed")
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(2, 1, 3, 4), (2, 1, 1, 4), (2, 1, 2, 3, 2)], ids=str)
def test_grids_of_affine_maps(size, align):
    dims = len(size) - 2
    theta = RANDOM.normal(size=(2, dims, dims + 1))
    both(lambda t, theta: t.nn.functional.affine_grid(theta, size, align), theta)


PROGRAMS = [
    # A spatial transformer: a shifted and turned image.
    "theta = torch.tensor([[[0.5, -0.5, 0.25], [0.5, 0.5, 0.0]]], requires_grad=True)\n"
    "grid = torch.nn.functional.affine_grid(theta, (1, 2, 3, 4))\n"
    "y = torch.nn.functional.grid_sample(n[None], grid)",
    "y = torch.nn.functional.grid_sample(n[None], torch.zeros(1, 2, 2, 2), mode='cubic')",
    "y = torch.nn.functional.grid_sample(n[None], torch.zeros(1, 2, 2, 2), padding_mode='wrap')",
    "y = torch.nn.functional.grid_sample(n[None], torch.zeros(1, 2, 2, 3), align_corners=True)",
    "y = torch.nn.functional.grid_sample(n[None], torch.zeros(2, 2, 2, 2), align_corners=True)",
    "y = torch.nn.functional.grid_sample(n, torch.zeros(1, 2, 2, 2), align_corners=True)",
    "y = torch.nn.functional.grid_sample(n[None, :, :, :0], torch.zeros(1, 2, 2, 2), align_corners=True)",
    "y = torch.nn.functional.grid_sample(n, torch.zeros(2, 2, 2, 1), align_corners=True)",
    "y = torch.nn.functional.affine_grid(torch.zeros(1, 2, 3), (1, 1, 2), True)",
    "y = torch.nn.functional.affine_grid(torch.zeros(1, 2, 3), (1, 1, 2, 1), True)",
    "y = torch.nn.functional.affine_grid(torch.zeros(1, 3, 3), (1, 1, 2, 2), True)",
    "y = torch.nn.functional.affine_grid(torch.zeros(1, 2, 3, dtype=torch.int64), (1, 1, 2, 2), True)",
    "y = torch.nn.functional.affine_grid(torch.zeros(1, 2, 3), (1, 1, 0, 2), True)",
]


@pytest.mark.parametrize("source", PROGRAMS)
def test_a_program_sees_the_same(source):
    assert_same(source, rtol=1e-5, atol=1e-6)
