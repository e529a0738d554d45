"""The names of sparse tensors, as functions and methods; functions of dense tensors that take sparse ones too."""

import functools
from collections.abc import Callable
from typing import Any

from funcgrad.torch._sparse import ops
from funcgrad.torch._sparse.tensor import SparseTensor, sparse_coo_tensor, to_sparse
from funcgrad.torch._tensor.overriding import overridable
from funcgrad.torch._tensor.registry import FUNCTIONS, publish, publish_all
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.view import ViewTensor


def _taking_both(dense: Callable[..., Any], sparse: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls `sparse` if an argument is sparse, else `dense`."""

    @functools.wraps(dense)
    def call(*args: Any, **kwargs: Any) -> Any:
        for each in args:
            if isinstance(each, SparseTensor):
                return sparse(*args, **kwargs)
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


def _only_sparse(name: str) -> Callable[..., Any]:
    """A method of sparse tensors, refused for a dense one in PyTorch's words."""

    def refuse(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        kind = "sparse" if name == "values" else "sparse coordinate"
        raise RuntimeError(f"{name} expected {kind} tensor layout but got Strided")

    refuse.__name__ = name
    return refuse


_SPARSE_METHODS = ("coalesce", "indices", "is_coalesced", "values", "_indices", "_nnz", "_values")
for _name, _sparse in (ops.OPS | ops.FUNCTIONS_ONLY).items():
    FUNCTIONS[_name] = overridable(_taking_both(FUNCTIONS[_name], _sparse))
for _name in ("cat", "concat", "concatenate"):
    FUNCTIONS[_name] = overridable(_joining(FUNCTIONS[_name], ops.joined_along))
FUNCTIONS["stack"] = overridable(_joining(FUNCTIONS["stack"], ops.stacked))
for _name in ("__add__", "__sub__", "__mul__", "__matmul__"):
    setattr(ViewTensor, _name, _leaving(getattr(ViewTensor, _name)))
for _name, _method in (ops.OPS | ops.METHODS_ONLY).items():
    setattr(SparseTensor, _name, _method)
publish(sparse_coo_tensor, method=False)
publish_all(
    {},
    {
        "to_dense": _to_dense,
        "to_sparse": to_sparse,
        "to_sparse_coo": to_sparse,
        "sparse_mask": ops.sparse_mask,
        "sparse_dim": lambda self: 0,
        "dense_dim": lambda self: self.ndim,
        **{name: _only_sparse(name) for name in _SPARSE_METHODS},
    },
)
