"""`nn.DataParallel` on one device is its module under another name, as in PyTorch without a GPU."""

import pytest

from tests.both_sides import ours
from tests.torch.nn.sources import assert_prints_the_same

PROGRAMS = [
    "net = nn.DataParallel(Net()); print(net, net.device_ids, list(net.state_dict())); print(net(torch.ones(2, 3)))",
    "net = nn.DataParallel(Net(), device_ids=[0]).to('cpu'); net(torch.ones(2, 3)).sum().backward(); print(net.module.first.bias.grad)",
    "print(nn.parallel.data_parallel(nn.Linear(3, 1), torch.ones(2, 3)), isinstance(nn.DataParallel(Net()), nn.parallel.DataParallel))",
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_data_parallel_module_prints_what_it_prints_on_pytorch(text):
    assert_prints_the_same(text)


def test_several_devices_are_refused():
    with pytest.raises(NotImplementedError, match="replicas on several devices"):
        ours.nn.DataParallel(ours.nn.Linear(1, 1), device_ids=[0, 1])
