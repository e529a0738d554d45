"""Fixtures that tests in several folders share."""

import gc
import os
import signal
import sys
import threading
from pathlib import Path

import hypothesis
import pytest
from _pytest.doctest import DoctestModule
from _pytest.runner import runtestprotocol

from funcgrad.teaching import settings
from tests import environment

# Reports are not folded, whatever terminal the tests run in.
os.environ["COLUMNS"] = "200"

# mypy reads it, mistakes included; to look for examples in it pytest would run it.
collect_ignore = ["typed_script.py"]

# No example may fail because the machine is busy.
hypothesis.settings.register_profile("funcgrad", deadline=None)
hypothesis.settings.load_profile("funcgrad")

# A failure of the library's own tests shows the library's frames.
settings.tracebacks = "full"


def pytest_collection_modifyitems(items):
    """The names of tests are the same in each process, as test processes that share the work need it."""
    addressed = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if addressed:
        raise pytest.UsageError(f"A test's name has an address in memory: {addressed[0]}")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """A file without an example is not searched for examples: most have none."""
    found = yield
    if file_path.suffix == ".py" and b">>> " not in file_path.read_bytes():
        return [each for each in found if not isinstance(each, DoctestModule)]
    return found


def pytest_runtest_protocol(item, nextitem):
    """A test process sends one report of a test that passes: all five would take a millisecond more of each test.

    Reports of how it was set up and ended tell nothing more, unless somebody asks for their times.
    """
    option = item.config.option
    if not hasattr(item.config, "workerinput") or option.durations is not None or option.xmlpath:
        return None
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    passed = all(report.passed for report in reports)
    for report in reports:
        if report.when == "call" or not passed:
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Modules and tests live as long as the process, so no search for garbage goes through them, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        search_seldom_for_garbage()


def search_seldom_for_garbage():
    """JAX's traces make many objects that live on: at Python's threshold of 700 a twentieth of the time is the search."""
    gc.set_threshold(50_000, 10, 20)
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def disk_is_not_waited_for():
    """Only a crash of the machine tells what has reached the disk, and each wait takes milliseconds.

    Processes that tests start wait for it.
    """
    wait, os.fsync = os.fsync, os.fstat  # which refuses what is no open file, too
    yield
    os.fsync = wait


@pytest.fixture(autouse=True, scope="session")
def contexts_are_used_again():
    """JAX writes a program in a context that takes half of the writing to make; JAX 0.12 uses each for ten programs."""
    mlir = sys.modules.get("jax._src.interpreters.mlir")
    if mlir is None or environment.JAXLIB != (0, 10):
        yield
        return
    make, kept = mlir.make_ir_context, threading.local()

    def context():
        if not getattr(kept, "left", 0):
            kept.context, kept.left = make(), 10
        kept.left -= 1
        return kept.context

    mlir.make_ir_context = context
    yield
    mlir.make_ir_context = make


@pytest.fixture(scope="session")
def torch():
    """PyTorch itself; a test that uses it is skipped where it is not installed."""
    from tests.both_sides import theirs  # here, because most folders load neither library

    assert theirs.Tensor  # which skips the test where there is none
    return theirs


@pytest.fixture
def recorded():
    """Everything is recorded, and nothing runs in the engine's core."""
    from funcgrad import engine  # here, because most folders load neither library

    with engine.mode("recorded"):
        yield


@pytest.fixture
def short_warm_up(monkeypatch):
    """A comparison trains twice before it times a training, and not until two take equally long."""
    from funcgrad.compare import timings  # here, because most folders load neither library

    monkeypatch.setattr(timings, "LONGEST_WARM_UP", 0)


@pytest.fixture
def settings_of_pytorch(torch):
    """PyTorch's switches can be set. Its own test helpers forbid that for the rest of a process."""
    with getattr(torch.backends, "__allow_nonbracketed_mutation")():
        yield


@pytest.fixture
def interruptible():
    """An interrupt raises KeyboardInterrupt, also in a process that a shell began in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# Linux lets a process map memory 65,530 times, and each compiled program takes some. Beyond that XLA's compiler crashes.
MAPS, MOST = Path("/proc/self/maps"), 40_000


@pytest.fixture(autouse=True, scope="module")
def small_process():
    """After a file of tests JAX's compiled programs are dropped, if there are many; what is left is no garbage.

    Searches for garbage would otherwise go through millions of objects in JAX's caches, again and again.
    """
    yield
    if "jax" in sys.modules and MAPS.exists() and MAPS.read_text().count("\n") > MOST:
        sys.modules["jax"].clear_caches()
        gc.unfreeze()
    gc.collect()
    gc.freeze()
