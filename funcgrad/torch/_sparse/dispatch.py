"""The names of sparse tensors, as functions and methods; functions of dense tensors that take sparse ones too."""

import functools
from collections.abc import Callable
from typing import Any

from funcgrad.engine import local
from funcgrad.torch._memory.formats import sparse_coo, sparse_csc, sparse_csr
from funcgrad.torch._sparse import ops
from funcgrad.torch._sparse.compressed import (
    METHODS as OF_COMPRESSED_METHODS,
)
from funcgrad.torch._sparse.compressed import (
    OPS as OF_COMPRESSED,
)
from funcgrad.torch._sparse.compressed import (
    CompressedTensor,
    compressed_part,
    in_layout,
    sparse_compressed_tensor,
    sparse_csc_tensor,
    sparse_csr_tensor,
)
from funcgrad.torch._sparse.tensor import SparseTensor, sparse_coo_tensor, to_sparse
from funcgrad.torch._tensor.overriding import overridable
from funcgrad.torch._tensor.registry import FUNCTIONS, publish, publish_all
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.view import ViewTensor

# In PyTorch these give each element of a sparse operand a gradient, and `torch.sparse.mm` and its kind only the stored ones.
_OF_ALL = ("mm", "matmul", "mv", "addmm", "dsmm", "spmm", "sum", "__matmul__", "__rmatmul__")
_OF_ALL_BESIDE_DENSE = ("add", "sub", "subtract", "__add__", "__radd__", "__sub__", "__rsub__")


def _noted(name: str, of: Any) -> Any:
    """An op whose sparse result knows whether an operand might have a dense gradient in PyTorch.

    It is refused where the gradient would be another one here, since only stored elements have one.
    """
    if isinstance(of, property):
        return property(_noted(name, of.fget))

    @functools.wraps(of)
    def call(*args: Any, **kwargs: Any) -> Any:
        whole = [each for each in args if isinstance(each, SparseTensor) and each._whole]
        if not whole:
            return of(*args, **kwargs)
        beside = any(isinstance(each, Tensor) and not isinstance(each, SparseTensor) for each in args)  # fmt: skip
        wanted = local.recorder.grad_enabled and any(each.requires_grad for each in whole)
        if wanted and (name in _OF_ALL or (beside and name in _OF_ALL_BESIDE_DENSE)):
            raise NotImplementedError(
                f"{name}: PyTorch gives this sparse tensor a dense gradient, and here only its stored elements have one. "
                "torch.sparse.mm and its kind give that gradient on both sides; for the other use a dense tensor"
            )
        found = of(*args, **kwargs)
        if isinstance(found, SparseTensor):
            found._whole = True
        return found

    return call


def _taking_both(name: str, dense: Callable[..., Any], sparse: Callable[..., Any]) -> Callable[..., Any]:  # fmt: skip
    """A function that calls `sparse` if an argument is sparse, else `dense`."""
    compressed = OF_COMPRESSED.get(name) and _noted(name, OF_COMPRESSED[name])
    sparse = _noted(name, sparse)

    @functools.wraps(dense)
    def call(*args: Any, **kwargs: Any) -> Any:
        for each in args:
            if isinstance(each, SparseTensor):
                if not any(isinstance(arg, CompressedTensor) for arg in args):
                    return sparse(*args, **kwargs)
                if compressed is not None:
                    return compressed(*args, **kwargs)
                raise RuntimeError(f"{name}() does not take tensors with compressed indices. Use x.to_sparse_coo()")  # fmt: skip
        return dense(*args, **kwargs)

    return call


def _joining(dense: Callable[..., Any], sparse: Callable[..., Any]) -> Callable[..., Any]:
    """`cat` or `stack` that takes a list of sparse tensors too."""

    @functools.wraps(dense)
    def call(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], (tuple, list)) and any(map(ops.is_sparse, args[0])):
            return sparse(*args, **kwargs)
        return dense(*args, **kwargs)

    return call


def _leaving(dense: Callable[..., Any]) -> Callable[..., Any]:
    """An operator of views that leaves a sparse second operand to that operand's class. (It is no subclass of theirs.)"""

    @functools.wraps(dense)
    def call(self: Tensor, other: Any) -> Any:
        return NotImplemented if isinstance(other, SparseTensor) else dense(self, other)

    return call


def _to_dense(self: Tensor, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
    """The tensor itself, which is dense."""
    return self if dtype is None else self.to(dtype)


def _to_sparse(
    self: Any,
    sparse_dim: int | None = None,
    *,
    layout: Any = None,
    blocksize: Any = None,
    dense_dim: int | None = None,
) -> Any:
    """The elements that are not zero, as a sparse tensor; see `_sparse/tensor.py`, `to_sparse`."""
    if layout not in (None, sparse_coo):
        return in_layout(self, layout)
    return to_sparse(self, sparse_dim, blocksize=blocksize, dense_dim=dense_dim)


def _to_sparse_csr(self: Any, dense_dim: int | None = None) -> Any:
    """The matrix in compressed rows."""
    return in_layout(self, sparse_csr)


def _to_sparse_csc(self: Any, dense_dim: int | None = None) -> Any:
    """The matrix in compressed columns."""
    return in_layout(self, sparse_csc)


def _only_sparse(name: str) -> Callable[..., Any]:
    """A method of sparse tensors, refused for a dense one in PyTorch's words."""

    def refuse(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        kind = "sparse" if name == "values" else "sparse coordinate"
        raise RuntimeError(f"{name} expected {kind} tensor layout but got Strided")

    refuse.__name__ = name
    return refuse


_SPARSE_METHODS = ("coalesce", "indices", "is_coalesced", "values", "_indices", "_nnz", "_values")
for _name, _sparse in (ops.OPS | ops.FUNCTIONS_ONLY).items():
    FUNCTIONS[_name] = overridable(_taking_both(_name, FUNCTIONS[_name], _sparse))
for _name in ("cat", "concat", "concatenate"):
    FUNCTIONS[_name] = overridable(_joining(FUNCTIONS[_name], ops.joined_along))
FUNCTIONS["stack"] = overridable(_joining(FUNCTIONS["stack"], ops.stacked))
for _name in ("__add__", "__sub__", "__mul__", "__matmul__"):
    setattr(ViewTensor, _name, _leaving(getattr(ViewTensor, _name)))
for _name, _method in (ops.OPS | ops.METHODS_ONLY).items():
    setattr(SparseTensor, _name, _noted(_name, _method))
for _name, _method in OF_COMPRESSED_METHODS.items():
    setattr(CompressedTensor, _name, _noted(_name, _method))
for _made in (sparse_coo_tensor, sparse_csr_tensor, sparse_csc_tensor, sparse_compressed_tensor):
    publish(_made, method=False)
publish_all(
    {},
    {
        "to_dense": _to_dense,
        "to_sparse": _to_sparse,
        "to_sparse_coo": _to_sparse,
        "to_sparse_csr": _to_sparse_csr,
        "to_sparse_csc": _to_sparse_csc,
        **{name: compressed_part(name, 0) for name in ("crow_indices", "ccol_indices")},
        **{name: compressed_part(name, 1) for name in ("col_indices", "row_indices")},
        "sparse_mask": ops.sparse_mask,
        "sparse_dim": lambda self: 0,
        "dense_dim": lambda self: self.ndim,
        **{name: _only_sparse(name) for name in _SPARSE_METHODS},
    },
)
