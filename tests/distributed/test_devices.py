"""Rows over eight devices that do not divide them: the numbers are those of one device."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.processes import output_of

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def results():
    report = json.loads(output_of(HERE / "computations.py", "devices", devices=8))
    assert report["devices"] == 8
    return report["results"]


@pytest.mark.parametrize("mesh", ["three", "eight, four by two"])
def test_the_numbers_are_those_of_one_device(results, mesh):
    alone = results["one device"]
    assert results[mesh].keys() == alone.keys()
    for name, leaves in alone.items():
        exact = name in ("sums", "exact answer by the sums")
        tolerance = {"rtol": 1e-11, "atol": 1e-11} if exact else {"rtol": 1e-4, "atol": 1e-5}
        for got, wanted in zip(results[mesh][name], leaves, strict=True):
            np.testing.assert_allclose(got, wanted, err_msg=name, **tolerance)
