"""`torch.autocast` and `GradScaler`: the dtypes of results, the numbers, gradients and states are PyTorch's."""

import threading
import warnings

import pytest

from tests.both_sides import SIDES, assert_same, attempt, ours

# Each op with float32 operands and with operands in half precision: which dtype the result has.
CALLS = """
x @ x.mT; x[0] @ x[0, 0]; x[0, 0] @ x[0].t(); x[0, 0] @ x[0, 0]; y @ y.mT; x.double() @ x.double().mT; i @ i.t()
torch.mm(x[0], x[0].t()); torch.bmm(x, x.mT); torch.mm(x[0], y[0].t()); torch.addmm(x[0, :, :4], x[0], x[0].t())
torch.mv(x[0], x[0, 0]); torch.dot(x[0, 0], x[0, 0]); torch.outer(x[0, 0], x[0, 0]); torch.inner(x, x); torch.kron(x[0], x[0])
torch.einsum("abc,abd->acd", x, x); torch.einsum("abc,abd->abcd", x, x); torch.einsum("abc->cb", x); torch.tensordot(x, x, dims=([2], [2]))
torch.tensordot(x, x, dims=0); torch.tensordot(d[0], d[0], dims=1); torch.mm(x[0].detach(), x[0].t().detach(), out=torch.empty(4, 4)); torch.zeros(4, 4).addmm_(x[0], x[0].t())
torch.linalg.vecdot(x, x); torch.linalg.multi_dot([x[0], x[0].t(), x[0]]); torch.cov(x[0]); torch.cdist(y, y)
F.linear(x, x[0]); F.linear(y, x[0], x[0, :, 0]); F.linear(h, x[0].half()); F.conv1d(x, x); F.conv_transpose1d(x[:, :3], x[:, :, :2]); F.prelu(y, x[0, 0, :1])
F.conv1d(x, x, x[:, 0, 0]); F.scaled_dot_product_attention(x, y, x); F.bilinear(x, x, torch.ones(2, 8, 8))
F.layer_norm(y, (8,), x[0, 0], x[0, 0]); F.group_norm(y, 2, x[0, :, 0], x[0, :, 0]); F.batch_norm(y, d[:, 0], d[:, 0].abs(), x[0, :, 0])
F.gelu(y); y.softmax(-1); y.exp(); y.sum(); y.norm(); y.prod(); y ** 2; torch.cat([x, y]); torch.stack([x, y]); x + y; torch.trace(y[0])
F.mse_loss(y, x); F.l1_loss(y, y); F.smooth_l1_loss(y, y); F.huber_loss(y, y); F.kl_div(y, y.softmax(-1)); F.cross_entropy(y[0], c); F.nll_loss(y[0], c)
F.binary_cross_entropy(y.sigmoid(), x.sigmoid()); F.binary_cross_entropy_with_logits(y, x.sigmoid()); F.soft_margin_loss(y, x.detach().sign())
F.triplet_margin_loss(y, y + 1, y + 2); F.cosine_embedding_loss(y[0], y[0] + 1, c.sign()); F.poisson_nll_loss(y, y); F.hinge_embedding_loss(y, x.sign())
F.margin_ranking_loss(y, y, x.sign()); F.pad(y, (1, 1), mode="reflect"); F.pad(y, (1, 1)); F.avg_pool1d(y, 2); F.avg_pool3d(y[None], 2)
torch.quantile(y, 0.5); torch.fft.rfft(y); torch.fft.fft2(y); torch.polar(y.abs(), y); torch.linalg.svdvals(y); torch.linalg.inv(y[0, :, :4] + 4 * torch.eye(4))
"""


def names(torch):
    torch.manual_seed(0)
    x = torch.randn(3, 4, 8).requires_grad_()
    return {
        "torch": torch,
        "F": torch.nn.functional,
        "x": x,
        "d": x[0].detach(),
        "y": x.to(torch.bfloat16),
        "h": x.to(torch.float16),
        "i": torch.ones(2, 2, dtype=torch.int64),
        "c": torch.tensor([0, 1, 2, 3]),
    }


def calls():
    return [text.strip() for line in CALLS.strip().splitlines() for text in line.split(";")]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_dtypes_of_results(torch, dtype):
    def found(torch):
        scope = names(torch)
        with torch.autocast("cpu", dtype=getattr(torch, dtype)):
            made = {text: eval(text, scope) for text in calls()}
        return {text: str(each.dtype) for text, each in made.items()}, made

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (mine, values), (expected, references) = found(ours), found(torch)
    assert mine == expected
    for text, reference in references.items():
        wanted, got = (each.detach().abs().double() for each in (reference, values[text]))
        scale = max(wanted.max().item(), 1.0)
        assert got.numpy() == pytest.approx(wanted.numpy(), abs=0.02 * scale), text


TRAINING = """
torch.manual_seed(0)
x = torch.randn(16, 3, 8, 8)
model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5), torch.nn.LayerNorm(5)
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16) as block:
        made = model(x)
        loss = torch.nn.functional.cross_entropy(made, torch.arange(16) % 5)
        see(str(made.dtype), str(loss.dtype), torch.is_autocast_enabled("cpu"), type(block).__name__)
        with torch.autocast("cpu", enabled=False):
            see(str((x @ x).dtype), torch.is_autocast_enabled("cpu"))
    loss.backward()
    optimizer.step()
    see([(str(each.grad.dtype), each.grad.shape) for each in model.parameters()], round(loss.item(), 1))
see(torch.is_autocast_enabled("cpu"), str(torch.get_autocast_dtype("cpu")))
"""

