"""`funcgrad compare before.py:f after.py:g`: two functions from files, their inputs, and the exit status."""

import json
import sys

import numpy as np
import pytest

from funcgrad.cli import main
from funcgrad.compare.drawings import can_lay_out

BEFORE = """
import funcgrad.torch as torch

def loss(w, x):
    return torch.tanh(x @ w).mean()

def step(state, batch):
    value = loss(state, batch)
    value.backward()
    with torch.no_grad():
        state -= 0.1 * state.grad
    return state, value

def of_labels(w, y):
    return torch.nn.functional.binary_cross_entropy(torch.sigmoid(w), y)

def of_a_tree(params, x):
    return (x @ params["w"] + params["b"][1]).sum()
"""
AFTER = """
import jax
import jax.numpy as jnp
import numpy as np

def loss(w, x):
    return jnp.tanh(x @ w).mean()

def wrong(w, x):
    return jnp.tanh(x @ w).mean() * 1.001

def step(state, batch):
    value, gradient = jax.value_and_grad(loss)(state, batch)
    return state - 0.1 * gradient, value

def of_labels(w, y):
    return -jnp.mean(y * jax.nn.log_sigmoid(w) + (1 - y) * jax.nn.log_sigmoid(-w))

def labels():
    return np.float32([-1, 0.5, 2]), np.float32([0, 1, 1])

def of_a_tree(params, x):
    return jnp.sum(x @ params["w"] + params["b"][1])

def inputs():
    return np.ones(3, np.float32), np.ones((2, 3), np.float32)

def an_iterator():
    return np.ones(3, np.float32), iter([np.ones((2, 3), np.float32)] * 3)

def batches():
    return np.ones(3, np.float32), [np.ones((2, 3), np.float32)] * 4

nothing = 3
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "before.py").write_text(BEFORE)
    (tmp_path / "after.py").write_text(AFTER)
    (tmp_path / "broken.py").write_text("1 / 0")
    random = np.random.default_rng(0)
    w, x = random.standard_normal(3, np.float32), random.standard_normal((4, 3), np.float32)
    np.savez(tmp_path / "data.npz", x=x, w=w)
    np.savez(tmp_path / "others.npz", a=w, w=x)
    np.savez(tmp_path / "tree.npz", **{"params/w": w, "params/b/0": w[0], "params/b/1": w[1], "x": x})  # fmt: skip
    np.savez(tmp_path / "training.npz", state=w, batch=x)


def test_agreement_has_status_0_and_difference_status_1(files, capsys):
    assert main(["compare", "before.py:loss", "after.py:loss", "--inputs", "data.npz"]) == 0
    assert "gradient by w" in capsys.readouterr().out
    assert main(["compare", "before.py:loss", "after.py:wrong", "--inputs", "data.npz"]) == 1
    assert "A REAL DIFFERENCE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "leaves"),
    [
        (["before.py:loss", "after.py:loss", "--inputs", "data.npz", "--order", "2"], 7),
        (["before.py:loss", "after.py:loss", "--inputs", "after.py:inputs", "--order", "0"], 1),
        (["before.py:of_a_tree", "after.py:of_a_tree", "--inputs", "tree.npz"], 5),
    ],
)
def test_inputs_come_from_an_archive_or_from_a_function(files, capsys, arguments, leaves):
    assert main(["compare", *arguments, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["leaves"]) == leaves


@pytest.mark.parametrize(
    ("inputs", "more", "steps"),
    [
        ("training.npz", ["--steps", "3"], 3),
        ("after.py:batches", [], 4),
    ],
)
def test_trainings_are_compared_step_by_step(files, capsys, inputs, more, steps):
    command = ["compare", "before.py:step", "after.py:step", "--trajectory", "--inputs", inputs]
    assert main([*command, *more, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert len(found["losses"]["reference"]) == steps


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("before.py:loss after.py:loss", "say with --inputs which arrays"),
        ("before.py:loss", "two functions are compared"),
        ("nowhere.py:loss after.py:loss --inputs data.npz", "there is no file nowhere.py"),
        ("before.py:loss after.py:nothing --inputs data.npz", "after.py has no function 'nothing'; it has: loss"),
        ("broken.py:loss after.py:loss --inputs data.npz", "broken.py raises ZeroDivisionError"),
        ("before.py:loss after.py:loss --inputs nowhere.npz", "there is no file nowhere.npz"),
        ("before.py:loss after.py:loss --inputs others.npz", "others.npz holds a, w; the reference takes w, x"),
        ("a.csv b.csv", "give one file of data, or two functions"),
        ("before.py:loss after.py:loss --inputs data.npz --dtype float64", "--dtype is for data"),
        ("before.py:loss after.py:loss --inputs data.npz --rounds 3", "--rounds is for data"),
        ("before.py:loss after.py:loss --inputs data.npz --steps 3", "--steps is for --trajectory"),
        ("before.py:loss after.py:loss --inputs data.npz --trajectory --order 2", "--order is not for --trajectory"),
    ],
)  # fmt: skip
def test_bad_input_is_explained_with_status_2(files, capsys, arguments, message):
    status = main(["compare", *arguments.split()])
    printed = capsys.readouterr()
    assert message in printed.err, printed
    assert (status, printed.out) == (2, "")


def test_labels_that_rounding_must_not_move_are_named(files, capsys):
    command = [
        "compare",
        "before.py:of_labels",
        "after.py:of_labels",
        "--inputs",
        "after.py:labels",
    ]
    assert main(command) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "with inputs moved by a unit in the last place, the reference raises RuntimeError" in told
    )
    assert "such as exact='y'" in told
    assert main([*command, "--exact", "y"]) == 0


def test_a_terminal_shows_the_steps_of_a_training(files, capsys, monkeypatch):
    command = ["compare", "before.py:step", "after.py:step", "--trajectory", "--inputs"]
    assert main([*command, "after.py:batches"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "10")
    assert main([*command, "after.py:batches"]) == 0
    shown = capsys.readouterr().err.split("\r\x1b[K")
    assert shown == ["", *(f"step {k} of" for k in (1, 2, 3, 4)), ""]
    # An error stands on a line of its own.
    monkeypatch.setenv("COLUMNS", "80")
    options = [*command, "after.py:batches", "--html", "no/where.html"]
    assert main(options) == 2
    *steps, last = capsys.readouterr().err.split("\r\x1b[K")
    assert steps[-2:] == ["step 4 of 4", "drawing and timing both"]
    assert last.startswith("funcgrad compare: error: ")


def test_draw_writes_a_file_or_prints_dot(files, tmp_path, capsys):
    command = ["draw", "before.py:loss", "after.py:loss", "--inputs", "data.npz"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "MvBackward0" in printed
    assert "dot_general" in printed
    assert main([*command, "--out", "loss.mmd"]) == 0
    assert (tmp_path / "loss.mmd").read_text().startswith("flowchart TD")
    assert main([*command, "--out", "loss.bmp"]) == 2
    assert "a drawing is written as .svg, .dot, .mmd" in capsys.readouterr().err


def test_html_writes_the_page_in_the_language_asked_for(files, tmp_path, capsys):
    command = [
        "compare",
        "before.py:loss",
        "after.py:wrong",
        "--inputs",
        "data.npz",
        "--order",
        "0",
    ]
    assert main([*command, "--html", "report.html", "--lang", "fr"]) == 1
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Une vraie différence." in text
    assert "<td>jax.jit(wrong)</td>" in text  # its times
    assert main([*command, "--html", "nowhere/report.html"]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("read", ["before.py", "data.npz"])
def test_a_page_is_not_written_over_a_file_that_is_read(files, tmp_path, capsys, read):
    before = (tmp_path / read).read_bytes()
    functions = ["before.py:loss", "after.py:loss", "--inputs", "data.npz"]
    assert main(["compare", *functions, "--html", f"./{read}"]) == 2
    assert f"--html {read} is {read}, which is read" in capsys.readouterr().err
    assert (tmp_path / read).read_bytes() == before


def test_a_training_of_an_iterator_has_its_page(files, tmp_path, capsys):
    command = ["compare", "before.py:step", "after.py:step", "--trajectory"]
    assert main([*command, "--inputs", "after.py:an_iterator", "--html", "page.html"]) == 0
    assert "3 steps" in capsys.readouterr().out
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<td>jax.jit(step)</td>" in text
    if can_lay_out():
        assert "TanhBackward0" in text
        assert ">tanh<" in text
