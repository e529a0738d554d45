"""Profilers: schedules and callbacks as PyTorch's, and tables whose names, counts and sums are true."""

import json
import time
import warnings

import pytest

from tests.both_sides import SIDES, ours, theirs

PLANS = [
    {"wait": 1, "warmup": 1, "active": 2, "repeat": 1},
    {"wait": 0, "warmup": 1, "active": 1},
    {"wait": 1, "warmup": 0, "active": 2, "repeat": 2, "skip_first": 1},
    {"wait": 2, "warmup": 1, "active": 1, "skip_first": 1, "skip_first_wait": 1},
]


def _loop(torch, plan):
    """The plan's word for each step, when results are ready, and the counts of the last round."""
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps = torch.profiler.schedule(**plan)
        prof = torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU],
            schedule=steps,
            on_trace_ready=lambda prof: seen.append(prof.step_num),
        )
        prof.start()
        for _ in range(7):
            with torch.profiler.record_function("work"):
                pass
            prof.step()
        prof.stop()
        counts = {each.key: each.count for each in prof.key_averages()}
    return [steps(k).name for k in range(9)], seen, counts.get("work"), counts.get("ProfilerStep*")


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_schedules_record_the_same_steps(plan):
    assert _loop(ours, plan) == _loop(theirs, plan)


def test_a_wrong_schedule_is_refused_in_the_same_words():
    found = []
    for torch in SIDES:
        with pytest.raises(AssertionError) as refused:
            torch.profiler.schedule(wait=-1, warmup=1, active=0)
        found.append(str(refused.value))
    assert found[0] == found[1]


def test_times_of_blocks_contain_those_inside():
    with ours.profiler.profile() as prof, ours.profiler.record_function("outer"):
        time.sleep(0.01)
        for _ in range(2):
            with ours.profiler.record_function("inner"):
                time.sleep(0.005)
    outer, inner = (
        next(each for each in prof.key_averages() if each.key == name)
        for name in ("outer", "inner")
    )
    assert (outer.count, inner.count) == (1, 2)
    assert inner.cpu_time_total >= 10_000  # microseconds
    assert outer.cpu_time_total >= 20_000
    assert outer.self_cpu_time_total == pytest.approx(outer.cpu_time_total - inner.cpu_time_total)
    assert prof.key_averages().self_cpu_time_total == pytest.approx(outer.cpu_time_total)


def test_a_table_has_a_line_for_each_name():
    with ours.autograd.profiler.profile(use_cpu=True) as prof:
        for name in ("first", "second", "first"):
            with ours.autograd.profiler.record_function(name):
                time.sleep(0.001)
    lines = prof.key_averages().table(sort_by="count", row_limit=1).splitlines()
    assert [line.split()[0] for line in lines[3:4]] == ["first"]
    assert lines[3].split()[-1] == "2"
    assert not any("second" in line for line in lines)
    with pytest.raises(AttributeError):
        prof.key_averages().table(sort_by="nothing")


def test_a_decorated_function_is_a_block_and_traces_are_written(tmp_path):
    @ours.profiler.record_function("called")
    def f(x):
        return x + 1

    handler = ours.profiler.tensorboard_trace_handler(str(tmp_path))
    with ours.profiler.profile(on_trace_ready=handler):
        assert f(1) == 2
    (path,) = tmp_path.glob("*.pt.trace.json")
    assert [each["name"] for each in json.loads(path.read_text())["traceEvents"]] == ["called"]


def test_averages_before_the_start_are_refused():
    for torch in SIDES:
        with pytest.raises(AssertionError, match="initialized before"):
            torch.profiler.profile().key_averages()
