"""The ops of sparse tensors. Each computes with the values; the indices are plain numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.torch._memory.formats import sparse_coo
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.creation import tensor
from funcgrad.torch._ops.joining import cat
from funcgrad.torch._ops.row import wrapped_dims
from funcgrad.torch._sparse.tensor import GATHERED, PRODUCT, SparseTensor, to_sparse
from funcgrad.torch._tensor.registry import METHODS
from funcgrad.torch._tensor.tensor import Tensor

_NO_DENSE = "add(sparse, dense) is not supported. Use add(dense, sparse) instead."


def is_sparse(thing: Any) -> bool:
    """Whether a thing is a sparse tensor."""
    return isinstance(thing, SparseTensor)


# ------------------------------------------------------------------------------------------- products


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices; sparse if both are.

    Raises:
        RuntimeError: the shapes do not fit.
    """
    if not is_sparse(input):
        return transpose(mm(mat2.t(), input.t()), 0, 1)
    for k, each in enumerate((input, mat2), 1):
        if each.ndim != 2:
            raise RuntimeError(f"mm: mat{k} must be a matrix, got {each.ndim}-D tensor")
    if input.shape[1] != mat2.shape[0]:
        raise RuntimeError(
            f"addmm: Argument #3 (dense): Expected dim 0 size {input.shape[1]}, got {mat2.shape[0]}"
        )
    if input.dtype is not mat2.dtype:
        names = [each.dtype.scalar_type for each in (input, mat2)]
        raise RuntimeError(
            f"expected mat1 and mat2 to have the same dtype, but got: {names[0]} != {names[1]}"
        )
    dense = mat2.to_dense() if is_sparse(mat2) else mat2
    found = PRODUCT(input._values(), dense, input._indices(), input.shape[0])
    return to_sparse(found) if is_sparse(mat2) else found


def mv(input: Any, vec: Any) -> Tensor:
    """The product of a sparse matrix and a vector."""
    if vec.ndim == 1 and input.shape[-1] != vec.shape[0]:
        raise RuntimeError("mv: expected self.size(-1) == vec.size(-1)")
    return mm(input, vec.unsqueeze(1)).squeeze(1)


