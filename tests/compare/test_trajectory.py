"""trajectory tells growing rounding from a fault, and says at which step and in which array the fault begins."""

import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad
import funcgrad.torch as shim
from funcgrad.compare import OptionError, trajectory
from tests.compare.nets import by_hand, leaking, start, with_jax, with_tensors


def told(report):
    """The printed form as one line: its lines are as long as the terminal is wide."""
    return " ".join(str(report).split())


RATE = 1e-3
SMALL = start(8, 10, 6, 3)
STEPS = 12


def run(candidate, reference=None, steps=STEPS, **options):
    state, batch = SMALL
    return trajectory(reference or with_jax(RATE), candidate, state, batch, steps, **options)


def pure_step():
    """`pure` gives back what a step changed in place beside its result, and a step wants it in its result."""
    pure = funcgrad.pure(with_tensors(shim, RATE), requires_grad=0, updates=0)

    @jax.jit
    def step(state, batch):
        (_, loss), (state,) = pure(state, batch)
        return state, loss

    return step


PORTS = {
    "the shim": lambda: with_tensors(shim, RATE),
    "the shim by hand": lambda: by_hand(shim, RATE),
    "a pure function": pure_step,
    "a rate rounded to float32": lambda: with_jax(np.float32(RATE)),
}


@pytest.mark.parametrize("port", PORTS)
def test_correct_ports_differ_by_rounding_at_most(port):
    report = run(PORTS[port]())
    assert report.verdict in ("identical", "rounding"), str(report)
    assert report.ok
    assert len(report.losses["reference"]) == len(report.steps) == STEPS
    assert max(report.steps) < 8


def test_the_same_step_is_identical():
    step = with_jax(RATE)
    report = run(step, step)
    assert report.verdict == "identical"
    assert set(report.drift.loss) == {0.0}


def test_pytorch_is_a_reference(torch):
    report = run(with_jax(RATE), with_tensors(torch, RATE))
    assert report.ok, str(report)
    assert report.reference == "step (PyTorch)"
    assert run(with_jax(RATE), by_hand(torch, RATE)).ok


@pytest.mark.parametrize(
    ("candidate", "leaves"),
    [
        (lambda: with_jax(RATE * (1 + 1e-6)), {"state[0]", "state[1]"}),
        (lambda: with_jax(RATE, leaking), {"loss"}),
    ],
    ids=["a learning rate off by a millionth", "a leak of a millionth in the relu"],
)
def test_a_fault_of_a_millionth_is_found_at_its_step_in_its_leaf(candidate, leaves):
    report = run(candidate())
    assert (report.verdict, report.step) == ("real", 1), str(report)
    assert report.leaf in leaves
    assert report.worst == 1
    assert not report.ok
    assert f"begins at step 1 in {report.leaf}" in told(report)
    assert len(report.losses["candidate"]) == STEPS  # the free run goes on to the end


def test_a_fault_that_begins_later_is_found_where_it_begins():
    state, (x, y) = SMALL
    plain, wrong = with_jax(RATE), with_jax(RATE * 1.01)

    def candidate(state, batch):
        *arrays, at = batch
        return (wrong if at >= 7 else plain)(state, arrays)

    report = trajectory(
        lambda state, batch: plain(state, batch[:2]), candidate, state, lambda k: (x, y, k), 12
    )
    assert (report.verdict, report.step) == ("real", 8)
    assert report.leaf.startswith("state")


def test_batches_are_a_list_an_iterator_a_function_or_one():
    state, (x, y) = SMALL
    batches = [(x[:4], y[:4]), (x[4:], y[4:])]
    step = with_jax(RATE)

    def losses(batches, steps=None):
        report = trajectory(step, step, state, batches, steps)
        assert report.verdict == "identical"
        return report.losses["reference"]

    four = losses(batches, 4)
    assert losses(batches) == four[:2]
    assert losses(iter(batches)) == four[:2]
    assert losses(lambda k: batches[k % 2], 4) == four
    assert four[0] != losses((x, y), 1)[0]


