"""Sparse matrices in compressed rows (CSR) or columns (CSC): sparse tensors whose indices lie row by row, or column by column.

They compute as tensors in coordinate format do. PyTorch has fewer ops of them, and the same are here.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad.torch._memory.formats import layout, sparse_coo, sparse_csc, sparse_csr
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.creation import tensor
from funcgrad.torch._sparse import ops
from funcgrad.torch._sparse.tensor import (
    GATHERED_IN_COLUMNS,
    GATHERED_IN_ROWS,
    OF_COMPRESSED,
    SparseTensor,
    dense_text,
    to_sparse,
)
from funcgrad.torch._tensor.printing import append_suffixes
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import bool_, get_default_dtype, int64


class CompressedTensor(SparseTensor):
    """A sparse matrix whose elements lie in the order of its rows, or of its columns.

    Attributes:
        dim: the compressed dimension: 0 for rows, 1 for columns.
        names: PyTorch's names of the compressed indices and of the others.

    Behaviour: https://docs.pytorch.org/docs/stable/sparse.html#sparse-compressed-tensors
    """

    dim_: int
    names: tuple[str, str]
    is_sparse = property(lambda self: False)
    is_sparse_csr = property(lambda self: self.dim_ == 0)

    @property
    def layout(self) -> layout:
        """`torch.sparse_csr` or `torch.sparse_csc`."""
        return (sparse_csr, sparse_csc)[self.dim_]

    def _parts_of(self) -> tuple[Tensor, Tensor]:
        """Where each row or column begins, with the end; and the place of each element in it."""
        places = self._pattern.numpy()
        counts = np.bincount(places[self.dim_], minlength=self._size[self.dim_])
        starts = np.concatenate([[0], np.cumsum(counts)])
        return tensor(starts), tensor(places[1 - self.dim_])

    def values(self) -> Any:
        """The values, one an element."""
        return self._entries

    def is_contiguous(self, memory_format: Any = None) -> NoReturn:
        """Refuse, as PyTorch does."""
        raise RuntimeError("Sparse CSR tensors do not have is_contiguous")

    def numpy(self, *, force: bool = False) -> NoReturn:
        """Refuse: NumPy has no sparse arrays."""
        raise TypeError(
            f"can't convert {_name(self)} layout tensor to numpy. Use Tensor.to_dense() first."
        )

    def __repr__(self) -> str:
        """PyTorch's printed form."""
        indent = len("tensor(")
        parts = zip((*self.names, "values"), (*self._parts_of(), self._entries), strict=True)
        texts = [f"{name}={dense_text(part, indent + len(name) + 1)}" for name, part in parts]
        suffixes = [f"size={tuple(self._size)}", f"nnz={self._nnz()}"]
        if self.device.type != "cpu":
            suffixes.insert(0, f"device='{self.device}'")
        if self.dtype not in (get_default_dtype(), int64, bool_):
            suffixes.append(f"dtype={self.dtype}")
        suffixes.append(f"layout={self.layout}")
        if self.grad_fn is not None:
            suffixes.append(f"grad_fn=<{type(self.grad_fn).__name__}>")
        elif self.requires_grad:
            suffixes.append("requires_grad=True")
        text = "tensor(" + (",\n" + " " * indent).join(texts)
        return append_suffixes(text, suffixes, indent) + ")"

    __str__ = __repr__

    def to_sparse(  # type: ignore[override]
        self, sparse_dim: int | None = None, *, layout: Any = None
    ) -> SparseTensor:
        """The same elements in coordinate format, or in another layout."""
        return in_layout(self, sparse_coo if layout is None else layout)

    def to_sparse_coo(self) -> SparseTensor:  # type: ignore[override]
        """The same elements in coordinate format."""
        return in_layout(self, sparse_coo)


class _Rows(CompressedTensor):
    dim_, names = 0, ("crow_indices", "col_indices")


class _Columns(CompressedTensor):
    dim_, names = 1, ("ccol_indices", "row_indices")


