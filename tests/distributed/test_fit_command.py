"""`funcgrad fit` in several processes on this machine: the model is that of one, and the loss of one is told."""

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from funcgrad.cli import cluster, main
from tests.processes import Program

ROWS = 20_003  # which no number of processes divides
# Batches of all rows, because which rows meet in a smaller one depends on who reads them.
FULL_BATCHES = ["--optimizer", "momentum", "--epochs", "10", "--batch-size", "40000"]
SMALL_BATCHES = ["--optimizer", "adam", "--epochs", "2", "--batch-size", "512"]
SMALL_BATCHES += ["--memory", "2", "--checkpoint-every", "0"]
# Seconds after which a process counts as hanging: a guard, not a promise.
HANGING = 600
KILLS = int(os.environ.get("FUNCGRAD_KILLS", "2"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are ended by POSIX signals"),
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 4)) * [1, 10, 0.1, 1] + [0, 5, 0, 100]
    y = x @ [1.0, 0.2, -3.0, 0.5] + rng.normal(size=ROWS)
    np.save("data.npy", np.column_stack([x, y]))
    return tmp_path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(
    count, *options, data="data.npy", out="model", environment=None, of_each=None, timeout=120
):
    """Start the processes of one run; the environment of each tells who is who, or options do."""
    port = free_port()
    processes = []
    for index in range(count):
        command = ["-m", "funcgrad", "fit", data, "--target", "x4", "--out", out]
        command += ["--timeout", str(timeout)]
        told = {}
        if environment is not None:
            told = environment(index)
        else:
            command += ["--coordinator", f"127.0.0.1:{port}", "--processes", str(count)]
            command += ["--process-id", str(index)]
        command += [*options, *(of_each(index) if of_each else [])]
        processes.append(Program(*command, JAX_PLATFORMS="cpu", **told))
    return processes


