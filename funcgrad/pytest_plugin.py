"""Fixtures for pytest: a migration's test is one line, and fails with the report that says where the sides differ.

    def test_loss(parity):
        parity(before.loss, after.loss, w, x, y)

`--funcgrad-report FILE` writes all reports of a run, as text or, where FILE ends with .json, as JSON. A failed test's
traceback leaves out the library's frames, unless `funcgrad.teaching.settings.tracebacks` is "full" or pytest starts a
debugger. pytest loads this module at its start, so it imports nothing that is slow.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from funcgrad.teaching import fold, settings

_PROPERTY = "funcgrad report"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the reports."""
    parser.getgroup("funcgrad").addoption(
        "--funcgrad-report",
        metavar="FILE",
        help="write the reports of parity and trajectory to a file: text, or JSON if its name ends with .json",
    )


@pytest.fixture
def parity(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`funcgrad.compare.parity`, which fails the test where the sides differ; returns the report."""
    from funcgrad.compare import parity

    return _asserting(parity, request)


@pytest.fixture
def trajectory(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`funcgrad.compare.trajectory`, which fails the test where the sides differ; returns the report."""
    from funcgrad.compare import trajectory

    return _asserting(trajectory, request)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Leave the library's frames out of a failed test's traceback."""
    error = None if call.excinfo is None else call.excinfo.value
    debugged = item.config.getoption("usepdb", False)
    if isinstance(error, Exception) and settings.tracebacks == "folded" and not debugged:
        call.excinfo = pytest.ExceptionInfo.from_exception(fold(error))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the reports; here, because with xdist only this process has the results of all others."""
    target = config.getoption("--funcgrad-report")
    if target is None:
        return
    found = [
        {"test": each.nodeid} | held
        for results in terminalreporter.stats.values()
        for each in results
        if getattr(each, "when", None) == "call"
        for name, held in each.user_properties
        if name == _PROPERTY
    ]
    if target.endswith(".json"):
        text = json.dumps(
            [{k: v for k, v in each.items() if k != "text"} for each in found], indent=2
        )
    else:
        text = "\n\n".join(f"{each['test']}\n{each['text']}" for each in found)
    Path(target).write_text(f"{text}\n", encoding="utf-8")


def _asserting(compare: Callable[..., Any], request: pytest.FixtureRequest) -> Callable[..., Any]:
    def asserted(*args: Any, **kwargs: Any) -> Any:
        report = compare(*args, **kwargs)
        if request.config.getoption("--funcgrad-report") is not None:
            held = {"text": str(report)} | report.to_dict()
            request.node.user_properties.append((_PROPERTY, held))
        if not report.ok:
            pytest.fail(str(report), pytrace=False)
        return report

    return asserted