for _kind in (CompressedTensor, _Rows, _Columns):
    _kind.__name__ = _kind.__qualname__ = "Tensor"
_KINDS = {sparse_csr: _Rows, sparse_csc: _Columns}


def _name(self: SparseTensor) -> str:
    return {sparse_csr: "SparseCsr", sparse_csc: "SparseCsc"}.get(self.layout, "Sparse")


# ------------------------------------------------------------------------------------------- making one


def in_layout(given: Any, wanted: layout) -> Any:
    """A tensor in a layout; the tensor itself if it is.

    Raises:
        NotImplementedError: the layout is not here.
        RuntimeError: it is one of matrices, and the tensor is none.
    """
    if given.layout is wanted:
        return given
    if wanted is not sparse_coo and wanted not in _KINDS:
        raise NotImplementedError(f"{wanted} tensors; torch.sparse_coo, sparse_csr and sparse_csc ones exist here")  # fmt: skip
    if given.ndim != 2 and wanted in _KINDS:
        raise NotImplementedError(
            f"{wanted} tensors of {given.ndim} dimensions; matrices can be compressed here"
        )
    if not isinstance(given, SparseTensor):
        if wanted is sparse_coo:
            return to_sparse(given)
        row, indices = GATHERED_IN_ROWS, np.stack(given.detach().numpy().nonzero())
        if wanted is sparse_csc:
            row, indices = GATHERED_IN_COLUMNS, indices[:, np.lexsort(indices)]
        pattern = tensor(indices)
        dense = _KINDS[wanted](pattern, row(given, pattern), given.shape, True)
        dense._whole = dense.requires_grad
        return dense
    made = given if isinstance(given, CompressedTensor) else given.coalesce()
    places = made._pattern.numpy()
    keys = places if wanted is sparse_csc else places[::-1]
    order = np.lexsort(keys)
    kind, entries = _KINDS.get(wanted, SparseTensor), made._values()
    found = kind(tensor(places[:, order]), entries[tensor(order)], made._size, True)
    found._whole = given._whole
    return found


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> CompressedTensor:
    """A sparse matrix of given elements, row by row or column by column.

    Args:
        compressed_indices: where each row, or column, begins among the elements, and the number of elements.
        plain_indices: the column, or row, of each element.
        values: the elements.
        size: the shape; the smallest that holds the indices if None.
        dtype, device: of the values; their own if None.
        layout: `torch.sparse_csr` or `torch.sparse_csc`.
        pin_memory, check_invariants: accepted; the indices are always checked.
        requires_grad: whether the tensor gathers a gradient.

    Raises:
        RuntimeError: the indices do not fit together, or are outside the size.
        NotImplementedError: another layout, or batches of matrices.
    """
    if layout not in _KINDS:
        raise NotImplementedError(f"{layout} tensors; torch.sparse_csr and sparse_csc ones exist here")  # fmt: skip
    kind = _KINDS[layout]
    starts, others = (
        np.asarray(FUNCTIONS["as_tensor"](each).detach().to(int64).numpy())
        for each in (compressed_indices, plain_indices)
    )
    given = isinstance(values, Tensor)
    values = FUNCTIONS["as_tensor"](values, dtype=dtype, device=device)
    if starts.ndim != 1 or others.ndim != 1 or values.ndim != 1:
        raise NotImplementedError("batches and blocks of compressed matrices; one matrix of numbers is here")  # fmt: skip
    first, second = kind.names
    if len(others) != len(values):
        raise RuntimeError(
            f"number of {second} ({len(others)}) must match number of values ({len(values)})"
        )
    rows = len(starts) - 1
    if size is None:
        other = int(others.max(initial=-1)) + 1
        size = (other, rows) if kind.dim_ else (rows, other)
    length, most = size[kind.dim_], size[1 - kind.dim_]
    if rows != length:
        raise RuntimeError(f"{first}.shape[-1] must be equal to {length} + 1, but got {rows + 1}")
    if starts[0] != 0:
        raise RuntimeError(f"`{first}[..., 0] == 0` is not satisfied.")
    if starts[-1] != len(values):
        raise RuntimeError(f"`{first}[..., -1] == nnz` is not satisfied.")
    counts = np.diff(starts)
    if (counts < 0).any() or (counts > most).any():
        raise RuntimeError(f"`0 <= {first}[..., 1:] - {first}[..., :-1] <= {'nrows' if kind.dim_ else 'ncols'}` is not satisfied.")  # fmt: skip
    if len(others) and not 0 <= others.min() <= others.max() < most:
        raise RuntimeError(f"`0 <= {second} < {'nrows' if kind.dim_ else 'ncols'}` is not satisfied.")  # fmt: skip
    lines = np.repeat(np.arange(length), counts)
    if (np.diff(others)[np.diff(lines) == 0] <= 0).any():
        raise RuntimeError(f"`{second}[..., {first}[..., i - 1]:{first}[..., i]] for all i = 1, ..., {'ncols' if kind.dim_ else 'nrows'} are sorted and distinct along the last dimension values` is not satisfied.")  # fmt: skip
    pattern = tensor(np.stack([others, lines] if kind.dim_ else [lines, others]))
    graph = given and values.requires_grad and not requires_grad
    values = OF_COMPRESSED(values) if graph else values.detach()
    made = kind(pattern, values, size, True)
    return made.requires_grad_() if requires_grad else made  # type: ignore[return-value]


