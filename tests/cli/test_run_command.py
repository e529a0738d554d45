"""`funcgrad run` runs a PyTorch program as it is, with the modules and libraries that it imports."""

import json
import os
import runpy
import subprocess
import sys

import pytest

import funcgrad
from funcgrad.cli import main, run
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
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
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
    # It reads the elements at an address, and maps the file.
    file = Path(tempfile.mkdtemp(), "net.safetensors")
    save_file(net.state_dict(), file)
    print(all(torch.equal(x, net.state_dict()[name]) for name, x in load_file(file).items()))
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
    first, equal, second = output_of("-m", "funcgrad", "run", script, "x").splitlines()
    assert first.startswith("['x'] 0.")
    assert equal == "True"
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


CHILDREN = '''
import subprocess
import sys

import torch
from torch.utils.data import DataLoader, Dataset


class Modules(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return index, torch.nn.Linear.__module__


if __name__ == "__main__":
    print(list(DataLoader(Modules(), batch_size=2, num_workers=1, multiprocessing_context="spawn")))
    command = """from importlib import metadata, util
print('funcgrad' in util.find_spec('torch').origin, metadata.version('torch'))"""
    print(subprocess.check_output([sys.executable, "-c", command], text=True))
'''
CELLS = (
    ("markdown", ["# A notebook"]),
    ("code", ["%matplotlib inline\n", "import torch\n", "x = torch.ones(2, requires_grad=True)"]),
    ("code", ["(x * x).sum().backward()\n", "x.grad"]),
    ("code", ["raise KeyError('as it should')"]),
    ("code", ["print('goes on')\n", "x @ torch.ones(3)"]),
    ("code", ["print('after the error')"]),
)


def notebook(path):
    cells = [
        {"cell_type": kind, "id": str(k), "metadata": {}, "source": source}
        | ({"outputs": [], "execution_count": None} if kind == "code" else {})
        for k, (kind, source) in enumerate(CELLS)
    ]
    cells[3]["metadata"]["tags"] = ["raises-exception"]
    path.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    return path


def test_processes_that_a_script_starts_are_told(tmp_path):
    (tmp_path / "children.py").write_text(CHILDREN)
    (tmp_path / "test_project.py").write_text(
        "import torch\n\ndef test_it():\n    assert 'funcgrad' in torch.__file__\n"
    )
    options = ("-q", "-p", "no:cacheprovider", tmp_path / "test_project.py")
    module = Program("-m", "funcgrad", "run", "-m", "pytest", *options)
    # A program of `Program` may have no children that `multiprocessing` starts.
    command = [sys.executable, "-m", "funcgrad", "run", str(tmp_path / "children.py")]
    assert subprocess.check_output(command, text=True).splitlines()[:2] == [
        "[[tensor([0, 1]), ('funcgrad.torch.nn.modules.linear', 'funcgrad.torch.nn.modules.linear')]]",
        f"True {funcgrad.torch.__version__}",
    ]
    assert module.wait(60) == 0
    assert "1 passed" in module.communicate()[0]


def test_a_notebook_runs_to_its_first_error(tmp_path):
    ran = Program("-m", "funcgrad", "run", notebook(tmp_path / "lesson.ipynb"))
    assert ran.wait(60) == 1
    shown = ran.communicate()[0]
    assert "Out[2]: tensor([2., 2.])" in shown
    assert "KeyError: 'as it should'" in shown
    assert "goes on" in shown
    assert "RuntimeError: inconsistent tensor size" in shown
    assert "after the error" not in shown


def test_without_a_program_or_ipython_nothing_runs(tmp_path, monkeypatch, capsys):
    before = list(sys.meta_path), list(sys.path), list(sys.argv)
    assert main(["run", "-m", "no_module_of_this_name"]) == 2
    assert "there is no module no_module_of_this_name" in capsys.readouterr().err
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    assert main(["run", str(notebook(tmp_path / "a.ipynb"))]) == 2
    assert (
        "needs IPython and nbformat (pip install 'funcgrad[notebook]')" in capsys.readouterr().err
    )
    assert (sys.meta_path, sys.path, sys.argv) == before


def test_beside_pytorch_the_name_is_not_taken(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", pytest)  # any module that is there
    before = list(sys.meta_path), list(sys.path), os.environ.get("PYTHONPATH")
    for install in (funcgrad.install_as_torch, lambda: funcgrad.load_ipython_extension(None)):
        with pytest.raises(RuntimeError, match="PyTorch is imported already"):
            install()
    assert (sys.meta_path, sys.path, os.environ.get("PYTHONPATH")) == before
