"""The pytest fixtures: a migration's test is one line, fails with the printed report, and the reports can be written."""

import json
import subprocess
import sys

import pytest

from tests.processes import Program

TESTS = """
import jax.numpy as jnp
import numpy as np
import funcgrad.torch as torch

X = np.arange(3, dtype=np.float32)

def before(x):
    return torch.exp(x).sum()

def after(x):
    return jnp.exp(x).sum()

def step(state, batch):
    return state * 0.5, (state * batch).sum()

def test_right(parity):
    assert parity(before, after, X).ok

def test_wrong(parity):
    parity(before, lambda x: after(x) * 1.01, X)

def test_training(trajectory):
    trajectory(step, step, X, X, steps=2)

def test_shapes():
    torch.ones(2, 3) @ torch.ones(2, 3)
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("migration")
    (folder / "test_migration.py").write_text(TESTS)
    command = ["-m", "pytest", "-p", "funcgrad.pytest_plugin", "-p", "no:cacheprovider"]
    options = [f"--rootdir={folder}", folder, "--funcgrad-report", folder / "all.json"]
    # Where funcgrad is installed pytest would load the plugin by itself, and then a second time.
    done = Program(*command, *options, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    printed, _ = done.communicate(timeout=600)
    return printed, folder


def test_a_difference_fails_with_the_printed_report(session):
    printed, _ = session
    assert "2 failed, 2 passed" in printed, printed
    assert "A REAL DIFFERENCE in value" in " ".join(printed.split())
    assert "pytest_plugin.py" not in printed.partition("FAILURES")[2].partition("short test summary")[0]  # fmt: skip


def test_an_error_is_shown_where_the_test_raised_it(session):
    shown = session[0].partition("_ test_shapes _")[2].partition("short test summary")[0]
    assert ">       torch.ones(2, 3) @ torch.ones(2, 3)" in shown, shown
    assert "E       RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)" in shown
    assert "Frames of the library left out" in shown
    assert "matmul.py" not in shown


def test_the_option_writes_every_report(session):
    _, folder = session
    reports = json.loads((folder / "all.json").read_text())
    assert {each["test"].partition("::")[2]: each["ok"] for each in reports} == {
        "test_right": True,
        "test_wrong": False,
        "test_training": True,
    }


def test_the_plugin_loads_nothing_that_is_slow():
    code = "import sys, funcgrad.pytest_plugin; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert not {"jax", "numpy", "torch"} & set(loaded.stdout.split())
