"""A sparse tensor in coordinate format: a dense tensor of indices, and a dense tensor of values that carries the graph."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NoReturn

import jax.numpy as jnp
import numpy as np

from funcgrad.engine import local
from funcgrad.torch._memory.formats import layout, sparse_coo
from funcgrad.torch._ops.creation import tensor
from funcgrad.torch._ops.row import Array, Index, Row, arguments_of
from funcgrad.torch._tensor.overriding import disabled
from funcgrad.torch._tensor.printing import append_suffixes, format_values
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.dtypes import bool_, dtype, get_default_dtype, int64
from funcgrad.torch._types.size import Size


def _row(node: str, function: Any) -> Row:
    return Row(f"sparse.{function.__name__}", node, function, arguments_of(function))


# ------------------------------------------------------------------------------------------- what is recorded


def taken(values: Array) -> Any:
    """The values of a new sparse tensor."""
    return values


def scattered(values: Array, indices: Index, size: tuple[int, ...]) -> Any:
    """The dense array of these values; those of one index are added."""
    return jnp.zeros(size, values.dtype).at[tuple(indices)].add(values)


def gathered(input: Array, indices: Index) -> Any:
    """The elements of a dense array at these indices."""
    return input[tuple(indices)]


def joined(values: Array, places: Index, count: int) -> Any:
    """The values, added where they go to the same place of `count`."""
    return jnp.zeros((count, *values.shape[1:]), values.dtype).at[places].add(values)


def product(values: Array, dense: Array, indices: Index, rows: int) -> Any:
    """The product of a sparse matrix of so many rows and a dense matrix."""
    found = jnp.zeros((rows, dense.shape[1]), values.dtype)
    return found.at[indices[0]].add(values[:, None] * dense[indices[1]])


def compressed(values: Array) -> Any:
    """The values of a new compressed matrix."""
    return values


def gathered_in_rows(input: Array, indices: Index) -> Any:
    """The elements of a dense array at these indices, row by row."""
    return gathered(input, indices)


def gathered_in_columns(input: Array, indices: Index) -> Any:
    """The elements of a dense array at these indices, column by column."""
    return gathered(input, indices)


TAKEN = _row("SparseCooTensorWithDimsAndTensorsBackward0", taken)
SCATTERED = _row("ToDenseBackward0", scattered)
GATHERED = _row("ToSparseBackward1", gathered)
OF_COMPRESSED = _row("SparseCompressedTensorBackward0", compressed)
GATHERED_IN_ROWS = _row("ToSparseCsrBackward0", gathered_in_rows)
GATHERED_IN_COLUMNS = _row("ToSparseCscBackward0", gathered_in_columns)
JOINED = _row("CoalesceBackward0", joined)
PRODUCT = _row("SparseAddmmBackward0", product)


# ------------------------------------------------------------------------------------------- the tensor


class SparseTensor(Tensor):
    """A tensor that stores only some elements: their indices and their values.

    Behaviour: https://docs.pytorch.org/docs/stable/sparse.html#sparse-coo-tensors
    """

    __torch_function__ = disabled
    # Whether PyTorch may give it a dense gradient, also of elements that are not stored: it came of a dense tensor that requires
    # grad, or was asked for one itself. See `_sparse/dispatch.py`.
    _whole = False

    def __init__(self, indices: Tensor, values: Tensor, size: Sequence[int], coalesced: bool) -> None:  # fmt: skip
        self._pattern, self._entries = indices, values
        self._size, self._coalesced = Size(size), coalesced or indices.shape[1] < 2

    def __new__(cls, *parts: Any) -> "SparseTensor":
        """A tensor without memory of its own."""
        return object.__new__(cls)

    def __copy__(self) -> "SparseTensor":
        """A tensor of the same parts."""
        return self.with_values(self._entries)

    def __deepcopy__(self, memo: Any) -> "SparseTensor":
        """A copy."""
        return self.with_values(deepcopy(self._entries, memo))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Copy and pickle by its parts."""
        return _rebuilt, (
            type(self),
            self._pattern,
            self._entries,
            tuple(self._size),
            self._coalesced,
        )

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """`Tensor`: PyTorch has one class for dense and sparse tensors."""
        return Tensor

    @property
    def _storage(self) -> Any:  # type: ignore[override]
        raise NotImplementedError(
            "this op does not take sparse tensors (layout torch.sparse_coo). Make the tensor dense first: x.to_dense()"
        )

    # -- the graph: that of the values ----------------------------------------------------------------------------

    _node = property(lambda self: self._entries._current_node())
    _nr = property(lambda self: self._entries._edge()[1])

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows to the values."""
        return self._entries.requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self._entries.requires_grad = wanted
        self._whole = wanted

    def _current_node(self) -> Any:
        return self._entries._current_node()

    def _ask(self, wanted: bool) -> None:
        self._entries._ask(wanted)
        self._whole = wanted

    @property
    def grad(self) -> Any:
        """The gradient with respect to the stored elements; those of one index have one gradient."""
        found = self._entries.grad
        if found is None:
            return None
        if self._coalesced:
            return self.with_values(found)
        unique, first, _ = _sorted_pattern(self)
        return SparseTensor(unique, GATHERED(found, tensor(first[None])), self._size, True)

    @grad.setter
    def grad(self, grad: Any) -> None:
        self._entries.grad = None if grad is None else grad._entries

    def retain_grad(self) -> None:
        """Keep the gradient also if the tensor is no leaf."""
        self._entries.retain_grad()

    def with_values(self, values: Tensor) -> "SparseTensor":
        """Other values at the same indices."""
        return type(self)(self._pattern, values, self._size, self._coalesced)

    def become(self, other: "SparseTensor") -> "SparseTensor":
        """Take the elements of another sparse tensor, for an op in place.

        Raises:
            RuntimeError: a leaf that requires grad would be overwritten.
        """
        if self.requires_grad and self.is_leaf and local.recorder.grad_enabled:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
        self._pattern, self._entries = other._pattern, other._entries
        self._coalesced = other._coalesced
        return self

    def detach(self) -> "SparseTensor":
        """The same elements without history."""
        return self.with_values(self._entries.detach())

    data = property(detach)

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The lengths of its dimensions."""
        return self._size

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._size)

    @property
    def dtype(self) -> dtype:
        """The type of its values."""
        return self._entries.dtype

    @property
    def device(self) -> device:
        """The device of its values."""
        return self._entries.device

    @property
    def layout(self) -> layout:
        """`torch.sparse_coo`."""
        return sparse_coo

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """PyTorch's old name for its dtype; or the tensor with another dtype."""
        if dtype is not None:
            return self.with_values(self._entries.type(dtype))
        return self._entries.type().replace("torch.", "torch.sparse.")

    is_sparse = property(lambda self: True)
    is_cuda = property(lambda self: self._entries.is_cuda)

    def sparse_dim(self) -> int:
        """The number of dimensions that the indices choose from."""
        return self._pattern.shape[0]

    def dense_dim(self) -> int:
        """The number of dimensions of each value."""
        return self._entries.ndim - 1

    def _nnz(self) -> int:
        return self._pattern.shape[1]

    def is_coalesced(self) -> bool:
        """Whether the indices are sorted and each is there once."""
        return self._coalesced

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """False, as PyTorch says it."""
        return False

    def _indices(self) -> Any:
        return self._pattern

    def _values(self) -> Any:
        return self._entries

    def indices(self) -> Any:
        """The indices, one column an element.

        Raises:
            RuntimeError: the tensor is not coalesced.
        """
        self._check_coalesced("indices")
        return self._pattern

    def values(self) -> Any:
        """The values, one an element.

        Raises:
            RuntimeError: the tensor is not coalesced.
        """
        self._check_coalesced("values")
        return self._entries

    def _check_coalesced(self, name: str) -> None:
        if not self._coalesced:
            raise RuntimeError(
                f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first"
            )

    def __len__(self) -> int:
        """The length of the first dimension."""
        return self._size[0]

    def item(self) -> NoReturn:
        """Refuse: a sparse tensor is no number."""
        raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")

    def numpy(self, *, force: bool = False) -> NoReturn:
        """Refuse: NumPy has no sparse arrays."""
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    def __repr__(self) -> str:
        """PyTorch's printed form."""
        indent = len("tensor(")
        text = (
            f"tensor(indices={dense_text(self._pattern, indent + len('indices='))},\n"
            + " " * indent
        )
        text += f"values={dense_text(self._entries, indent + len('values='))}"
        node = self.grad_fn
        suffixes = [f"size={tuple(self._size)}", f"nnz={self._nnz()}"]
        if self.device.type != "cpu":
            suffixes.insert(0, f"device='{self.device}'")
        if self.dtype not in (get_default_dtype(), int64, bool_):
            suffixes.append(f"dtype={self.dtype}")
        suffixes.append("layout=torch.sparse_coo")
        if node is not None:
            suffixes.append(f"grad_fn=<{type(node).__name__}>")
        elif self.requires_grad:
            suffixes.append("requires_grad=True")
        return append_suffixes(text, suffixes, indent, new_line=True) + ")"

    __str__ = __repr__
    __format__ = object.__format__  # type: ignore[assignment]

    # -- to dense and back ----------------------------------------------------------------------------------------

    def to_dense(self, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
        """The dense tensor with the same elements; the values of one index are added."""
        dense = SCATTERED(self._entries, self._pattern, tuple(self._size))
        return dense if dtype is None else dense.to(dtype)

    def to_sparse(  # type: ignore[override]
        self, sparse_dim: int | None = None, *, layout: Any = None
    ) -> "SparseTensor":
        """The tensor itself."""
        return self

    def coalesce(self) -> "SparseTensor":
        """The same tensor with sorted indices, each once; the values of one index are added."""
        if self._coalesced:
            return self
        unique, _, places = _sorted_pattern(self)
        values = JOINED(self._entries, tensor(places), unique.shape[1])
        return SparseTensor(unique, values, self._size, True)


# As PyTorch prints and pickles the one class of tensors.
SparseTensor.__name__ = SparseTensor.__qualname__ = "Tensor"


def _rebuilt(kind: type[SparseTensor], *parts: Any) -> SparseTensor:
    return kind(*parts)


def dense_text(part: Tensor, indent: int) -> str:
    """The elements of a part, as the printed form of a sparse tensor shows them."""
    elements = part.numpy(force=True)
    if not elements.size:
        return f"tensor([], size={tuple(part.shape)})"
    return f"tensor({format_values(elements, part.dtype, indent + len('tensor('))})"


def _sorted_pattern(sparse: SparseTensor) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """The indices without repetition; where each is first; and the place of each stored element among them."""
    found, first, places = np.unique(
        sparse._pattern.numpy(), axis=1, return_index=True, return_inverse=True
    )
    return tensor(found), first, places.reshape(-1)


# ------------------------------------------------------------------------------------------- making one


def sparse_coo_tensor(
    indices: Any,
    values: Any = None,
    size: Sequence[int] | None = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """A sparse tensor of the given elements.

    Args:
        indices: integers, (sparse dimensions, elements). If no values are given: the size of a tensor of zeros.
        values: the elements; each may itself be an array, of the dense dimensions.
        size: the shape; the smallest that holds the indices if None.
        dtype, device: of the values; their own if None.
        layout, pin_memory, check_invariants: accepted; the indices are always checked.
        requires_grad: whether the tensor gathers a gradient.
        is_coalesced: says that the indices are sorted and each is there once.

    Raises:
        RuntimeError: indices and values have different counts, or an index is outside the size.

    >>> import funcgrad.torch as torch
    >>> x = torch.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
    >>> x.to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 0.]])
    >>> torch.sparse.mm(x, torch.ones(3, 1))
    tensor([[3.],
            [4.]])
    """
    if values is None:
        size = tuple(indices) if size is None else size
        made = tensor(np.zeros((len(size), 0), np.int64))
        kind = get_default_dtype() if dtype is None else dtype
        return _asked(SparseTensor(made, FUNCTIONS["zeros"](0, dtype=kind, device=device), size, True), requires_grad)  # fmt: skip
    indices = FUNCTIONS["as_tensor"](indices).detach().to(int64)
    given = isinstance(values, Tensor)
    values = FUNCTIONS["as_tensor"](values, dtype=dtype, device=device)
    if indices.ndim != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(indices.shape)}")
    count = values.shape[0] if values.ndim else None
    if count != indices.shape[1]:
        raise RuntimeError(
            f"indices and values must have same nnz, but got nnz from indices: {indices.shape[1]}, nnz from values: "
            f"{count}"
        )
    places = indices.numpy()
    if size is None:
        size = (*(places.max(1, initial=-1) + 1).tolist(), *values.shape[1:])
    _check_inside(places, size, values.shape[1:])
    graph = given and values.requires_grad and not requires_grad
    values = TAKEN(values) if graph else values.detach()
    return _asked(SparseTensor(indices, values, size, bool(is_coalesced)), requires_grad)


def _asked(made: SparseTensor, requires_grad: bool) -> SparseTensor:
    if requires_grad:
        made.requires_grad_()
    return made


def _check_inside(places: np.ndarray, size: Sequence[int], dense: Sequence[int]) -> None:
    if len(size) != len(places) + len(dense):
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, sparse_dim = {len(places)}, "
            f"dense_dim = {len(dense)}"
        )
    for dim, (found, length) in enumerate(zip(places, size, strict=False)):
        if found.min(initial=0) < 0:
            raise RuntimeError(f"found negative index {found.min()} for dim {dim}")
        if found.max(initial=-1) >= length:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {dim}, size is {length} but found index {found.max()}"
            )


