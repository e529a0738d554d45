"""Whole programs, made up by hypothesis, run on PyTorch and on the shim: the same values, gradients, flags and errors.

`python -m tests.against_pytorch.fuzz` runs as many as asked.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.against_pytorch.comparing import difference, told
from tests.against_pytorch.programs import INSTRUCTIONS

programs = st.lists(
    st.tuples(st.integers(0, len(INSTRUCTIONS) - 1), st.integers(0, 10**12)),
    min_size=1,
    max_size=20,
)
# Compiling every program takes its time, so there are fewer.
MODES = {"eager": 100, "auto": 20, "switching": 40, "op_by_op": 30, "compiled": 10}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_program_does_what_it_does_in_pytorch(mode):
    @settings(
        max_examples=MODES[mode],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(programs)
    def check(program):
        found = difference(program, mode, times=2)
        assert found is None, f"{found}\n{told(program)}"

    check()
