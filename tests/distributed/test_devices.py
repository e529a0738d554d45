"""Rows over eight devices that do not divide them, and over processes with rows of their own: the numbers are one device's."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest

from tests.processes import Program, output_of

SCRIPT = Path(__file__).parent / "computations.py"
PROCESSES = 2


@pytest.fixture(scope="module")
def results():
    report = json.loads(output_of(SCRIPT, "devices", devices=8))
    assert report["devices"] == 8
    return report["results"]


def assert_numbers_are_those_of_one_device(found, alone):
    assert found.keys() == alone.keys()
    for name, leaves in alone.items():
        exact = name in ("sums", "exact answer by the sums")
        tolerance = {"rtol": 1e-11, "atol": 1e-11} if exact else {"rtol": 1e-4, "atol": 1e-5}
        for got, wanted in zip(found[name], leaves, strict=True):
            np.testing.assert_allclose(got, wanted, err_msg=name, **tolerance)


@pytest.mark.parametrize("mesh", ["three", "eight, four by two"])
def test_the_numbers_are_those_of_one_device(results, mesh):
    assert_numbers_are_those_of_one_device(results[mesh], results["one device"])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def test_the_numbers_of_several_processes_are_those_of_one(results):
    port = free_port()
    processes = [
        Program(SCRIPT, port, index, PROCESSES, strict=True, JAX_PLATFORMS="cpu")
        for index in range(PROCESSES)
    ]
    try:
        printed = [process.communicate(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, printed, strict=True):
        assert process.returncode == 0, errors
    # Gloo announces its connections on the standard output, before the report.
    reports = [json.loads(output.splitlines()[-1]) for output, _ in printed]
    for report in reports:
        assert report["devices"] == PROCESSES
        assert report["results"] == reports[0]["results"]  # bit for bit in every process
    assert_numbers_are_those_of_one_device(reports[0]["results"], results["one device"])