def to_sparse(
    input: Tensor,
    sparse_dim: int | None = None,
    *,
    blocksize: Any = None,
    dense_dim: int | None = None,
) -> SparseTensor:
    """The elements that are not zero, as a sparse tensor.

    Args:
        input: a dense tensor.
        sparse_dim: how many dimensions the indices choose from, counted from the first; all if None.
        blocksize: refused: of other layouts.
        dense_dim: instead of `sparse_dim`, how many dimensions each value keeps.

    Raises:
        RuntimeError: a block size is given, or the tensor has not so many dimensions.
    """
    if blocksize is not None:
        raise RuntimeError(
            "dense_to_sparse: conversion from Strided to Sparse with blocksize argument given is not supported"
        )
    if sparse_dim is None and dense_dim is not None:
        sparse_dim = input.ndim - dense_dim
    if sparse_dim is not None and not (0 < sparse_dim <= input.ndim or sparse_dim == input.ndim):
        raise RuntimeError(
            f"dense_to_sparse: sparse_dim argument must be in [0,{input.ndim}] range, but {sparse_dim} is given"
        )
    chosen = input.ndim if sparse_dim is None else sparse_dim
    elements = input.detach().numpy() != 0
    found = np.stack(np.nonzero(elements.any(tuple(range(chosen, input.ndim)))))
    indices = tensor(found.astype(np.int64))
    made = SparseTensor(indices, GATHERED(input, indices), input.shape, True)
    made._whole = made.requires_grad
    return made