def ends(processes):
    """Return the status and the messages of each."""
    try:
        printed = [process.communicate(timeout=HANGING) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
    return [
        (process.returncode, out, err)
        for process, (out, err) in zip(processes, printed, strict=True)
    ]


def numbers(path):
    model = np.load(path)
    return np.array([*model["weights"], model["bias"], model["loss"], model["r_squared"]])


def slurm(count):
    """Return what Slurm sets; the coordinator's port follows from the job's number."""
    job = str(free_port())
    return lambda index: {
        "SLURM_JOB_ID": job,
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(count),
        "SLURM_PROCID": str(index),
        "SLURM_LOCALID": str(index),
    }


@pytest.mark.parametrize(
    ("count", "way"), [(2, []), (3, FULL_BATCHES)], ids=["exact-2", "training-3"]
)
def test_the_model_is_that_of_one_process(here, count, way):
    """With weights, some of them zero; exact for the sums, and in each step of a training."""
    rows = np.load("data.npy")
    rows[[3, ROWS // 2, ROWS - 1], [0, 1, 4]] = np.nan
    np.save("gaps.npy", np.column_stack([rows, np.arange(ROWS) % 4]))
    way = [*way, "--missing", "drop", "--weights", "x5"]
    assert main(["fit", "gaps.npy", "--target", "x4", "--out", "alone", "--quiet", *way]) == 0
    results = ends(start(count, *way, data="gaps.npy"))
    assert [status for status, _, _ in results] == [0] * count, results
    np.testing.assert_allclose(numbers("model"), numbers("alone"), rtol=1e-10)
    assert int(np.load("model")["rows"]) == ROWS - 3
    assert f"{ROWS - 3} rows, 3 dropped" in results[0][1]  # by all of them
    assert not any("rows" in out for _, out, _ in results[1:])  # one report, of the first
    assert {path.name for path in here.iterdir()} == {"data.npy", "gaps.npy", "alone", "model"}


def test_the_environment_of_a_cluster_tells_who_is_who(here):
    results = ends(start(2, "--distributed", environment=slurm(2)))
    assert [status for status, _, _ in results] == [0, 0], results
    assert f"{ROWS} rows, 0 dropped" in results[0][1]


def test_where_one_is_killed_the_other_says_so_and_the_run_goes_on_to_the_same_model(here):
    """One after the other, at random moments, from before they have met to the end of the run."""
    rng = np.random.default_rng(KILLS)
    began = time.perf_counter()
    whole = ends(start(2, *SMALL_BATCHES, out="whole"))
    duration = time.perf_counter() - began
    assert [status for status, _, _ in whole] == [0, 0], whole
    kills = 0
    while kills < KILLS:
        victim = kills % 2
        processes = start(2, *SMALL_BATCHES, "--resume", timeout=20)
        time.sleep(duration * rng.uniform(0.4, 0.9))
        processes[victim].kill()
        results = ends(processes)
        if not Path("model").exists():
            kills += 1
            status, _, told = results[1 - victim]
            assert status == 3, results
            assert "error: another process of this run was lost" in told.splitlines()[-1]
            assert "--resume goes on" in told.splitlines()[-1]
        else:
            assert Path("model").read_bytes() == Path("whole").read_bytes()
            for path in here.glob("model*"):
                path.unlink()
    # And where the checkpoint of one is gone, the run begins anew.
    processes = start(2, *SMALL_BATCHES, "--resume")
    while not all(Path(f"model.checkpoint.{index}-of-2").exists() for index in range(2)):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    for process in processes:
        process.kill()
    ends(processes)
    for path in here.glob("model.checkpoint.1-of-2*"):
        path.unlink()
    results = ends(start(2, *SMALL_BATCHES, "--resume"))
    assert [status for status, _, _ in results] == [0, 0], results
    assert "processes [1] have no checkpoint, so the run begins anew" in results[0][2]
    assert Path("model").read_bytes() == Path("whole").read_bytes()


def test_a_process_that_stops_answering_is_lost_within_the_timeout(here):
    processes = start(2, "--optimizer", "adam", "--epochs", "100000", timeout=5)
    try:
        while not Path("model.checkpoint.sums.1-of-2").exists():
            assert all(process.poll() is None for process in processes)
            time.sleep(0.1)
        time.sleep(1)
        os.killpg(processes[1].pid, signal.SIGSTOP)
        _, told = processes[0].communicate(timeout=HANGING)
        assert processes[0].returncode == 3, told
        assert "another process of this run was lost" in told.splitlines()[-1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(processes[1].pid, signal.SIGKILL)
        for process in processes:
            process.communicate()


def test_the_timeout_is_given_to_jax_whatever_it_waits_for(monkeypatch):
    given = {}
    monkeypatch.setattr(jax.distributed, "initialize", lambda *_, **options: given.update(options))
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    cluster.join(SimpleNamespace(coordinator="here:1", processes=2, process_id=0, timeout=7))
    waits = ("initialization_timeout", "heartbeat_timeout_seconds", "shutdown_timeout_seconds")
    bound = given.pop("coordinator_bind_address")
    assert bound == "here:1"
    assert given == dict.fromkeys(waits, 7)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux lists what listens")
def test_the_coordinator_listens_at_the_address_that_was_given(here):
    port = free_port()
    options = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process-id", "0"]
    command = ["-m", "funcgrad", "fit", "data.npy", "--target", "x4", "--out", "m"]
    process = Program(*command, *options, JAX_PLATFORMS="cpu")
    try:
        end = time.monotonic() + HANGING
        while not (found := listening_at(port)) and time.monotonic() < end:
            assert process.poll() is None
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    assert found in ({"0100007F"}, {"0000000000000000FFFF00000100007F"})


def listening_at(port):
    """The addresses, in hexadecimal, at which a process of this machine listens on a port."""
    tables = [Path("/proc/net", name).read_text() for name in ("tcp", "tcp6")]
    lines = [line.split() for table in tables for line in table.splitlines()[1:]]
    local = [line[1].split(":") for line in lines if line[3] == "0A"]
    return {address for address, at in local if int(at, 16) == port}


def test_a_process_that_is_told_to_stop_does_and_so_do_all(here):
    processes = start(2, "--optimizer", "adam", "--epochs", "100000", timeout=20)
    while not Path("model.checkpoint.sums.1-of-2").exists():
        assert all(process.poll() is None for process in processes)
        time.sleep(0.1)
    processes[1].terminate()
    (first, _, lost), (second, _, _) = ends(processes)
    assert (first, second) == (3, 128 + signal.SIGTERM), lost
    assert "another process of this run was lost, or stopped" in lost.splitlines()[-1]


def test_what_one_process_cannot_read_stops_all(here):
    rows = np.load("data.npy")
    rows[-1, 0] = np.inf
    np.save("bad.npy", rows)
    (first, _, lost), (second, _, told) = ends(start(2, data="bad.npy", timeout=20))
    assert (first, second) == (3, 2), (lost, told)
    assert f"data row {ROWS}, column 'x0': the value is infinite" in told
    assert "another process of this run was lost, or stopped" in lost


def test_processes_that_were_given_different_work_are_refused(here):
    results = ends(start(2, of_each=lambda index: ["--ridge", str(index)]))
    assert [status for status, _, _ in results] == [2, 2], results
    assert all("different data, or different options" in told for _, _, told in results)
    assert not Path("model").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--processes 2", "--coordinator, --processes and --process-id go together"),
        ("--coordinator here:1 --processes 2 --process-id 2", "--process-id must be from 0 to 1"),
        ("--coordinator here --processes 2 --process-id 0", "must be HOST:PORT, not here"),
        ("--distributed --timeout 0", "--timeout must be at least 1, not 0"),
    ],
)
def test_options_that_name_no_process_are_refused(here, capsys, options, message):
    assert main(["fit", "data.npy", "--target", "x4", "--out", "m", *options.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "options", "status", "message"),
    [
        (lambda _: {}, ["--distributed"], 2, "found no cluster in the environment"),
        (None, ["--processes", "2", "--timeout", "2"], 3, "another process of this run was lost"),
    ],
    ids=["no cluster", "the other never starts"],
)
def test_a_process_that_meets_no_other_says_so(here, environment, options, status, message):
    ((ended, _, told),) = ends(start(1, *options, environment=environment))
    assert ended == status, told
    assert message in told.splitlines()[-1]
