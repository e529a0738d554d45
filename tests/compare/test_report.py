"""The report holds what was measured, in words, in numbers and as JSON."""

import json
import time

import numpy as np
import pytest

from funcgrad.compare import BACKENDS, Backend, OptionError, Session, compare
from funcgrad.compare.functional import prepare_steps

X = np.random.default_rng(0).normal(size=(30, 3))
Y = X @ np.array([1.0, 2.0, 3.0]) + np.random.default_rng(1).normal(size=30)


def run(backends, **options):
    return compare(X, Y, backends=backends, **{"steps": 20, "rounds": 2} | options)


def test_absent_backend_is_named_with_its_reason_and_the_others_run():
    absent = Backend("abacus", lambda device: f"no beads on {device.platform}", prepare_steps)
    report = run([absent, "jax", "jax-loop"], device="cpu")
    assert report.absent == {"abacus": "no beads on cpu"}
    assert [row.backend for row in report.rows] == ["jax", "jax-loop"]
    assert "abacus: did not run, no beads on cpu" in str(report)
    assert report.agree


def test_pytorch_is_absent_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr("funcgrad.compare.backends.find_spec", lambda name: None)
    report = run(["pytorch", "jax"])
    assert "not installed" in report.absent["pytorch"]
    assert [row.backend for row in report.rows] == ["jax"]
    assert "torch" not in report.versions


def test_pytorch_that_cannot_be_imported_is_absent(monkeypatch):
    def broken(name):
        raise OSError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr("funcgrad.compare.backends.find_spec", lambda name: "found")
    monkeypatch.setattr("funcgrad.compare.backends.import_module", broken)
    report = run(["pytorch", "jax"])
    assert "cannot be imported (libtorch.so" in report.absent["pytorch"]


def test_only_absent_backends_are_an_error():
    absent = Backend("abacus", lambda device: "no beads", prepare_steps)
    with pytest.raises(OptionError, match="no backend can run: abacus, no beads"):
        run([absent])


def test_unknown_backend_is_refused_with_those_there_are():
    with pytest.raises(OptionError, match="'abacus'; there are: pytorch, shim, jax, jax-loop"):
        run(["jax", "abacus"])


def test_a_single_backend_has_nothing_to_agree_with():
    assert "nothing to compare it with" in str(run(["jax"]))


def taking(monkeypatch, first, later):
    """A backend whose first training takes so many seconds, and each step of a later one."""
    clock = {"now": 0.0}
    monkeypatch.setattr(time, "perf_counter", lambda: clock["now"])

    def prepare(problem):
        session = prepare_steps(problem)
        slow = iter([first])

        def train(steps):
            clock["now"] += next(slow, later * steps)
            return session.train(steps)

        return Session(train, session.value_and_grad)

    return Backend(f"taking {later}", lambda device: None, prepare)


def test_times_are_per_step_and_compiling_is_apart(monkeypatch):
    (row,) = run([taking(monkeypatch, 0.5, 0.001)], steps=20, rounds=3).rows
    assert row.seconds_per_step == pytest.approx(0.001)
    assert row.compile_seconds == pytest.approx(0.5 - 20 * 0.001)
    assert row.ratio == 1
    assert row.steady


def test_trainings_are_timed_in_turn_after_a_warm_up(monkeypatch):
    order = []

    def named(name):
        def prepare(problem):
            session = prepare_steps(problem)

            def train(steps):
                order.append(name)
                return session.train(steps)

            return Session(train, session.value_and_grad)

        return Backend(name, lambda device: None, prepare)

    monkeypatch.setattr(time, "perf_counter", lambda: float(len(order)))  # each takes one second
    run([named("a"), named("b")], rounds=3)
    # A first training, another, and one that takes as long as that; then three rounds.
    assert order[:6] == ["a"] * 3 + ["b"] * 3
    assert [sorted(order[k : k + 2]) for k in (6, 8, 10)] == [["a", "b"]] * 3