def test_a_state_that_no_step_moves_beyond_rounding_is_undecided_without_a_shadow():
    report = run(with_jax(1e-9), with_jax(1.5e-9), steps=3, shadow=False)
    assert report.verdict == "undecided"
    assert not report.ok
    assert "no fault could be seen" in told(report)
    assert run(with_jax(1e-9), with_jax(1.5e-9), steps=3).verdict == "real"


def test_a_training_that_diverges_on_both_sides_ends_there():
    report = run(with_jax(1e3), with_tensors(shim, 1e3), steps=50)
    assert len(report.losses["reference"]) < 50
    assert report.verdict in ("rounding", "identical"), str(report)
    assert "no longer finite on both sides" in told(report)


def wrong_structure(state, batch):
    (w1, _), loss = with_jax(RATE)(state, batch)
    return (w1,), loss


def no_loss(state, batch):
    return with_jax(RATE)(state, batch)[0][0]


def raising(state, batch):
    raise ZeroDivisionError("in a step")


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (wrong_structure, "the candidate's step returns no state[1]: a step returns (state, loss)"),
        (no_loss, "the candidate returns one array: a step returns (state, loss)"),
        (raising, "the candidate raises ZeroDivisionError: in a step"),
    ],
)
def test_the_report_says_what_left_nothing_to_compare(candidate, words):
    report = run(candidate, steps=2)
    assert words in report.problem
    assert report.verdict == "undecided"
    with pytest.raises(AssertionError, match="NOT COMPARED"):
        report.assert_ok()


@pytest.mark.parametrize(
    ("batches", "steps", "words"),
    [
        ([], None, "the list of batches is empty"),
        (iter([]), None, "the iterator of batches has ended"),
        (SMALL[1], None, "say how many steps"),
        (SMALL[1], 0, "the number of steps must be at least 1, not 0"),
    ],
)
def test_wrong_options_are_refused(batches, steps, words):
    with pytest.raises(OptionError, match=words):
        trajectory(with_jax(RATE), with_jax(RATE), SMALL[0], batches, steps)


def test_json_holds_the_report():
    found = json.loads(json.dumps(run(with_jax(RATE, leaking), steps=2).to_dict(), allow_nan=False))
    assert found["verdict"] == "real"
    assert found["leaves"][0]["name"] == "loss"
    assert len(found["drift"]["loss"]) == 2


FULL_STEPS = 4 * int(os.environ.get("FUNCGRAD_STRESS", "1"))


@pytest.mark.slow
def test_the_net_of_the_introductions_in_full(torch):
    """64 rows, 1000 features, 100 hidden, 10 outputs. FUNCGRAD_STRESS=125 makes it 500 steps, which take long."""
    state, batch = start(64, 1000, 100, 10)
    reference = with_tensors(torch, 1e-6)
    for port in (with_tensors(shim, 1e-6), with_jax(1e-6)):
        report = trajectory(reference, port, state, batch, FULL_STEPS)
        assert report.verdict in ("rounding", "identical"), str(report)
    rate = trajectory(reference, with_jax(1e-6 * (1 + 1e-6)), state, batch, 1)
    assert (rate.verdict, rate.step) == ("real", 1)
    assert rate.leaf.startswith("state")
    leak = trajectory(reference, with_jax(1e-6, leaking), state, batch, 1)
    assert (leak.verdict, leak.step, leak.leaf) == ("real", 1, "loss")


def test_a_step_with_random_numbers_is_told_as_such():
    plain = with_jax(RATE)

    def noisy(state, batch):
        (w1, w2), loss = plain(state, batch)
        keep = np.random.default_rng().random(w2.shape) < 0.5
        return (w1, jnp.where(keep, w2, 0)), loss

    report = run(noisy, steps=3)
    assert "the candidate is not deterministic: called twice" in report.problem


def test_a_loss_with_fewer_digits_is_rounding_and_says_why():
    plain = with_jax(RATE)

    def cancelling(state, batch):
        state, loss = plain(state, batch)
        return state, (loss + 1e4) - 1e4

    report = run(cancelling, steps=3)
    assert report.verdict == "rounding"
    assert max(report.steps) > 8
    assert "loss: in float64 both sides are the same function" in told(report)
    assert "up to 8 agree, and float64 decided beyond" in told(report)
