"""`torch.sparse`: functions of sparse tensors. The tensors and their methods are in `_sparse`."""

from typing import Any

from funcgrad.torch._sparse.compressed import of_stored as _of_stored
from funcgrad.torch._sparse.ops import log_softmax, softmax
from funcgrad.torch._sparse.ops import sum_ as sum
from funcgrad.torch._sparse.tensor import SparseTensor as _SparseTensor
from funcgrad.torch._sparse.tensor import sparse_coo_tensor as _sparse_coo_tensor
from funcgrad.torch._types import dtypes as _dtypes
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = ["addmm", "log_softmax", "mm", "softmax", "sum"]


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


def addmm(mat: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * mat + alpha * (mat1 @ mat2)` with a sparse `mat1`, and with gradients of all three.

    >>> import funcgrad.torch as torch
    >>> torch.sparse.addmm(torch.ones(2, 2), torch.eye(2).to_sparse(), torch.ones(2, 2))
    tensor([[2., 2.],
            [2., 2.]])
    """
    return _of_stored("addmm")(mat, mat1, mat2, beta=beta, alpha=alpha)


def mm(mat1: Any, mat2: Any) -> Any:
    """The product of two matrices; sparse if both are. Only stored elements of a sparse one have a gradient.

    >>> import funcgrad.torch as torch
    >>> torch.sparse.mm(torch.eye(2).to_sparse_csr(), torch.ones(2, 2))
    tensor([[1., 1.],
            [1., 1.]])
    """
    return _of_stored("mm")(mat1, mat2)


def _legacy(name: str, dtype: Any) -> Any:
    """`torch.sparse.FloatTensor` and the like, which made sparse tensors of a dtype."""

    def make(*args: Any) -> _SparseTensor:
        if not args or isinstance(args[0], int):
            return _sparse_coo_tensor(args or (0,), dtype=dtype)
        indices, values, *size = args
        if values.dtype is not dtype:
            raise TypeError(f"{name}(): the values have dtype {values.dtype}, not {dtype}")
        return _sparse_coo_tensor(indices, values, *size)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"A sparse tensor of {dtype}: of indices, values and a size; or of sizes alone."
    return make


FloatTensor = _legacy("FloatTensor", _dtypes.float32)
DoubleTensor = _legacy("DoubleTensor", _dtypes.float64)
HalfTensor = _legacy("HalfTensor", _dtypes.float16)
IntTensor = _legacy("IntTensor", _dtypes.int32)
LongTensor = _legacy("LongTensor", _dtypes.int64)