BLOCKS = """
layer = torch.nn.Linear(2, 2)
x = torch.ones(1, 2)
for more in (
    {"device_type": "cpu"}, {"device_type": "cpu", "enabled": False}, {"device_type": "cpu", "dtype": torch.float16},
    {"device_type": "cpu", "dtype": torch.float64}, {"device_type": "mps"}, {"device_type": "xpu"}, {"device_type": "meta"},
    {"device_type": "cuda"}, {"device_type": torch.device("cpu")},
):
    try:
        with torch.autocast(**more):
            see(str(layer(x).dtype), torch.is_autocast_enabled("cpu"), str(torch.get_autocast_dtype("cpu")))
    except Exception as error:
        see(type(error).__name__, str(error).replace("funcgrad.torch", "torch"))
see(torch.amp.is_autocast_available("cpu"), torch.amp.is_autocast_available("meta"))
@torch.autocast("cpu")
def product(x):
    return x @ x.t()
see(str(product(x).dtype), str((x @ x.t()).dtype))
try:
    with torch.autocast("cpu"):
        raise KeyError
except KeyError:
    see(torch.is_autocast_enabled("cpu"))
torch.set_autocast_enabled("cpu", True)
torch.set_autocast_dtype("cpu", torch.float16)
see(str(product(x).dtype), str((x @ x.t()).dtype))
torch.set_autocast_enabled("cpu", False)
torch.set_autocast_dtype("cpu", torch.bfloat16)
see([str(torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")], torch.is_autocast_enabled())
"""

CUSTOM = """
class Square(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=wanted)
    def forward(ctx, x):
        see(str(x.dtype), torch.is_autocast_enabled("cpu"))
        return x @ x
    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, gradient):
        see(torch.is_autocast_enabled("cpu"), str(gradient.dtype))
        return gradient.float()
for on in (True, False):
    x = torch.ones(2, 2, requires_grad=True)
    with torch.autocast("cpu", enabled=on):
        made = Square.apply(x)
    see(str(made.dtype))
    made.sum().backward()
see(attempt(torch.amp.custom_fwd, device_type=1).__str__().replace("funcgrad.torch", "torch"))
"""

SCALER = """
for more in ({}, {"init_scale": 4.0, "growth_interval": 2, "growth_factor": 3.0, "backoff_factor": 0.25}):
    scaler = torch.amp.GradScaler("cpu", **more)
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    see(scaler.is_enabled(), scaler.get_scale(), scaler.state_dict(), attempt(scaler.step, optimizer), attempt(scaler.update))
    for factor in (2.0, 3.0, float("inf"), 1.0, 1.0, float("nan")):
        optimizer.zero_grad()
        see(scaler.scale((w * factor).sum()))
        scaler.scale((w * factor).sum()).backward()
        see(w.grad.clone())
        if factor == 3.0:
            scaler.unscale_(optimizer)
            see(w.grad.clone(), attempt(scaler.unscale_, optimizer))
        see(scaler.step(optimizer), attempt(scaler.step, optimizer), attempt(scaler.unscale_, optimizer))
        scaler.update()
        see(w.detach().clone(), scaler.get_scale(), scaler.state_dict())
    see(attempt(scaler.update), scaler.scale([w.detach(), (w.detach() * 2,)]), attempt(scaler.scale, 3))
    other = torch.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    see(other.state_dict(), attempt(other.load_state_dict, {}), attempt(other.step, optimizer, closure=None))
    scaler.update(7.0)
    see(scaler.get_scale())
off = torch.amp.GradScaler("cpu", enabled=False)
see(off.scale(3), off.state_dict(), off.get_scale(), off.update())
for wrong in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}):
    see(attempt(torch.amp.GradScaler, "cpu", **wrong))
half = torch.ones(1, dtype=torch.float16, requires_grad=True)
half.grad = torch.ones(1, dtype=torch.float16)
fresh = torch.amp.GradScaler("cpu")
fresh.scale(torch.ones(1))
see(attempt(fresh.unscale_, torch.optim.SGD([half], lr=1)))
"""


@pytest.mark.parametrize(
    ("source", "more"),
    [(TRAINING, {}), (BLOCKS, {}), (SCALER, {})]
    + [(CUSTOM, {"dtype": dtype}) for dtype in ("float32", None)],
    ids=["training", "blocks", "scaler", "custom float32", "custom"],
)
def test_programs(source, more):
    def program(torch, see):
        wanted = getattr(torch, more["dtype"]) if more.get("dtype") else None
        exec(source, {"torch": torch, "see": see, "attempt": attempt, "wanted": wanted})

    assert_same(program)


def test_autocast_is_on_in_its_thread_only():
    for torch in SIDES:
        found = []
        with torch.autocast("cpu"):
            thread = threading.Thread(target=lambda: found.append(torch.is_autocast_enabled("cpu")))  # noqa: B023
            thread.start()
            thread.join()
            assert torch.is_autocast_enabled("cpu")
        assert found == [False]
