"""Layers beside PyTorch's: printed forms, state dicts, initial values bit for bit, results, gradients and buffers."""

import warnings

import numpy as np
import pytest

from tests.both_sides import ours, outcome, theirs
from tests.torch.nn.samples import check_alike, elements, weights

# A layer, and the shape of its input.
LAYERS = {
    "Conv1d(2, 4, 3)": (2, 2, 6),
    "Conv1d(2, 4, 2, stride=2, padding=1, dilation=2, groups=2, bias=False)": (2, 6),
    "Conv2d(2, 4, (3, 2), padding='same', dtype=torch.float64)": (1, 2, 4, 4),
    "Conv2d(2, 2, 3, padding=1, padding_mode='reflect')": (1, 2, 4, 4),
    "Conv2d(2, 2, 3, padding=(2, 1), padding_mode='circular')": (1, 2, 4, 4),
    "Conv2d(2, 2, 3, padding='same', padding_mode='replicate')": (1, 2, 4, 4),
    "Conv3d(1, 2, 2, stride=(1, 2, 1))": (1, 1, 3, 4, 3),
    "ConvTranspose1d(2, 3, 3, stride=2, output_padding=1)": (2, 2, 4),
    "ConvTranspose2d(4, 2, 3, 2, 1, groups=2)": (1, 4, 3, 3),
    "ConvTranspose3d(1, 2, 2)": (1, 2, 2, 2),
    "MaxPool1d(3, 2, padding=1)": (2, 2, 7),
    "MaxPool2d(2)": (1, 2, 5, 4),
    "MaxPool2d((3, 2), stride=(2, 1), padding=1, ceil_mode=True)": (1, 2, 5, 5),
    "MaxPool2d(2, dilation=2, return_indices=True)": (2, 5, 5),
    "MaxPool3d(2)": (1, 1, 4, 4, 4),
    "AvgPool1d(3, 2)": (2, 2, 7),
    "AvgPool2d(3, padding=1, count_include_pad=False, ceil_mode=True)": (1, 2, 5, 4),
    "AvgPool2d(2, divisor_override=3)": (1, 2, 4, 4),
    "AvgPool3d(2)": (1, 1, 4, 4, 4),
    "LPPool1d(2, 3)": (1, 2, 6),
    "LPPool2d(2, 2, stride=1)": (1, 2, 4, 4),
    "AdaptiveAvgPool1d(3)": (2, 2, 7),
    "AdaptiveAvgPool2d((3, None))": (1, 2, 7, 4),
    "AdaptiveAvgPool2d(1)": (1, 2, 3, 3),
    "AdaptiveAvgPool3d(2)": (1, 1, 4, 3, 2),
    "AdaptiveMaxPool1d(3, return_indices=True)": (2, 2, 7),
    "AdaptiveMaxPool2d((2, 3), return_indices=True)": (1, 2, 5, 4),
    "AdaptiveMaxPool3d(1)": (1, 1, 2, 3, 2),
    "FractionalMaxPool2d((2, 3), output_size=(3, 2), return_indices=True)": (2, 2, 7, 6),
    "FractionalMaxPool2d(2, output_ratio=(0.5, 0.7))": (2, 6, 5),
    "FractionalMaxPool2d(2, 3, _random_samples=torch.rand(2, 2, 2))": (2, 6, 5),
    "FractionalMaxPool3d((2, 1, 3), output_size=(2, 3, 1))": (2, 2, 5, 4, 6),
    "ConstantPad1d((1, 2), 3.5)": (2, 3),
    "ConstantPad2d(-1, 0.5)": (2, 3, 4),
    "ZeroPad2d((1, 0, 2, -1))": (1, 2, 3, 3),
    "ReflectionPad1d(2)": (1, 2, 4),
    "ReflectionPad2d((1, 2, 0, 1))": (2, 4, 4),
    "ReflectionPad3d(1)": (1, 1, 2, 3, 2),
    "ReplicationPad1d((0, 3))": (1, 2, 3),
    "ReplicationPad2d(1)": (1, 2, 3, 3),
    "ReplicationPad3d((1, 0, 0, 2, 1, 1))": (1, 2, 2, 2),
    "CircularPad1d(1)": (1, 2, 3),
    "CircularPad2d((1, 0, 2, 1))": (1, 1, 3, 3),
    "Upsample(scale_factor=2)": (1, 2, 3),
    "Upsample(size=(5, 4), mode='bilinear')": (1, 2, 3, 3),
    "Upsample(scale_factor=(2, 1.5), mode='bicubic', align_corners=True)": (1, 1, 4, 4),
    "Upsample(scale_factor=2, mode='trilinear')": (1, 1, 2, 2, 2),
    "UpsamplingNearest2d(scale_factor=2)": (1, 2, 3, 3),
    "UpsamplingBilinear2d(size=5)": (1, 2, 3, 3),
    "PixelShuffle(2)": (1, 8, 2, 3),
    "PixelUnshuffle(2)": (1, 2, 4, 2),
    "ChannelShuffle(2)": (1, 4, 2, 2),
    "Unfold((2, 3), padding=1, stride=2)": (1, 2, 4, 5),
    "Fold((4, 5), 2)": (1, 8, 12),
    "BatchNorm1d(3)": (4, 3),
    "BatchNorm1d(3, momentum=None, eps=1e-3)": (4, 3, 2),
    "BatchNorm1d(3, affine=False)": (4, 3),
    "BatchNorm1d(3, bias=False, track_running_stats=False)": (4, 3),
    "BatchNorm2d(2, momentum=0.3)": (2, 2, 3, 3),
    "BatchNorm3d(2)": (2, 2, 2, 2, 2),
    "InstanceNorm1d(2)": (2, 2, 4),
    "InstanceNorm2d(2, affine=True, track_running_stats=True)": (2, 2, 3, 3),
    "InstanceNorm3d(2)": (2, 2, 2, 2),
    "LayerNorm(4)": (2, 3, 4),
    "LayerNorm([3, 4], eps=1e-3, bias=False)": (2, 3, 4),
    "LayerNorm((4,), elementwise_affine=False)": (2, 4),
    "GroupNorm(2, 4)": (2, 4, 3),
    "GroupNorm(1, 4, affine=False)": (2, 4),
    "RMSNorm(4)": (2, 3, 4),
    "RMSNorm((3, 4), eps=0.1, elementwise_affine=False)": (2, 3, 4),
    "LocalResponseNorm(2)": (1, 4, 3, 2),
    "LocalResponseNorm(3, alpha=0.1, k=2.0)": (2, 4, 3),
}


