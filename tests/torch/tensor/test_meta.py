"""The device `meta`: shapes and dtypes without elements, as in PyTorch, in every mode of the engine."""

import pytest

from funcgrad import engine
from tests.both_sides import assert_same, ours

PROGRAMS = [
    "see(repr(torch.empty(2, 3, device='meta')), torch.rand(2, device='meta').is_meta)",
    "see(repr(torch.nn.Parameter(torch.zeros(2, 3, device='meta'))))",
    "see(repr(torch.arange(3, device='meta') * 2), repr((torch.ones(2, device='meta') / 2).half()))",
    "torch.empty(2, device='meta').tolist()",
    "torch.empty((), device='meta').item()",
    "float(torch.empty((), device='meta'))",
    "bool(torch.empty((), device='meta'))",
    "torch.empty(2, device='meta').numpy()",
    "torch.empty(2, device='meta').cpu()",
    "torch.ones(2).copy_(torch.empty(2, device='meta'))",
    "torch.nn.Linear(2, 3, device='meta').to('cpu')",
    "see(repr(torch.nn.Linear(2, 3).to('meta').weight))",
    """
torch.manual_seed(0)
with torch.device("meta"):
    net = torch.nn.Sequential(torch.nn.Linear(2, 30000), torch.nn.Linear(30000, 30000))
    net[0].bias.data.normal_()
    torch.randn(3)
see(sum(p.numel() for p in net.parameters()), torch.rand(1))
""",
    """
skipped = torch.nn.utils.skip_init(torch.nn.Linear, 2, 3)
see(skipped.weight.shape, skipped.weight.device.type, skipped.weight.requires_grad, torch.nn.utils.skip_init.__name__)
torch.nn.utils.skip_init(torch.nn.ReLU)
""",
    """
net = torch.nn.Linear(2, 3, device="meta")
empty = net.to_empty(device="cpu")
see(empty is net, net.weight.device.type, net.weight.shape)
""",
    """
net = torch.nn.Linear(2, 3, device="meta")
net.load_state_dict(torch.nn.Linear(2, 3).state_dict(), assign=True)
see(net.weight.device.type)
""",
    "torch.nn.Linear(2, 3, device='meta').load_state_dict(torch.nn.Linear(2, 3).state_dict())",
    """
x = torch.empty(5, 3, device="meta", requires_grad=True)
i = torch.empty(5, dtype=torch.long, device="meta")
for made in (x[i], x.t()[1:], x.sort(), x @ x.T, torch.nn.functional.cross_entropy(x, i), x.view(3, 5).stride(), x.var(0)):
    see(repr(made))
x.add(1).exp().sum().backward()
see(repr(x.grad))
""",
    """
with torch.device("meta"):
    net = torch.nn.TransformerEncoderLayer(8, 2, 16)
    with torch.device("cpu"):
        see(torch.ones(1))
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(3):
        out = net(torch.empty(5, 1, 8))
        out.sum().backward()
        optimizer.step()
        optimizer.zero_grad()
see(repr(out))
""",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_meta_tensors_are_pytorchs(program):
    def run(torch, see):
        exec(program, {"torch": torch, "see": see})

    assert_same(run)


@pytest.mark.parametrize("mode", ["recorded", "op_by_op", "compiled"])
def test_meta_tensors_in_every_mode(mode):
    with engine.mode(mode):
        weight = ours.empty(3, 2, device="meta", requires_grad=True)
        for _ in range(3):
            loss = (ours.ones(4, 3, device="meta") @ weight).relu().sum()
            loss.backward()
        assert repr(weight.grad) == "tensor(..., device='meta', size=(3, 2))"
        assert (ours.ones(2) + 1).tolist() == [2.0, 2.0]


def test_the_default_device_can_be_meta():
    ours.set_default_device("meta")
    try:
        assert ours.get_default_device() == ours.device("meta")
        assert ours.zeros(2).is_meta
    finally:
        ours.set_default_device(None)
    assert ours.zeros(2).tolist() == [0.0, 0.0]