def matmul(input: Any, other: Any) -> Tensor:
    """`mm`, or `mv` if the second operand is a vector."""
    return mv(input, other) if other.ndim == 1 else mm(input, other)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (mat1 @ mat2)` with a sparse `mat1`."""
    return beta * input + alpha * mm(mat1, mat2)


# ------------------------------------------------------------------------------------------- sums


def sum_(input: SparseTensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:  # fmt: skip
    """The sum over dimensions; a dense tensor if no sparse dimension is left, else a sparse one.

    Raises:
        NotImplementedError: `keepdim` is asked for.
    """
    if keepdim:
        raise NotImplementedError("sum(keepdim=True) of a sparse tensor")
    if input.layout is not sparse_coo:
        raise NotImplementedError("torch.sparse.sum of compressed indices. Use x.to_sparse_coo()")
    if dtype is not None:
        input = convert(input, dtype)
    dims = wrapped_dims(dim, input.ndim) or tuple(range(input.ndim))
    depth = input.sparse_dim()
    values = input._values()
    inner = tuple(d - depth + 1 for d in dims if d >= depth)
    if inner:
        values = values.sum(inner)
    kept = [d for d in range(depth) if d not in dims]
    if not kept:
        return values.sum(0)
    size = [length for d, length in enumerate(input.shape) if d not in dims]
    return SparseTensor(input._indices()[kept], values, size, False).coalesce()


def softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """The softmax along a sparse dimension of the stored elements; elements that are not stored count as minus infinity."""
    values, groups, count, made = _grouped(input, dim, dtype)
    powers = (values - _highest(values, groups, count)).exp()
    totals = values.new_zeros(count).index_add(0, groups, powers)
    return made.with_values(powers / totals[groups])


def log_softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """The logarithm of `softmax`."""
    values, groups, count, made = _grouped(input, dim, dtype)
    shifted = values - _highest(values, groups, count)
    totals = values.new_zeros(count).index_add(0, groups, shifted.exp())
    return made.with_values(shifted - totals.log()[groups])


def _grouped(input: SparseTensor, dim: int, dtype: Any) -> tuple[Any, Tensor, int, SparseTensor]:
    """The values, the group of each along a dimension, the number of groups, and the coalesced tensor."""
    made = (input if dtype is None else convert(input, dtype)).coalesce()
    if made.dense_dim():
        raise NotImplementedError("softmax of a sparse tensor with dense dimensions")
    rest = np.delete(made._indices().numpy(), wrap_dim(dim, made.ndim), axis=0)
    unique, groups = np.unique(rest, axis=1, return_inverse=True)
    return made._values(), tensor(groups.reshape(-1)), unique.shape[1], made


def _highest(values: Any, groups: Tensor, count: int) -> Any:
    fixed = values.detach()
    return fixed.new_zeros(count).scatter_reduce(0, groups, fixed, "amax", include_self=False)[groups]  # fmt: skip


# ------------------------------------------------------------------------------------------- elementwise


def mul(input: Any, other: Any) -> SparseTensor:
    """The product with a number, a dense tensor or a sparse one; sparse."""
    if not is_sparse(input):
        input, other = other, input
    if is_sparse(other):
        a, b = input.coalesce(), other.coalesce()
        _check_same_size(a, b)
        _, *places = np.intersect1d(_flat(a), _flat(b), return_indices=True)
        first, second = map(tensor, places)
        return SparseTensor(a._indices()[:, first], a._values()[first] * b._values()[second], a.shape, True)  # fmt: skip
    if isinstance(other, Tensor) and other.ndim:
        other = GATHERED(METHODS["expand"](other, input.shape), input._indices())
    return input.with_values(input._values() * other)


def div(input: SparseTensor, other: Any, *, rounding_mode: Any = None) -> SparseTensor:
    """The quotient by a number.

    Raises:
        RuntimeError: the divisor is a tensor with dimensions.
    """
    if isinstance(other, Tensor) and (is_sparse(other) or other.ndim):
        raise RuntimeError(
            "Sparse division requires a scalar or zero-dim dense tensor divisor"
            f" (got shape {list(other.shape)} for divisor)"
        )
    return input.with_values(METHODS["div"](input._values(), other, rounding_mode=rounding_mode))


def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """The sum of two sparse tensors, sparse; or of a dense and a sparse one, dense.

    Raises:
        RuntimeError: the dense one comes second, or the sizes differ.
    """
    if not is_sparse(other):
        raise RuntimeError(_NO_DENSE)
    if not is_sparse(input):
        return input + alpha * other.to_dense()
    _check_same_size(input, other)
    if np.array_equal(input._indices().numpy(), other._indices().numpy()):
        values = METHODS["add"](input._values(), other._values(), alpha=alpha)
        both = input.is_coalesced() and other.is_coalesced()
        return SparseTensor(input._indices(), values, input.shape, both)
    indices = cat([input._indices(), other._indices()], 1)
    values = cat([input._values(), alpha * other._values()])
    made = SparseTensor(indices, values, input.shape, False)
    return made.coalesce() if input.is_coalesced() and other.is_coalesced() else made


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """The difference; see `add`."""
    return add(input, other, alpha=-alpha)


def _check_same_size(a: SparseTensor, b: SparseTensor) -> None:
    if a.shape != b.shape:
        raise RuntimeError(
            f"The size of tensors must match: {list(a.shape)} and {list(b.shape)}. Sparse tensors do not broadcast"
        )


def _flat(sparse: SparseTensor) -> np.ndarray:
    """The place of each stored element among all, in row-major order."""
    depth = sparse.sparse_dim()
    return np.ravel_multi_index(tuple(sparse._indices().numpy()), sparse.shape[:depth])


def pow_(input: SparseTensor, exponent: Any) -> SparseTensor:
    """The power of each stored element.

    Raises:
        RuntimeError: the exponent is not positive, so that zeros would not stay zeros.
    """
    if isinstance(exponent, Tensor) or exponent <= 0:
        raise RuntimeError("pow of a sparse tensor takes a positive number")
    made = input.coalesce()
    return made.with_values(made._values() ** exponent)


def neg(input: SparseTensor) -> SparseTensor:
    """The negative."""
    return input.with_values(-input._values())


def norm(input: SparseTensor, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Tensor:
    """The norm of all elements."""
    if dim is not None or keepdim:
        raise NotImplementedError("norm(dim=...) of a sparse tensor")
    return METHODS["norm"](input.coalesce()._values(), p)


def _of_values(name: str) -> Callable[..., Any]:
    """An op that leaves zeros zero, so that it needs only the values."""

    def apply(input: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        made = input.coalesce()
        return made.with_values(METHODS[name](made._values(), *args, **kwargs))

    return apply


# ------------------------------------------------------------------------------------------- shapes and dtypes


def permute(input: SparseTensor, *dims: Any) -> SparseTensor:
    """The dimensions in another order. Sparse dimensions stay before dense ones."""
    order = wrapped_dims(dims[0] if len(dims) == 1 else dims, input.ndim)
    depth = input.sparse_dim()
    if order is None or sorted(order) != list(range(input.ndim)):
        raise RuntimeError("permute(sparse_coo): each dimension must be named once")
    if sorted(order[:depth]) != list(range(depth)):
        raise RuntimeError("permute(sparse_coo): sparse and dense dimensions cannot be exchanged")
    values = input._values()
    if depth < input.ndim:
        values = values.permute(0, *[d - depth + 1 for d in order[depth:]])
    size = [input.shape[d] for d in order]
    same = order == tuple(range(input.ndim)) and input.is_coalesced()
    return SparseTensor(input._indices()[list(order[:depth])], values, size, same)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    if not is_sparse(input):
        return METHODS["transpose"](input, dim0, dim1)
    order = list(range(input.ndim))
    a, b = wrap_dim(dim0, input.ndim), wrap_dim(dim1, input.ndim)
    order[a], order[b] = b, a
    return permute(input, order)


def t(input: SparseTensor) -> SparseTensor:
    """The transpose of a matrix."""
    return transpose(input, 0, 1) if input.ndim == 2 else input


def unsqueeze(input: SparseTensor, dim: int) -> SparseTensor:
    """A new dimension of length 1."""
    place = wrap_dim(dim, input.ndim + 1)
    if place > input.sparse_dim():
        raise NotImplementedError("unsqueeze among the dense dimensions of a sparse tensor")
    found = np.insert(input._indices().numpy(), place, 0, axis=0)
    size = (*input.shape[:place], 1, *input.shape[place:])
    return SparseTensor(tensor(found), input._values(), size, input.is_coalesced())


def index_select(input: SparseTensor, dim: int, index: Tensor) -> SparseTensor:
    """The slices at some places of a dimension."""
    place = wrap_dim(dim, input.ndim)
    if place >= input.sparse_dim():
        raise NotImplementedError("index_select along a dense dimension of a sparse tensor")
    pattern, wanted = input._indices().numpy(), index.numpy()
    new, old = np.nonzero(wanted[:, None] == pattern[place][None, :])
    found = pattern[:, old].copy()
    found[place] = new
    size = [*input.shape]
    size[place] = len(wanted)
    return SparseTensor(tensor(found), input._values()[tensor(old)], size, False)


def select(input: SparseTensor, key: Any) -> Tensor:
    """One slice for each given index of the first dimensions: `x[0]`, `x[1, 2]`.

    Raises:
        NotImplementedError: the key holds something else than integers.
    """
    keys = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(each, int) for each in keys) or len(keys) > input.sparse_dim():
        raise NotImplementedError(
            "a sparse tensor takes integers for its first dimensions as indices; x.to_dense() takes others"
        )
    pattern = input._indices().numpy()
    fits = np.ones(pattern.shape[1], bool)
    for dim, each in enumerate(keys):
        length = input.shape[dim]
        if not -length <= each < length:
            raise IndexError(
                f"select(): index {each} out of range for tensor of size {list(input.shape)} at dimension {dim}"
            )
        fits &= pattern[dim] == each % length
    chosen, values = np.nonzero(fits)[0], input._values()
    if len(keys) == input.sparse_dim():
        return values[tensor(chosen)].sum(0)
    rest = tensor(pattern[len(keys) :, chosen])
    return SparseTensor(rest, values[tensor(chosen)], input.shape[len(keys) :], input.is_coalesced())  # fmt: skip


def convert(input: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
    """The tensor with values of another dtype or device; see `Tensor.to`."""
    return _converted(input, METHODS["to"](input._values(), *args, **kwargs))


def _converted(input: SparseTensor, values: Tensor) -> SparseTensor:
    return input if values is input._values() else input.with_values(values)


def _converting(name: str) -> Callable[..., Any]:
    def call(input: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        return _converted(input, METHODS[name](input._values(), *args, **kwargs))

    return call


def clone(input: SparseTensor, *, memory_format: Any = None) -> SparseTensor:
    """A copy."""
    return input.with_values(input._values().clone())


def zeros_like(input: SparseTensor, *, dtype: Any = None, **_: Any) -> SparseTensor:
    """A sparse tensor of the same size that stores nothing."""
    values = input._values()
    nothing = values.new_zeros(0, *values.shape[1:], dtype=dtype)
    return SparseTensor(input._indices()[:, :0], nothing, input.shape, True)


def joined_along(tensors: Sequence[SparseTensor], dim: int = 0) -> SparseTensor:
    """Sparse tensors, one after another along a sparse dimension."""
    if not all(map(is_sparse, tensors)):
        raise RuntimeError("cat of sparse and dense tensors")
    place, first = wrap_dim(dim, tensors[0].ndim), tensors[0]
    starts = np.cumsum([0, *[each.shape[place] for each in tensors]])
    found = []
    for start, each in zip(starts, tensors, strict=False):
        part = each._indices().numpy().copy()
        part[place] += start
        found.append(part)
    size = [*first.shape]
    size[place] = int(starts[-1])
    values = cat([each._values() for each in tensors])
    return SparseTensor(tensor(np.concatenate(found, 1)), values, size, False)


def stacked(tensors: Sequence[SparseTensor], dim: int = 0) -> SparseTensor:
    """Sparse tensors along a new dimension."""
    return joined_along([unsqueeze(each, dim) for each in tensors], dim)


def sparse_mask(input: Any, mask: SparseTensor) -> SparseTensor:
    """The elements of a tensor at the indices of a sparse one."""
    dense = input.to_dense() if is_sparse(input) else input
    return mask.with_values(GATHERED(dense, mask._indices()))


# Ops under which a zero stays a zero.
ZERO_STAYS = ("abs", "asin", "asinh", "atan", "atanh", "ceil", "erf", "erfinv", "expm1", "floor", "log1p", "nan_to_num", "relu", "round", "sgn", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc")  # fmt: skip
CONVERSIONS = ("bool", "bfloat16", "cpu", "cuda", "double", "float", "half", "int", "long", "short", "type_as")  # fmt: skip

# The ops as methods of a sparse tensor, and as functions of `torch`.
OPS: dict[str, Callable[..., Any]] = {
    "add": add,
    "clone": clone,
    "div": div,
    "divide": div,
    "index_select": index_select,
    "matmul": matmul,
    "mm": mm,
    "mul": mul,
    "multiply": mul,
    "mv": mv,
    "neg": neg,
    "norm": norm,
    "permute": permute,
    "pow": pow_,
    "sub": sub,
    "subtract": sub,
    "sum": sum_,
    "t": t,
    "transpose": transpose,
    "true_divide": div,
    "unsqueeze": unsqueeze,
    **{name: _of_values(name) for name in ZERO_STAYS},
}
FUNCTIONS_ONLY: dict[str, Callable[..., Any]] = {
    "addmm": addmm,
    "dsmm": mm,
    "spmm": mm,
    "zeros_like": zeros_like,
}


def _in_place(of: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        return self.become(of(self, *args, **kwargs))

    return call


METHODS_ONLY: dict[str, Any] = {
    **{f"{name}_": _in_place(OPS[name]) for name in ("add", "div", "mul", "sub")},
    "__iadd__": _in_place(add),
    "__imul__": _in_place(mul),
    "__isub__": _in_place(sub),
    "__itruediv__": _in_place(div),
    "zero_": _in_place(zeros_like),
    "T": property(t),
    "mT": property(t),
    "__add__": add,
    "__getitem__": select,
    "__matmul__": matmul,
    "__mul__": mul,
    "__neg__": neg,
    "__pow__": pow_,
    "__radd__": lambda self, other: add(other, self),
    "__rmatmul__": lambda self, other: mm(other, self),
    "__rmul__": mul,
    "__rsub__": lambda self, other: sub(other, self),
    "__sub__": sub,
    "__truediv__": div,
    "smm": mm,
    "sparse_mask": sparse_mask,
    "spmm": mm,
    "to": convert,
    **{name: _converting(name) for name in CONVERSIONS},
}
