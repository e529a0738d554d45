"""A backend that computes something else is found out, however little it is off."""

import json
from dataclasses import replace

import numpy as np
import optax
import pytest

from funcgrad.cli import main
from funcgrad.compare import BACKENDS, OPTIMIZERS, Backend, Parameters, Session, compare
from funcgrad.compare.functional import prepare_steps
from funcgrad.datasets import load_diabetes

pytestmark = pytest.mark.usefixtures("short_warm_up")


def rounded_to_ten_bits(x):
    """The factors of a product as TF32 rounds them; float64 stays."""
    if x.dtype == np.float64:
        return x
    return (x.view(np.int32) & np.int32(-(1 << 13))).view(np.float32)


def other_constants(problem, **constants):
    return replace(problem, optimizer=problem.optimizer._replace(constants=constants))


def off_by(array, index, amount):
    """A copy of an array with one element changed."""
    changed = array.copy()
    changed[index] += amount
    return changed


FAULTS = {
    "a learning rate off by 1e-5": (
        "sgd",
        lambda p: replace(p, learning_rate=(1 + 1e-5) * p.learning_rate),
    ),
    "Adam's learning rate off by 1e-5": (
        "adam",
        lambda p: replace(p, learning_rate=(1 + 1e-5) * p.learning_rate),
    ),
    "one target of 442 off by 0.1": ("sgd", lambda p: replace(p, y=off_by(p.y, 17, 0.1))),
    "one feature of one row off by 1e-3": (
        "sgd",
        lambda p: replace(p, x=off_by(p.x, (17, 3), 1e-3)),
    ),
    "a learning rate 0.1 % too large": (
        "sgd",
        lambda p: replace(p, learning_rate=1.001 * p.learning_rate),
    ),
    "another start": (
        "sgd",
        lambda p: replace(p, initial=Parameters(*(0.9 * a for a in p.initial))),
    ),
    "the last row forgotten": ("sgd", lambda p: replace(p, x=p.x[:-1], y=p.y[:-1])),
    "two features exchanged": ("sgd", lambda p: replace(p, x=p.x[:, [1, 0, *range(2, 10)]])),
    "products in TF32": ("sgd", lambda p: replace(p, x=rounded_to_ten_bits(p.x))),
    "a momentum of 0.901": ("momentum", lambda p: other_constants(p, momentum=0.901)),
    "momentum in Nesterov's form": (
        "momentum",
        lambda p: other_constants(p, momentum=0.9, nesterov=True),
    ),
    "Adam with b2 = 0.99": ("adam", lambda p: other_constants(p, b1=0.9, b2=0.99)),
    "Adam without bias correction": (
        "adam",
        lambda p: replace(
            p,
            optimizer=p.optimizer._replace(
                optax=lambda rate, **constants: optax.chain(
                    optax.scale_by_rms(decay=0.999, eps_in_sqrt=False),
                    optax.scale_by_learning_rate(rate),
                )
            ),
        ),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_reported(fault):
    optimizer, spoil = FAULTS[fault]
    wrong = Backend("wrong", lambda device: None, lambda problem: prepare_steps(spoil(problem)))
    data = load_diabetes()
    report = compare(
        data.x, data.y, backends=["jax", wrong], optimizer=optimizer, steps=100, rounds=1
    )
    right_row, wrong_row = report.rows
    assert right_row.agrees
    assert not wrong_row.agrees
    assert not report.agree
    assert "DISAGREEMENT" in str(report)
    assert "wrong (" in str(report)


def with_answers(change):
    """A backend that computes rightly, then changes its answers."""

    def prepare(problem):
        session = prepare_steps(problem)
        return Session(
            lambda steps: change("train", session.train(steps)),
            lambda params: change("value_and_grad", session.value_and_grad(params)),
        )

    return Backend("wrong", lambda device: None, prepare)


def spoiled_loss(question, answer):
    return (1.001 * answer[0], answer[1]) if question == "value_and_grad" else answer


def spoiled_gradient(question, answer):
    if question == "train":
        return answer
    return answer[0], Parameters(answer[1].weights, 1.0001 * answer[1].bias)


def spoiled_weight(question, answer):
    return Parameters(answer.weights * np.nan, answer.bias) if question == "train" else answer


@pytest.mark.parametrize(
    ("change", "blamed"),
    [
        (spoiled_loss, "loss"),
        (spoiled_gradient, "gradients"),
        (spoiled_weight, "weights after the first steps, farthest x0; final weights, farthest x0"),
    ],
)
def test_report_says_what_is_wrong(change, blamed):
    data = load_diabetes()
    report = compare(data.x, data.y, backends=["jax", with_answers(change)], steps=5, rounds=1)
    assert f"wrong ({blamed}" in str(report)
    assert not report.agree


def test_float32_is_not_enough_where_float64_was_asked_for():
    def in_float32(problem):
        narrow = {
            name: getattr(problem, name).astype(np.float32).astype(np.float64) for name in "xy"
        }
        return prepare_steps(replace(problem, **narrow))

    data = load_diabetes()
    wrong = Backend("wrong", lambda device: None, in_float32)
    report = compare(data.x, data.y, backends=["jax", wrong], dtype="float64", steps=50, rounds=1)
    assert not report.agree


def test_nan_is_a_disagreement_and_null_in_json(monkeypatch, capsys):
    monkeypatch.setitem(BACKENDS, "wrong", with_answers(spoiled_weight))
    arguments = ["compare", "--backends", "jax,wrong", "--steps", "5", "--rounds", "1"]
    assert main([*arguments, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["agree"] is False
    assert found["rows"][0]["agrees"] is True
    assert found["rows"][1]["agrees"] is False
    assert found["rows"][1]["parameters"]["absolute"] is None
    assert main(arguments) == 1
    assert (
        "DISAGREEMENT by more than float32 allows: wrong (weights after" in capsys.readouterr().out
    )


def test_faults_cover_every_optimizer():
    assert {optimizer for optimizer, _ in FAULTS.values()} == set(OPTIMIZERS)
