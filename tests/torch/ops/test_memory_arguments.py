"""`resize_`, `resize_as_`, `set_` and `scatter` take all of PyTorch's arguments; results lie in PyTorch's memory formats."""

import pytest

from funcgrad import engine
from tests.both_sides import assert_same, ours, theirs


@pytest.mark.parametrize(
    "program",
    [
        "y = torch.zeros(0).resize_(1, 1, 2, 3, memory_format=torch.channels_last); y.zero_()",
        "y = torch.arange(6.).resize_(size=(2, 2))",
        "y = torch.arange(6.).resize_(1, 2, 3, 1, memory_format=torch.channels_last)",
        "y = torch.arange(6.).resize_(2, 3, memory_format=torch.contiguous_format)",
        "y = torch.arange(6.).resize_(2, 3, memory_format=torch.preserve_format)",
        "y = torch.arange(6.).resize_(2, 3, memory_format=torch.channels_last)",
        "y = torch.arange(6.).resize_as_(torch.ones(2, 3), memory_format=torch.contiguous_format)",
        "y = torch.arange(6.).resize_as_(n.reshape(4, 3, 2, 1)[:1, :, :, :], memory_format=torch.channels_last)",
        "s = torch.arange(6.); y = torch.zeros(0); y.set_(s, 1, (2, 2), (2, 1)); y += 10",
        "s = torch.arange(6.); y = torch.zeros(0); y.set_(s, storage_offset=2, size=(3,))",
        "s = torch.arange(6.); y = torch.zeros(0); y.set_(s[2:], 1, (2,), (2,))",
        "s = torch.arange(6.); y = torch.zeros(0); y.set_(s, -1, (2,))",
        "r = torch.rsub(w, 2, alpha=3)",
        "r = torch.rsub(w, torch.ones(3), alpha=2)",
        "r = torch.rsub(w, w)",
        "r = torch.rsub(w, 2)",
        "r = 2 - w",
        "r = torch.rsub(i, 1, alpha=2.5)",
        "y = torch.zeros(3).scatter(0, torch.tensor([0, 0, 2]), torch.tensor([2., 3., 4.]), reduce='add')",
        "y = torch.ones(3).scatter(0, torch.tensor([0, 0, 2]), 3, reduce='multiply')",
        "y = torch.ones(2, 3).scatter_(1, i[:, None], 3., reduce='add')",
        "y = torch.ones(2, 3).scatter_(1, i[:, None], value=3., reduce='multiply')",
        "y = torch.ones(3).scatter(0, i, 3., reduce='amax')",
        "y = (w * 1).scatter(0, i, 3., reduce='add')",
        "y = torch.tensor(2.).scatter(0, torch.tensor(0), 3., reduce='add')",
    ],
)
def test_arguments_mean_what_they_mean_in_pytorch(program):
    assert_same(program)


def test_to_a_memory_format_lays_out_as_pytorch_does():
    def program(torch):
        formats = torch.channels_last, torch.contiguous_format, torch.preserve_format
        x = torch.arange(120.0).reshape(2, 3, 4, 5)
        last = x.to(memory_format=torch.channels_last)
        one = torch.ones(4, 1, 4, 4)
        tensors = [x, last, x.permute(3, 2, 1, 0), last[:, :, 1:3], x[:, :, 1:3], one]
        tensors += [one.to(memory_format=torch.channels_last), torch.ones(4, 3, 1, 1)]
        tensors += [x[:1, :1, :1, :1], torch.ones(1, 3, 1, 1).expand(2, 3, 4, 4)]
        made = [[t.to(memory_format=wanted) for wanted in formats] for t in tensors]
        made.append([torch.ones(2, 3).t().to(memory_format=torch.contiguous_format)])
        return [[(t.stride(), t.tolist()) for t in row] for row in made], [
            [t is old for t in row] for row, old in zip(made, tensors, strict=False)
        ]

    assert program(ours) == program(theirs)