def sparse_csr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Any = None, **options: Any
) -> CompressedTensor:
    """A sparse matrix of given elements, row by row; see `sparse_compressed_tensor`.

    >>> import funcgrad.torch as torch
    >>> x = torch.sparse_csr_tensor([0, 1, 3], [2, 0, 2], [3.0, 4.0, 5.0], (2, 3))
    >>> x @ torch.ones(3)
    tensor([3., 9.])
    """
    return sparse_compressed_tensor(
        crow_indices, col_indices, values, size, **{"layout": sparse_csr, **options}
    )


def sparse_csc_tensor(
    ccol_indices: Any, row_indices: Any, values: Any, size: Any = None, **options: Any
) -> CompressedTensor:
    """A sparse matrix of given elements, column by column; see `sparse_compressed_tensor`."""
    return sparse_compressed_tensor(
        ccol_indices, row_indices, values, size, **{"layout": sparse_csc, **options}
    )


def _with_all_names(function: Any) -> None:
    """Let the signature show the names of its `**options`."""
    own = [*inspect.signature(function).parameters.values()][:-1]
    common = inspect.signature(sparse_compressed_tensor).parameters.values()
    named = [each for each in common if each.kind is each.KEYWORD_ONLY]
    function.__signature__ = inspect.Signature([*own, *named], return_annotation=CompressedTensor)


_with_all_names(sparse_csr_tensor)
_with_all_names(sparse_csc_tensor)


# ------------------------------------------------------------------------------------------- the ops


def _coo(x: Any) -> Any:
    return in_layout(x, sparse_coo) if isinstance(x, CompressedTensor) else x


def _of_coordinates(name: str, back: bool) -> Callable[..., Any]:
    """An op of tensors in coordinate format; with `back`, a sparse result has the operand's layout."""
    of: Callable[..., Any] = {**ops.OPS, **ops.FUNCTIONS_ONLY}[name]

    def call(*args: Any, **kwargs: Any) -> Any:
        wanted = next(each.layout for each in args if isinstance(each, CompressedTensor))
        found = of(*map(_coo, args), **kwargs)
        return in_layout(found, wanted) if back and isinstance(found, SparseTensor) else found

    return call


def _add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """The sum: sparse if both are, else dense."""
    if ops.is_sparse(input) and ops.is_sparse(other):
        return _of_coordinates("add", True)(input, other, alpha=alpha)
    dense = [each.to_dense() if ops.is_sparse(each) else each for each in (input, other)]
    return dense[0] + alpha * dense[1]


