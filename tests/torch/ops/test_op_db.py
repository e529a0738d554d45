"""PyTorch's own samples of ops agree on both sides. `python -m tests.against_pytorch.op_db` runs all ops and all samples."""

import warnings

import pytest

pytest.importorskip("torch")

from tests.against_pytorch.op_db import infos, tally_of
from tests.both_sides import theirs

# Run always: one op of each kind.
ALWAYS = [
    "lgamma",
    "xlogy",
    "nan_to_num",
    "addmm",
    "einsum",
    "cdist",
    "linalg.solve",
    "linalg.svd",
    "linalg.norm",
    "cholesky_solve",
]
SLOW = [
    "frac",
    "sgn",
    "deg2rad",
    "rad2deg",
    "signbit",
    "isreal",
    "erfc",
    "erfinv",
    "digamma",
    "i0",
    "sinc",
    "angle",
    "conj_physical",
    "logit",
    "fmax",
    "fmin",
    "copysign",
    "heaviside",
    "hypot",
    "igamma",
    "igammac",
    "ldexp",
    "logaddexp",
    "logaddexp2",
    "nextafter",
    "gcd",
    "lcm",
    "float_power",
    "frexp",
    "bmm",
    "addmv",
    "addr",
    "baddbmm",
    "addbmm",
    "vdot",
    "inner",
    "trace",
    "kron",
    "tensordot",
    "cross",
    "outer",
    "dot",
    "linalg.cond",
    "linalg.diagonal",
    "linalg.eigvals",
    "linalg.householder_product",
    "ormqr",
    "linalg.inv",
    "linalg.lstsq",
    "linalg.lu",
    "linalg.lu_factor",
    "linalg.lu_solve",
    "linalg.matrix_norm",
    "linalg.matrix_power",
    "linalg.matrix_rank",
    "linalg.multi_dot",
    "linalg.pinv",
    "linalg.qr",
    "linalg.slogdet",
    "linalg.solve_triangular",
    "linalg.svdvals",
    "linalg.tensorinv",
    "linalg.tensorsolve",
    "linalg.vecdot",
    "linalg.vector_norm",
    "logdet",
    "cholesky_inverse",
    "pinverse",
    "triangular_solve",
    "matrix_exp",
    "lu",
    "lu_solve",
    "lu_unpack",
]


@pytest.fixture(scope="module")
def described():
    assert theirs.Tensor  # which skips the test where there is no PyTorch
    found = {}
    for each in infos():
        found.setdefault(each.name, each)
    return found


@pytest.mark.parametrize(
    "name", [*ALWAYS, *[pytest.param(each, marks=pytest.mark.slow) for each in SLOW]]
)
def test_first_samples_agree(described, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = tally_of(described[name], ("float64",), most=1)
    assert found.samples
    assert not found.wrong