def test_differences_are_in_units_in_the_last_place_of_the_largest_element():
    def off_by_three(problem):
        session = prepare_steps(problem)

        def train(steps):
            params = session.train(steps)
            weights = params.weights.copy()
            largest = np.abs(params.vector).argmax()
            weights[largest] += 3 * np.spacing(np.abs(weights[largest]))
            return params._replace(weights=weights)

        return Session(train, session.value_and_grad)

    row = run(["jax", Backend("off", lambda device: None, off_by_three)]).rows[1]
    assert row.parameters.ulps == 3
    assert row.gradients.absolute == row.gradients.ulps == 0


def test_json_holds_everything_that_the_table_shows():
    report = run(["jax", "jax-loop"], dtype="float64")
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["agree"] is True
    assert found["reference"] == "jax"
    assert [row["backend"] for row in found["rows"]] == ["jax", "jax-loop"]
    assert found["rows"][1]["parameters"]["allowed"] > 0
    assert found["gap"]["exact_loss"] > 0
    assert found["settings"]["learning_rate"] == report.settings["learning_rate"]
    assert {"funcgrad", "jax", "optax", "numpy", "python"} <= found["versions"].keys()
    table = str(report)
    for row in report.rows:
        assert f"{row.final_loss:.8g}" in table
    assert f"{report.gap.exact_loss:.8g}" in table


def test_every_backend_is_a_row_of_the_table_by_its_own_name():
    assert all(name == row.name for name, row in BACKENDS.items())


def spoiled_at(place, amount):
    """A backend whose final weights are off at one place."""

    def prepare(problem):
        session = prepare_steps(problem)

        def train(steps):
            params = session.train(steps)
            weights = params.weights.copy()
            weights[place] += amount
            return params._replace(weights=weights)

        return Session(train, session.value_and_grad)

    return Backend("off", lambda device: None, prepare)


def test_the_farthest_weight_and_what_was_allowed_are_in_each_row():
    report = run(["jax", spoiled_at(1, 1e-3)], feature_names=["age", "height", "weight"])
    row = report.rows[1]
    assert row.parameters.element == "height"
    assert row.parameters.absolute > row.parameters.allowed > 0
    printed = next(line for line in str(report).splitlines() if line.startswith("off "))
    assert "height" in printed
    assert f"{row.parameters.allowed:.1e}" in printed


def test_the_words_of_the_table_are_explained():
    printed = " ".join(str(run(["jax", "jax-loop"])).split())
    for word in ("ulps: the same in units in the last place", "allowed: what rounding explains"):
        assert word in printed


def test_a_narrow_table_explains_its_own_columns_and_still_names_the_farthest_weight(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    printed = str(run(["jax", spoiled_at(1, 1e-3)], feature_names=["age", "height", "weight"]))
    assert "ulps" not in printed
    assert "farthest:" not in printed
    assert "final weights, farthest height" in " ".join(printed.split())


@pytest.mark.parametrize("columns", [40, 70, 120])
def test_the_report_fits_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = str(run(["jax", "jax-loop"])).splitlines()
    assert max(map(len, lines)) <= columns


def test_a_training_that_ends_above_its_start_is_told():
    start = run(["jax"], steps=1).starting_loss
    report = run(["jax"], steps=3, optimizer="adam", learning_rate=50.0)
    assert report.starting_loss == start
    assert report.rows[0].final_loss > start
    assert "jax ended above the starting loss" in " ".join(str(report).split())
    assert "ended above" not in str(run(["jax"]))


def test_progress_says_what_is_done():
    said = []
    run(["jax", "jax-loop"], progress=said.append)
    assert said[0] == "training jax, jax-loop"
    assert "repeating jax-loop in float64" in said


def test_functions_given_to_compare_are_shown_the_way_to_parity():
    with pytest.raises(OptionError, match="two functions are compared by parity"):
        compare(lambda w: w, lambda w: w)
