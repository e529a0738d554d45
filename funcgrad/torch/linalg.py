"""`torch.linalg`: PyTorch's names for the ops of linear algebra. They are declared in `_ops.linalg`."""

from typing import Any

from funcgrad.torch._ops.linalg.checks import _LinAlgError
from funcgrad.torch._ops.linalg.cholesky import cholesky, cholesky_ex
from funcgrad.torch._ops.linalg.determinants import det, slogdet
from funcgrad.torch._ops.linalg.eigenvalues import eig, eigh, eigvals, eigvalsh
from funcgrad.torch._ops.linalg.ldl import ldl_factor, ldl_factor_ex, ldl_solve
from funcgrad.torch._ops.linalg.lu import lu, lu_factor, lu_factor_ex, lu_solve
from funcgrad.torch._ops.linalg.matrix_products import (
    diagonal,
    matrix_exp,
    matrix_power,
    multi_dot,
    tensorinv,
    tensorsolve,
    vander,
    vecdot,
)
from funcgrad.torch._ops.linalg.norms import cond, matrix_norm, norm, vector_norm
from funcgrad.torch._ops.linalg.qr import householder_product, qr
from funcgrad.torch._ops.linalg.singular_values import lstsq, matrix_rank, pinv, svd, svdvals
from funcgrad.torch._ops.linalg.solving import inv, inv_ex, solve, solve_ex, solve_triangular
from funcgrad.torch._ops.matmul import matmul
from funcgrad.torch._ops.products import linalg_cross as cross
from funcgrad.torch._tensor.registry import check_arguments_of as _check_arguments_of
from funcgrad.torch._types.missing import no_attribute as _no_attribute

LinAlgError = _LinAlgError
__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

_check_arguments_of(__name__, __all__, globals())


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
