"""Two and four processes on this machine, each with rows of its own: the numbers are those of one."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest

from tests.processes import Program

HERE = Path(__file__).parent


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def run_all(commands):
    """Run commands side by side; return what each printed."""
    script = HERE / "computations.py"
    processes = [
        Program(script, *command, strict=True, JAX_PLATFORMS="cpu") for command in commands
    ]
    try:
        printed = [process.communicate(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, printed, strict=True):
        assert process.returncode == 0, errors
    # Gloo announces its connections on the standard output, before the report.
    return [json.loads(output.splitlines()[-1]) for output, _ in printed]


@pytest.fixture(scope="module")
def alone():
    return run_all([["alone"]])[0]


@pytest.mark.parametrize("count", [2, 4])
def test_the_numbers_are_those_of_one_process(alone, count):
    port = free_port()
    reports = run_all([[port, str(index), str(count)] for index in range(count)])
    for report in reports:
        assert report["devices"] == count
        assert report["results"] == reports[0]["results"]  # bit for bit in every process
    for name, leaves in alone["results"].items():
        exact = name in ("sums", "exact answer by the sums")
        tolerance = {"rtol": 1e-11, "atol": 1e-11} if exact else {"rtol": 1e-4, "atol": 1e-5}
        for got, wanted in zip(reports[0]["results"][name], leaves, strict=True):
            np.testing.assert_allclose(got, wanted, err_msg=name, **tolerance)