def _sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    return _add(input, other, alpha=-alpha)


def _transpose(input: Any, dim0: int, dim1: int) -> Any:
    a, b = (wrap_dim(each, 2) for each in (dim0, dim1))
    if a == b:
        return input
    kind = _KINDS[sparse_csr if input.dim_ else sparse_csc]
    pattern = input._pattern.flip(0)
    return kind(pattern, input._entries, input._size[::-1], True)


def _sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    if dim is None:
        return input._entries.sum(dtype=dtype)
    if not keepdim:
        raise RuntimeError("reduction operations on CSR tensors with keepdim=False is unsupported")
    dims: Any = ops.wrapped_dims(dim, 2)
    found: Any = ops.sum_(_coo(input), dims, dtype=dtype)
    size = [1 if d in dims else n for d, n in enumerate(input._size)]
    return in_layout(found.to_dense().reshape(size), input.layout)


def _unsupported(input: Any, *args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError(f"unsupported tensor layout: {_name(input)}")


def _no_view(input: Any) -> NoReturn:
    raise NotImplementedError(f"a view of a tensor of layout {input.layout}. Use x.t()")


def _clone(input: Any, *, memory_format: Any = None) -> Any:
    return input.with_values(input._entries.clone())


# Ops that PyTorch has of compressed matrices, too; it refuses the others.
_BACK = ("mul", "multiply", "mm", "matmul", "spmm", "zeros_like", *ops.ZERO_STAYS, "neg")
_ONLY_DENSE = ("mv", "addmm", "dsmm")
OPS: dict[str, Callable[..., Any]] = {
    **{name: _of_coordinates(name, True) for name in _BACK},
    **{name: _of_coordinates(name, False) for name in _ONLY_DENSE},
    **dict.fromkeys(("add",), _add),
    **dict.fromkeys(("sub", "subtract"), _sub),
    "clone": _clone,
    "sum": _sum,
    "transpose": _transpose,
    "t": lambda input: _transpose(input, 0, 1),
}
METHODS: dict[str, Any] = {
    **{name: _unsupported for name in ops.OPS if name not in OPS},
    **OPS,
    **dict.fromkeys(("__add__", "__radd__"), _add),
    **dict.fromkeys(("__mul__", "__rmul__"), OPS["mul"]),
    **dict.fromkeys(("__matmul__", "smm"), OPS["matmul"]),
    **dict.fromkeys(("__truediv__", "__pow__", "coalesce", "indices", "_indices_of"), _unsupported),
    "__sub__": _sub,
    "__rsub__": lambda self, other: _sub(other, self),
    "__rmatmul__": lambda self, other: OPS["mm"](other, self),
    "__neg__": OPS["neg"],
    "__getitem__": lambda self, key: ops.select(_coo(self), key),
    **dict.fromkeys(("T", "mT"), property(lambda self: _no_view(self))),
}


def of_stored(name: str) -> Callable[..., Any]:
    """An op of `torch.sparse`, of sparse tensors in any layout; only stored elements have a gradient."""
    of, compressed = {**ops.OPS, **ops.FUNCTIONS_ONLY}[name], OPS[name]

    def call(*args: Any, **kwargs: Any) -> Any:
        found = compressed if any(isinstance(each, CompressedTensor) for each in args) else of
        return found(*args, **kwargs)

    return call


def compressed_part(name: str, which: int) -> Callable[..., Any]:
    """A method that gives the compressed indices (0) or the others (1) of one layout, and is refused for another."""

    def part(self: Any) -> Any:
        if not isinstance(self, CompressedTensor) or self.names[which] != name:
            kind = "row" if name in _Rows.names else "column"
            found = _name(self) if isinstance(self, SparseTensor) else "Strided"
            raise RuntimeError(
                f"{name} expected sparse {kind} compressed tensor layout but got {found}"
            )
        return self._parts_of()[which]

    part.__name__ = name
    return part