LAYERS = (
    "Conv2d(4, 8, 3)",
    "Conv2d(4, 4, 3, padding=1, groups=4)",
    "ConvTranspose2d(4, 8, 2, 2)",
    "BatchNorm2d(4)",
    "BatchNorm2d(4).eval()",
    "GroupNorm(2, 4)",
    "InstanceNorm2d(4)",
    "MaxPool2d(2)",
    "AvgPool2d(2)",
    "AdaptiveAvgPool2d(3)",
    "AdaptiveMaxPool2d(2)",
    "Upsample(scale_factor=2)",
    "Upsample(scale_factor=2, mode='bilinear')",
    "ZeroPad2d(1)",
    "ReflectionPad2d(1)",
    "ReplicationPad2d(1)",
    "PixelShuffle(2)",
    "PixelUnshuffle(2)",
    "ChannelShuffle(2)",
    "RReLU()",
    "Conv2d(4, 8, 3).to(memory_format=torch.channels_last)",
    "Conv3d(4, 2, 2)",
    "MaxPool3d(2)",
    "AvgPool3d(2)",
)
FUNCTIONS = (
    "torch.cat([x, x], 1)",
    "torch.cat([x, x.contiguous()], 1)",
    "x.roll(1, 2)",
    "torch.einsum('bhij,bjhd->bihd', x, torch.ones(2, 6, 4, 5))",
    "torch.einsum('bcij,ck->bkij', x, torch.ones(4, 3))",
    "torch.einsum('ibnd,jbnd->ijbn', x, x)",
    "torch.einsum('bcij,bkj->bkci', x, torch.ones(2, 3, 6))",
    "torch.einsum('bcij,bcij->cbi', x, x[:, :, :, :1])",
    "F.scaled_dot_product_attention(*[x.transpose(1, 2)] * 3)",
    "F.scaled_dot_product_attention(x, x.contiguous(), x.contiguous())",
    "F.max_pool1d(x[0].transpose(0, 1), 2)",
    "F.max_pool1d(x[0].transpose(0, 1).detach().requires_grad_(), 2)",
    "F.mse_loss(x, 2 * x, reduction='none')",
    "F.smooth_l1_loss(x, x.contiguous(), reduction='none')",
    "F.binary_cross_entropy_with_logits(x, x.sigmoid(), reduction='none')",
    "F.kl_div(x, x, reduction='none')",
    "F.cosine_embedding_loss(x[0, :, 0], x[0, :, 1], torch.ones(4), reduction='none')",
)


@pytest.mark.parametrize("source", [*(f"nn.{each}(x)" for each in LAYERS), *FUNCTIONS])
def test_results_of_images_lie_in_memory_as_pytorchs_do(source):
    def program(torch):
        if "3d" in source:
            x = torch.arange(864.0).reshape(2, 4, 3, 6, 6) / 100
            forms = [x, x.to(memory_format=torch.channels_last_3d)]
        else:
            x = torch.arange(288.0).reshape(2, 4, 6, 6) / 100
            last = x.to(memory_format=torch.channels_last)
            rows = x.reshape(2, 36, 4).permute(0, 2, 1).view(2, 4, 6, 6)
            forms = [x, last, rows, last[:, :, 2:], x.transpose(2, 3)]
        names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
        strides = []
        for form in forms:
            torch.manual_seed(0)
            made = eval(source, {**names, "x": form})
            strides.append(made.stride())
            # Random numbers are drawn in the order of memory.
            strides.append((names["F"].dropout(torch.ones_like(made)) > 0).tolist())
        return strides

    with engine.mode("eager"):
        mine = program(ours)
    assert mine == program(theirs)


# Of `t`, which lies in another order than its indices, of images `c` in channels_last, and of index tensors and a mask.
LAID_OUT = """t[i]; t[:, i]; t[:, :, i]; t[..., i]; t[i, i]; t[i, :, i]; t[:, i, i]; x.mT[i]; x.mT[:, i]; x[0].t()[:, i]; t[None, i]; t[1:, i]
t[:, torch.tensor([[0, 1, 1], [1, 0, 1]]).t()]; t[m]; t[:, m[0, :2]]; t[:1][:, i]; t[:, :1][i]; t[:, None, i]; t[i, None]; t[i[:0]]
c[i]; c[:, i]; c[:, :, i]; c[i, i]; c[:, :, i[:, None], i]; c[:, :, i, i[:, None]]; c[:, 0][:, i]; x.expand(3, 2, 3, 4)[:, i]
F.glu(c, 1); F.glu(t, 0); F.glu(x.mT, 1); F.glu(c, 3); t.index_fill(0, i, 0.0); t.index_select(0, i)"""


@pytest.mark.parametrize("line", LAID_OUT.splitlines())
def test_results_lie_in_pytorchs_order(line):
    """But for the strides of dimensions of length one, which say nothing."""

    def program(torch, see):
        x, i = torch.arange(24.0).reshape(2, 3, 4), torch.tensor([1, 0])
        scope = {"torch": torch, "F": torch.nn.functional, "x": x, "i": i, "t": x.permute(2, 0, 1)}
        scope["c"] = torch.arange(48.0).reshape(2, 2, 3, 4).to(memory_format=torch.channels_last)
        scope["m"] = torch.arange(8).reshape(4, 2) % 3 > 0
        for text in line.split("; "):
            made = eval(text, scope)
            strides = zip(made.stride(), made.shape, strict=True)
            see(text, made, [step for step, length in strides if length != 1])

    assert_same(program)
