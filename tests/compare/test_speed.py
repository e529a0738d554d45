"""speed warms up, takes turns in random order, and says where a number would not be one. Its clock is the tests' own."""

import itertools
import json
import time

import jax.numpy as jnp
import pytest

import funcgrad.torch as torch
from funcgrad.compare import OptionError, speed
from funcgrad.compare.timings import LONGEST_WARM_UP, interval


@pytest.fixture
def taking(monkeypatch):
    """Functions that take the seconds they are told to, one number a call, the last one for ever."""
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def taking(*seconds):
        durations = itertools.chain(seconds[:-1], itertools.repeat(seconds[-1]))

        def run():
            nonlocal now
            now += next(durations)

        return run

    return taking


def test_times_are_medians_and_the_first_call_is_compiling(taking):
    report = speed({"a": taking(1.5, 0.5), "b": taking(3.0, 0.25)}, rounds=4, round_seconds=0)
    a, b = report.timings
    assert (a.median, a.lower, a.upper, a.compile_seconds, a.ratio) == (0.5, 0.5, 0.5, 1.0, 1.0)
    assert (b.median, b.compile_seconds, b.ratio, b.interval) == (0.25, 2.75, 0.5, (0.5, 0.5))
    assert a.steady
    assert b.steady
    assert report["b"] is b


def test_the_warm_up_goes_on_until_two_rounds_agree(taking):
    slow_at_first = taking(9.0, 8.0, 4.0, 2.0, 1.0, 1.0, 0.5)
    (timing,) = speed({"a": slow_at_first}, rounds=3, round_seconds=0).timings
    assert timing.rounds == (0.5, 0.5, 0.5)
    assert timing.steady


def test_a_function_that_never_settles_is_not_steady(taking):
    doubling = taking(*(2.0**k for k in range(LONGEST_WARM_UP + 8)))
    report = speed({"a": taking(1.0), "doubling": doubling}, rounds=4, round_seconds=0)
    assert not report["doubling"].steady
    line = next(line for line in str(report).splitlines() if line.startswith("doubling"))
    assert line.count("not steady") == 2  # neither a median nor a ratio


def test_rounds_that_differ_too_much_are_not_steady(taking):
    jumping = taking(1.0, 1.0, 1.0, *[1.0, 3.0] * 5)
    assert not speed({"a": jumping}, rounds=10, round_seconds=0)["a"].steady


def test_short_functions_are_called_many_times_a_round(taking):
    (timing,) = speed({"a": taking(0.001)}, rounds=2, round_seconds=0.1).timings
    assert timing.calls == 100
    assert timing.median == pytest.approx(0.001)


def test_the_order_is_random_and_everyone_has_a_turn_in_each_round(taking):
    order = []

    def noting(name):
        run = taking(1.0)
        return lambda: (order.append(name), run())[1]

    speed({name: noting(name) for name in "abc"}, rounds=20, round_seconds=0)
    rounds = [tuple(order[k : k + 3]) for k in range(len(order) - 60, len(order), 3)]
    assert {tuple(sorted(each)) for each in rounds} == {("a", "b", "c")}
    assert len(set(rounds)) > 2


def test_the_interval_holds_the_ratio_and_narrows_with_agreement():
    reference = [1.0, 1.1, 0.9, 1.0, 1.05, 0.95]
    low, high = interval([2.0, 2.3, 1.7, 2.0, 2.1, 1.9], reference)
    assert 1.7 < low <= 2.0 <= high < 2.4
    assert interval([2 * each for each in reference], reference) == pytest.approx((2.0, 2.0))


def test_the_report_names_the_device_and_is_json(taking):
    report = speed({"a": taking(1.0), "b": taking(2.0)}, rounds=2, round_seconds=0)
    assert report.device in str(report)
    found = json.loads(json.dumps(report.to_dict()))
    assert [each["name"] for each in found["timings"]] == ["a", "b"]


def test_results_of_jax_and_of_the_shim_are_waited_for():
    report = speed({"jax": lambda: jnp.ones(3) + 1, "shim": lambda: torch.ones(3) + 1}, rounds=2)
    assert all(each.median > 0 for each in report.timings)


@pytest.mark.parametrize(
    ("cases", "rounds", "words"),
    [
        ({}, 5, "nothing to time"),
        ([int], 5, "timed by name"),
        ({"a": int}, 1, "rounds must be at least 2, not 1"),
    ],
)
def test_wrong_options_are_refused(cases, rounds, words):
    with pytest.raises(OptionError, match=words):
        speed(cases, rounds=rounds)


def test_cold_starts_are_timed_from_the_first_call_on_in_rounds_of_one(taking):
    report = speed({"a": taking(5.0, 1.0), "b": taking(2.0)}, rounds=3, warm_up=False)
    assert report["a"].rounds == (5.0, 1.0, 1.0)
    assert report["b"].rounds == (2.0, 2.0, 2.0)
    assert [each.compile_seconds for each in report.timings] == [0.0, 0.0]
    assert "compile" not in str(report)
    assert "without a warm-up" in str(report)


@pytest.mark.parametrize("warm_up", [True, False])
def test_a_setup_runs_before_every_round_and_is_not_timed(taking, warm_up):
    order = []
    prepare, run = taking(7.0), taking(0.001)
    report = speed(
        {"a": lambda: (order.append("run"), run())[1]},
        rounds=3,
        warm_up=warm_up,
        setup={"a": lambda: (order.append("setup"), prepare())[1]},
    )
    assert report["a"].rounds == pytest.approx((0.001,) * 3)
    assert order == ["setup", "run"] * (len(order) // 2)


def test_any_case_can_be_divided_by_any_other(taking):
    report = speed({"a": taking(1.0), "b": taking(2.0), "c": taking(3.0)}, rounds=4)
    assert report.ratio("c", "b") == (1.5, (1.5, 1.5))
    assert report.ratio("b", "a") == (report["b"].ratio, report["b"].interval)


def test_a_setup_of_no_case_is_refused():
    with pytest.raises(OptionError, match="a setup is of no case: b"):
        speed({"a": int}, setup={"b": int})