def made(torch, text, seed=0):
    torch.manual_seed(seed)
    return eval(text, {"torch": torch, **vars(torch.nn)})


def run(torch, module, shape):
    """Two calls of a module in training and one in evaluation: results, gradients and state."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = []
        like = next(module.parameters(), None)
        dtype = torch.float32 if like is None else like.dtype
        for k in range(3):
            numbers = np.sin(np.arange(1.0, np.prod(shape) + 1) * (k + 1.7)).reshape(shape)
            x = torch.tensor(numbers).to(dtype).requires_grad_()
            y = module.train(k < 2)(x)
            first = y[0] if isinstance(y, tuple) else y
            (first * weights(torch, first)).sum().backward()
            found += [y, x.grad]
        found += [parameter.grad for parameter in module.parameters()]
        return found + [state for name, state in module.state_dict().items()]


@pytest.mark.parametrize(("text", "shape"), LAYERS.items())
def test_a_layer_is_as_pytorchs(text, shape):
    mine, reference = made(ours, text), made(theirs, text)
    assert repr(mine) == repr(reference)
    assert list(mine.state_dict()) == list(reference.state_dict())
    assert [name for name, _ in mine.named_buffers()] == [n for n, _ in reference.named_buffers()]
    check_alike(run(ours, mine, shape), run(theirs, reference, shape), text, 10)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("text", [text for text in LAYERS if text.startswith("Conv")])
def test_initial_values_are_pytorchs_bit_for_bit(text, seed):
    mine, reference = made(ours, text, seed), made(theirs, text, seed)
    for (name, a), b in zip(mine.named_parameters(), reference.parameters(), strict=True):
        np.testing.assert_array_equal(elements(a), elements(b), err_msg=name)


REFUSED = [
    "nn.Conv2d(3, 4, 3, groups=2)",
    "nn.Conv2d(4, 3, 3, groups=2)",
    "nn.Conv2d(4, 4, 3, groups=0)",
    "nn.Conv2d(4, 4, 3, stride=2, padding='same')",
    "nn.ConvTranspose2d(2, 2, 2, padding_mode='reflect')",
    "nn.Conv2d(2, 4, 3)(torch.ones(1, 3, 5, 5))",
    "nn.Conv2d(2, 4, 3)(torch.ones(5, 5))",
    "nn.Conv2d(2, 4, 3)(torch.ones(1, 2, 2, 2))",
    "nn.Conv2d(2, 4, 3)(torch.ones(1, 2, 5, 5).double())",
    "nn.Conv1d(2, 4, 3)(torch.ones(1, 2, 5, dtype=torch.int64))",
    "nn.ConvTranspose2d(2, 4, 3)(torch.ones(1, 2, 5, 5), output_size=(9, 9))",
    "nn.ConvTranspose2d(2, 4, 3, output_padding=1)(torch.ones(1, 2, 5, 5))",
    "nn.MaxPool2d(5)(torch.ones(1, 1, 4, 4))",
    "nn.MaxPool2d(2, padding=2)(torch.ones(1, 1, 4, 4))",
    "nn.MaxPool2d((2, 2, 2))(torch.ones(1, 1, 4, 4))",
    "nn.MaxPool2d(2)(torch.ones(4, 4))",
    "nn.AvgPool2d(5)(torch.ones(1, 1, 4, 4))",
    "nn.AvgPool1d(2)(torch.ones(4))",
    "nn.AdaptiveAvgPool2d(2)(torch.ones(4, 4))",
    "nn.FractionalMaxPool2d(3)",
    "nn.FractionalMaxPool2d(3, 2, 0.5)",
    "nn.FractionalMaxPool2d(3, output_ratio=1.5)",
    "nn.FractionalMaxPool2d(3, output_size=3)(torch.ones(1, 1, 4, 9))",
    "nn.FractionalMaxPool3d(2, output_size=(2, 4, 2))(torch.ones(1, 1, 4, 4, 4))",
    "nn.functional.fractional_max_pool2d(torch.ones(1, 1, 4, 4), 2)",
    "nn.CrossMapLRN2d(3)(torch.ones(1, 3, 4))",
    "nn.ReflectionPad2d(4)(torch.ones(1, 3, 4, 4))",
    "nn.BatchNorm1d(3)(torch.ones(1, 3))",
    "nn.BatchNorm1d(3)(torch.ones(2, 4))",
    "nn.BatchNorm1d(3)(torch.ones(3))",
    "nn.BatchNorm2d(3)(torch.ones(2, 3))",
    "nn.BatchNorm2d(3)(torch.ones(2, 3, 2, 2).double())",
    "nn.InstanceNorm1d(3)(torch.ones(2, 3, 1))",
    "nn.InstanceNorm1d(3)(torch.ones(2, 3, 1, 1))",
    "nn.InstanceNorm1d(3, affine=True)(torch.ones(2, 2, 4))",
    "nn.LayerNorm(3)(torch.ones(2, 4))",
    "nn.LayerNorm(3)(torch.ones(2, 3).double())",
    "nn.GroupNorm(2, 3)",
    "nn.GroupNorm(2, 4)(torch.ones(2, 3))",
    "nn.RMSNorm(3)(torch.ones(2, 4))",
    "nn.LocalResponseNorm(2)(torch.ones(2, 4))",
    "nn.functional.interpolate(torch.ones(1, 1, 4))",
    "nn.functional.interpolate(torch.ones(1, 1, 4), size=2, scale_factor=2)",
    "nn.functional.interpolate(torch.ones(1, 1, 4), size=(2, 2))",
    "nn.functional.interpolate(torch.ones(1, 1, 4), scale_factor=2, align_corners=True)",
    "nn.functional.interpolate(torch.ones(1, 1, 4), scale_factor=2, mode='bilinear')",
    "nn.functional.interpolate(torch.ones(1, 1, 4, 4), scale_factor=2, mode='no')",
    "nn.functional.pad(torch.ones(2), (1,))",
    "nn.functional.pad(torch.ones(2), (1, 1, 1, 1))",
    "nn.functional.pad(torch.ones(2, 3), (1, 1), mode='circular', value=1)",
    "nn.functional.pad(torch.ones(2, 3, 4), (5, 1), mode='circular')",
    "nn.functional.pad(torch.ones(2, 3, 4), (1, 1), mode='no')",
    "nn.functional.pad(torch.ones(3), (1, 1), mode='reflect')",
    "nn.functional.fold(torch.ones(1, 8, 11), (4, 5), 2)",
    "nn.functional.fold(torch.ones(1, 7, 12), (4, 5), 2)",
    "nn.functional.unfold(torch.ones(1, 1, 2, 2), 3)",
    "nn.functional.pixel_shuffle(torch.ones(1, 3, 2, 2), 2)",
    "nn.functional.pixel_unshuffle(torch.ones(1, 3, 3, 2), 2)",
]


@pytest.mark.parametrize("text", REFUSED)
def test_errors_are_pytorchs(text):
    def call(torch):
        return eval(text, {"torch": torch, "nn": torch.nn})

    mine, expected = outcome(call, ours), outcome(call, theirs)
    assert isinstance(expected, tuple), f"PyTorch takes it: {expected}"
    assert mine == expected


def test_a_sync_batch_norm_is_refused():
    with pytest.raises(NotImplementedError, match="several processes"):
        ours.nn.SyncBatchNorm(3)


@pytest.mark.parametrize(
    "call",
    [
        "conv1d(x[0, :, 0], torch.sin(w[:, :, 0]), stride=2)",
        "conv2d(x, w, padding=1, dilation=2)",
        "conv2d(x, w[:, :1], groups=2)",
        "conv_transpose2d(x, w, stride=2)",
        "batch_norm(x, None, None, training=True)",
        "layer_norm(x, (4, 4))",
        "avg_pool2d(x, 3, 1)",
        "max_pool2d(x ** 2, 2)",
        "interpolate(x, scale_factor=2, mode='bicubic')",
    ],
)
def test_second_derivatives_are_pytorchs(call):
    def second(torch):
        x = torch.tensor(np.sin(np.arange(32.0)).reshape(1, 2, 4, 4), requires_grad=True)
        w = torch.tensor(np.cos(np.arange(16.0)).reshape(2, 2, 2, 2), requires_grad=True)
        y = eval(call, {"torch": torch, "x": x, "w": w, **vars(torch.nn.functional)})
        inputs = (x, w) if "w" in call.split("(", 1)[1] else (x,)
        first = torch.autograd.grad((y**3).sum(), inputs, create_graph=True)
        return torch.autograd.grad(sum((g * g).sum() for g in first), inputs)

    check_alike(second(ours), second(theirs), call)
