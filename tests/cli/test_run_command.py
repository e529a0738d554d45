"""`funcgrad run` runs a PyTorch script as it is, with the modules and libraries that it imports."""

import runpy
import sys

import pytest

from tests.processes import Program, output_of

LIBRARY = """
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x)
"""
SCRIPT = """
import sys

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.distributions.normal import Normal
from torch.utils.data import DataLoader, TensorDataset

from library_of_nets import Net

if __name__ == "__main__":
    torch.manual_seed(0)
    net = Net()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    for x, y in DataLoader(TensorDataset(torch.rand(8, 2), torch.rand(8, 1)), batch_size=4):
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
    print(sys.argv[1:], f"{loss.item():.5f}", isinstance(net.layer, torch.nn.modules.linear.Linear))
    print(nn is torch.nn, sys.modules["torch.nn"] is nn, Normal(0.0, 1.0), torch.__version__)
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "library_of_nets.py").write_text(LIBRARY)
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path / "script.py"


def test_a_script_prints_what_it_prints_on_pytorch(script, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    mine = output_of("-m", "funcgrad", "run", script, "--rate", "1")
    monkeypatch.setattr(sys, "argv", [str(script), "--rate", "1"])
    monkeypatch.syspath_prepend(script.parent)
    runpy.run_path(str(script), run_name="__main__")
    assert mine.replace("2.13.0", torch.__version__) == capsys.readouterr().out


def test_a_script_needs_no_pytorch(script):
    first, second = output_of("-m", "funcgrad", "run", script, "x").splitlines()
    assert first.startswith("['x'] 0.")
    assert second == "True True Normal(loc: 0.0, scale: 1.0) 2.13.0"


def test_the_status_and_the_errors_are_the_scripts(tmp_path):
    (tmp_path / "ends.py").write_text("import sys, torch\nsys.exit(7)\n")
    (tmp_path / "fails.py").write_text("import torch\ntorch.ones(2) @ torch.ones(3)\n")
    ends, fails, missing = (
        Program("-m", "funcgrad", "run", tmp_path / name)
        for name in ("ends.py", "fails.py", "no.py")
    )
    assert ends.wait(60) == 7
    assert fails.wait(60) == 1
    assert "fails.py" in fails.communicate()[1]
    assert "RuntimeError: " in fails.communicate()[1]
    assert missing.wait(60) == 2
    assert "there is no file" in missing.communicate()[1]
