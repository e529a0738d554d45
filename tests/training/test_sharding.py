"""The same numbers wherever the data lies: one device, or eight under any kind of mesh."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.processes import output_of

SCRIPT = Path(__file__).with_name("eight_devices.py")
PLACEMENTS = [
    f"{rows}, {kind}" for kind in ("Auto", "Explicit") for rows in ("rows", "rows and features")
]


@pytest.fixture(scope="module")
def report():
    report = json.loads(output_of(SCRIPT, devices=8))
    assert report["count"] == 8
    return report["results"]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_sharded_data_gives_the_numbers_of_one_device(report, placement):
    alone, sharded = report["one device"], report[placement]
    for name, expected in alone["numbers"].items():
        got = sharded["numbers"][name]
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_result_stays_on_the_datas_devices(report, placement):
    assert report["one device"]["devices"] == 1
    assert report[placement]["devices"] == 8
