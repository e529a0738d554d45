"""Products of matrices beyond `@`: stacks of them, sums with them, contractions, and the distances that come of them."""

from collections.abc import Sequence
from functools import partial
from operator import index
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.along_a_dim import DistBackward0, counted
from funcgrad.torch._ops.conversions import clone
from funcgrad.torch._ops.joining import outer
from funcgrad.torch._ops.matmul import HALF, check_dot, check_mm, mm, rounded_once
from funcgrad.torch._ops.out import CASTS, EXACT, store
from funcgrad.torch._ops.pointwise import absolute, check_subtraction
from funcgrad.torch._ops.row import (
    PROMOTED,
    Array,
    Arrays,
    Factor,
    apart,
    no_kernel,
    op,
)
from funcgrad.torch._ops.views.views import diagonal, permute
from funcgrad.torch._tensor.operands import check_broadcast, check_factor, in_order, promoted
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import bool_, from_numpy_dtype
from funcgrad.torch._types.warning import warn

# PyTorch multiplies float32 in full precision unless told otherwise; accelerators by default do not.
_matmul = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
_einsum = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
_tensordot = partial(jnp.tensordot, precision=jax.lax.Precision.HIGHEST)


def _name(aval: Aval) -> str:
    return from_numpy_dtype(aval.dtype).scalar_type


# ------------------------------------------------------------------------------------------- stacks of matrices


def _check_bmm(a: Aval, b: Aval) -> None:
    for k, each in enumerate((a, b), start=1):
        if len(each.shape) != 3:
            raise RuntimeError(f"batch{k} must be a 3D tensor")
    wanted = [a.shape[0], a.shape[2]]
    if list(b.shape[:2]) != wanted:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: {wanted} but got: {list(b.shape[:2])}."
        )
    if a.dtype != b.dtype:
        raise RuntimeError(f"expected scalar type {_name(a)} but found {_name(b)}")


@op(
    "bmm",
    "BmmBackward0",
    saves="self mat2",
    check=_check_bmm,
    refuses=(no_kernel("b", "bmm"),),
    out=EXACT,
)
def bmm(input: Array, mat2: Array) -> Any:
    """The products of the matrices of two stacks, pair by pair.

    >>> import funcgrad.torch as torch
    >>> torch.bmm(torch.ones(5, 2, 3), torch.ones(5, 3, 4)).shape
    torch.Size([5, 2, 4])
    """
    return _matmul(input, mat2)


# ------------------------------------------------------------------------------------------- sums with products


def _check_expands(aval: Aval, shape: tuple[int, ...]) -> None:
    if len(aval.shape) > len(shape):
        raise RuntimeError(
            f"expand({_kind(aval)}, size={list(shape)}): the number of sizes provided ({len(shape)}) must be greater or "
            f"equal to the number of dimensions in the tensor ({len(aval.shape)})"
        )
    for back, (given, wanted) in enumerate(zip(aval.shape[::-1], shape[::-1], strict=False), 1):
        if given not in (1, wanted):
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size ({given}) at non-singleton "
                f"dimension {len(shape) - back}.  Target sizes: {list(shape)}.  Tensor sizes: {list(aval.shape)}"
            )


def _kind(aval: Aval) -> str:
    return f"torch.{_name(aval)}Tensor{{{list(aval.shape)}}}"


def _same_dtypes(name: str, *avals: Aval) -> None:
    """Check that operands have one dtype.

    Raises:
        RuntimeError: they differ.
    """
    if len({each.dtype for each in avals}) > 1:
        names = [_name(each) for each in avals]
        raise RuntimeError(
            f"{name}input tensors must have the same dtype, but got {', '.join(names[:-1])}, and {names[-1]}"
        )


def _check_addmm(input: Aval, mat1: Aval, mat2: Aval, *_: Aval) -> None:
    for k, each in enumerate((mat1, mat2), start=1):
        if len(each.shape) != 2:
            raise RuntimeError(f"mat{k} must be a matrix, got {len(each.shape)}-D tensor")
    for first, second, other in (("mat1", mat1, mat2), ("self", input, mat2)):
        if second.dtype != other.dtype:
            raise RuntimeError(
                f"{first} and mat2 must have the same dtype, but got {_name(second)} and {_name(other)}"
            )
    check_mm(mat1, mat2)
    _check_expands(input, (mat1.shape[0], mat2.shape[1]))


def _check_addmv(input: Aval, mat: Aval, vec: Aval, *_: Aval) -> None:
    if len(mat.shape) != 2 or len(vec.shape) != 1 or len(input.shape) > 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {len(input.shape)}, {len(mat.shape)}, {len(vec.shape)}"
        )
    rows, columns = mat.shape
    if columns != vec.shape[0] or (input.shape and input.shape[0] not in (1, rows)):
        size = input.shape[0] if input.shape else 1
        raise RuntimeError(
            f"size mismatch, got input ({size}), mat ({rows}x{columns}), vec ({vec.shape[0]})"
        )
    _same_dtypes("addmv ", input, mat, vec)


def _check_addr(input: Aval, vec1: Aval, vec2: Aval, *_: Aval) -> None:
    for k, each in enumerate((vec1, vec2), start=1):
        if len(each.shape) != 1:
            raise RuntimeError(f"addr: Expected 1-D argument vec{k}, but got {len(each.shape)}-D")
    _check_expands(input, (vec1.shape[0], vec2.shape[0]))


def _check_baddbmm(input: Aval, batch1: Aval, batch2: Aval, *_: Aval) -> None:
    if len({input.dtype, batch1.dtype, batch2.dtype}) > 1:
        raise RuntimeError(
            f"Input dtypes must be the same, got: input {_c(input)}, batch1: {_c(batch1)}, batch2: {_c(batch2)}"
        )
    _check_bmm(batch1, batch2)
    _check_expands(input, (batch1.shape[0], batch1.shape[1], batch2.shape[2]))


def _c(aval: Aval) -> str:
    from_ = {"Float": "float", "Double": "double", "Long": "long", "Int": "int"}
    return from_.get(_name(aval), _name(aval))


def _check_addbmm(input: Aval, batch1: Aval, batch2: Aval, *_: Aval) -> None:
    _check_bmm(batch1, batch2)
    _check_expands(input, (batch1.shape[1], batch2.shape[2]))


def _whole(*values: Any) -> list[Any]:
    """The arguments, with the factors of a sum of integers cut to integers, as PyTorch cuts them."""
    *tensors, beta, alpha = values
    if not (tensors[0].dtype.is_floating_point or tensors[0].dtype.is_complex):
        beta, alpha = int(beta.real), int(alpha.real)
    return [*tensors, beta, alpha]


def _check_factors(*values: Any) -> None:
    *tensors, beta, alpha = values
    for name, factor in (("beta", beta), ("alpha", alpha)):
        check_factor(name, factor, promoted(tuple(tensors)))


def _sum(input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """`beta * input + alpha * product`. As in PyTorch, `input` counts for nothing where `beta` is zero, not even NaN."""
    kept = jnp.where(beta == 0, 0, input)
    return beta * kept + alpha * product


class _Rounded:
    """Rounds numbers of float32 to half precision, in the places where PyTorch's kernels do. XLA would leave it out."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.info = dtype, jnp.finfo(dtype)

    def __call__(self, x: Any) -> Any:
        return jax.lax.reduce_precision(x, self.info.nexp, self.info.nmant)

    def back(self, x: Any) -> Any:
        """The numbers in half precision."""
        return x.astype(self.dtype)


def _widened(*of: Any) -> list[Any]:
    """Arrays of half precision in float32, and what rounds them."""
    return [*(each.astype("float32") for each in of), _Rounded(of[0].dtype)]


@rounded_once
def _added_product(input: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    return _sum(input, _matmul(a, b), beta, alpha)


@rounded_once
def _added_products(input: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    return _sum(input, _einsum("bij,bjk->ik", a, b), beta, alpha)


_added = partial(op, prepare=_whole, in_place=True, named_first=(1,), out=CASTS)
# As in PyTorch, the factors beside products of matrices are not rounded to half precision.
_added_matrices = partial(_added, exact_numbers=True)


@_added_matrices(
    "addmm", "AddmmBackward0", check=_check_addmm, refuses=(no_kernel("b", "addmm_impl_cpu_"),)
)
def addmm(input: Array, mat1: Array, mat2: Array, *, beta: Factor = 1, alpha: Factor = 1) -> Any:
    """`beta * input + alpha * (mat1 @ mat2)`, for matrices; `input` broadcasts."""
    return _added_product(input, mat1, mat2, beta, alpha)


@_added("addmv", "AddmvBackward0", check=_check_addmv, refuses=(no_kernel("b", "addmv_impl_cpu"),))
def addmv(input: Array, mat: Array, vec: Array, *, beta: Factor = 1, alpha: Factor = 1) -> Any:
    """`beta * input + alpha * (mat @ vec)`, for a matrix and a vector; `input` broadcasts."""
    if input.dtype in HALF:
        input, mat, vec, beta, alpha, rounded = _widened(input, mat, vec, beta, alpha)
        kept = rounded(beta * jnp.where(beta == 0, 0, input))
        return rounded.back(kept + alpha * _matmul(mat, vec))
    return _added_product(input, mat, vec, beta, alpha)


@_added("addr", "AddrBackward0", dtype=PROMOTED, check=_check_addr, prepare=_check_factors)
def addr(input: Array, vec1: Array, vec2: Array, *, beta: Factor = 1, alpha: Factor = 1) -> Any:
    """`beta * input + alpha * outer(vec1, vec2)`, for vectors; `input` broadcasts."""
    if input.dtype == bool:
        product = jnp.logical_and(vec1[:, None], vec2) & alpha
        return product | (input & beta)
    if input.dtype in HALF:
        input, vec1, vec2, beta, alpha, rounded = _widened(input, vec1, vec2, beta, alpha)
        outer = rounded(rounded(alpha * vec1)[:, None] * vec2)
        return rounded.back(rounded(beta * jnp.where(beta == 0, 0, input)) + outer)
    return _sum(input, vec1[:, None] * vec2, beta, alpha)


@_added_matrices(
    "baddbmm", "BaddbmmBackward0", check=_check_baddbmm, refuses=(no_kernel("b", "baddbmm"),)
)
def baddbmm(
    input: Array, batch1: Array, batch2: Array, *, beta: Factor = 1, alpha: Factor = 1
) -> Any:
    """`beta * input + alpha * bmm(batch1, batch2)`; `input` broadcasts."""
    return _added_product(input, batch1, batch2, beta, alpha)


@_added_matrices(
    "addbmm", "AddbmmBackward0", check=_check_addbmm, refuses=(no_kernel("b", "addmm_impl_cpu_"),)
)
def addbmm(
    input: Array, batch1: Array, batch2: Array, *, beta: Factor = 1, alpha: Factor = 1
) -> Any:
    """`beta * input` and `alpha` times the sum of the products of two stacks of matrices."""
    if input.dtype not in HALF or batch1.shape[0] == 0:
        return _added_products(input, batch1, batch2, beta, alpha)
    # In half precision PyTorch's sum is rounded after each product.
    start = jnp.broadcast_to(input, (batch1.shape[1], batch2.shape[2])), jnp.asarray(beta)
    (found, _), _ = jax.lax.scan(
        lambda so_far, pair: ((_added_product(so_far[0], *pair, so_far[1], alpha), jnp.ones_like(start[1])), None),
        start,
        (batch1, batch2),
    )  # fmt: skip
    return found


# ------------------------------------------------------------------------------------------- vectors


@op(
    "vdot",
    "VdotBackward0",
    saves="self other",
    check=check_dot,
    refuses=(no_kernel("b", "dot"),),
    out=EXACT,
)
def vdot(input: Array, other: Array) -> Any:
    """The sum of the products of two vectors' elements, the first vector's conjugated."""
    return _matmul(jnp.conj(input), other)


def _check_inner(a: Aval, b: Aval) -> None:
    if a.shape and b.shape and a.shape[-1] != b.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(a.shape)} and {list(b.shape)}"
        )
    if a.shape and b.shape and a.dtype != b.dtype:
        raise RuntimeError(
            f"expected both vectors to have same dtype, but found {_name(a)} and {_name(b)}"
        )


@op("inner", "ViewBackward0", dtype=PROMOTED, check=_check_inner, out=EXACT)
def inner(input: Array, other: Array) -> Any:
    """The sums of products along the last dimensions; with a 0-d operand, the product."""
    return jnp.inner(input, other, precision=jax.lax.Precision.HIGHEST)


publish(outer, "ger")


def _check_matrix(aval: Aval) -> None:
    if len(aval.shape) != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {len(aval.shape)}")


@op("trace", "TraceBackward0", check=_check_matrix, refuses=(no_kernel("b", "trace"),))
def trace(input: Array) -> Any:
    """The sum of a matrix's diagonal."""
    whole = input.dtype.kind in "iub"
    return jnp.trace(input, dtype=np.int64 if whole else input.dtype)


def _with_dimensions(input: Tensor, other: Tensor) -> list[Tensor]:
    """The operands with as many dimensions each, as PyTorch multiplies them: a 0-d one then decides the dtype as others do."""
    ndim = max(input.ndim, other.ndim)
    return [each[(None,) * (ndim - each.ndim)] for each in (input, other)]


@op("kron", "UnsafeViewBackward0", dtype=PROMOTED, prepare=_with_dimensions, out=CASTS)
def kron(input: Array, other: Array) -> Any:
    """The Kronecker product: each element of `input` times all of `other`."""
    if input.dtype == bool:
        return jnp.kron(input.astype(np.uint8), other.astype(np.uint8)).astype(bool)
    return jnp.kron(input, other)


# ------------------------------------------------------------------------------------------- contractions


def _check_tensordot(input: Tensor, other: Tensor, first: Any, second: Any) -> None:
    for a, b in zip(first, second, strict=True):
        m, n = input.shape[a], other.shape[b]
        if m != n and 1 not in (m, n):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {m} in dim {a} and second has size {n} in dim {b}"
            )
    if input.dtype is not other.dtype:
        raise RuntimeError("both inputs should have same dtype")


@op("tensordot.dims", "ViewBackward0", prepare=_check_tensordot)
def _contracted(input: Array, other: Array, first: tuple[int, ...], second: tuple[int, ...]) -> Any:
    for a, b in zip(first, second, strict=True):
        if input.shape[a] != other.shape[b]:  # a length of 1 stands for the other one
            input = input.sum(a, keepdims=True) if other.shape[b] == 1 else input
            other = other.sum(b, keepdims=True) if input.shape[a] == 1 else other
    return _tensordot(input, other, (first, second))


def tensordot(
    a: Tensor,
    b: Tensor,
    dims: Any = 2,
    out: Tensor | None = None,
    *,
    dims_self: Any = None,
    dims_other: Any = None,
) -> Tensor:
    """The sum of products over pairs of dimensions.

    Args:
        a, b: the tensors.
        dims: the last `dims` dimensions of `a` with the first of `b`; or the two sequences of dimensions.

    Raises:
        RuntimeError: the lengths of two dimensions differ, or there are too few dimensions.
    """
    if dims_self is not None or dims_other is not None:
        dims = dims_self, dims_other
    if out is not None:
        return store("tensordot", out, (a, b), lambda: tensordot(a, b, dims))
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, (tuple, list)):
        first, second = (
            tuple(each) if isinstance(each, (tuple, list)) else (index(each),) for each in dims
        )
    else:
        count = index(dims)
        if count < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={count}")
        if count > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={count}")
        first, second = tuple(range(-count, 0)), tuple(range(count))
    if len(first) != len(second):
        raise RuntimeError("both dimension lists should have same length")
    first = tuple([wrap_dim(each, a.ndim) for each in first])
    second = tuple([wrap_dim(each, b.ndim) for each in second])
    return _contracted(a, b, first, second)


publish(tensordot, method=False)


@op("einsum.equation", "ViewBackward0", dtype=PROMOTED)
def _contraction(operands: Arrays, equation: str) -> Any:
    # jax.numpy keeps lengths of 1 apart; PyTorch broadcasts them.
    terms, result = equation.split("->")
    longest: dict[str, int] = {}
    names = terms.split(",")
    for name, each in zip(names, operands, strict=True):
        for letter, n in zip(name, each.shape, strict=True):
            longest[letter] = n if longest.get(letter, 1) == 1 else longest[letter]
    stretched = [
        jnp.broadcast_to(each, [longest[letter] for letter in name])
        for name, each in zip(names, operands, strict=True)
    ]
    return _einsum(f"{','.join(names)}->{result}", *stretched)


_LETTERS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *"abcdefghijklmnopqrstuvwxyz"]
_HIDDEN = [chr(code) for code in range(0x100, 0x17F)]  # the dimensions behind an ellipsis


def _sublists(args: Sequence[Any]) -> tuple[str, list[Any]]:
    """`einsum`'s form with lists of integers as an equation."""

    def text(places: Any) -> str:
        return "".join("..." if each is Ellipsis else _LETTERS[index(each)] for each in places)

    count = len(args) // 2
    operands, names = list(args[: 2 * count : 2]), [text(each) for each in args[1 : 2 * count : 2]]
    result = f"->{text(args[-1])}" if len(args) % 2 else ""
    return ",".join(names) + result, operands


def einsum(*args: Any) -> Tensor:
    """The sum of products that an equation describes, such as `einsum("ij,jk->ik", a, b)`.

    Args:
        args: the equation and the operands, one after another or in a list; or each operand followed by the list of its
            dimensions' numbers, then the result's list.

    Raises:
        RuntimeError: the equation does not fit the operands.
        ValueError: there is no operand.
    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its subscripts list"
        )
    if isinstance(args[0], Tensor):
        equation, operands = _sublists(args)
    else:
        equation, *operands = _without_a_list(args)
    full = _spelled_out(equation, operands)
    _check_contracted(operands, full)
    names, result = full.split("->")
    if len(operands) == 1 and set(names) == set(result):
        return _rearranged(operands[0], names, result)
    made = _contraction(operands, full)
    return _ordered(made, operands, names.split(","), result) if len(operands) == 2 else made


def _ordered(made: Tensor, operands: list[Any], names: list[str], result: str) -> Tensor:
    """Lay out a contraction of two operands in memory as PyTorch's product of matrices: batches, rows, columns.

    Algorithm: `sumproduct_pair` in PyTorch's `aten/src/ATen/native/Linear.cpp`.
    """
    left, right = [
        {letter for letter, n in zip(name, each.shape, strict=True) if n != 1}
        for name, each in zip(names, operands, strict=True)
    ]
    if left & right <= set(result):
        return made  # nothing is summed: a product of elements
    places = range(len(result))
    batches = [k for k in places if result[k] in left & right]
    rows = [k for k in places if result[k] in left - right]
    columns = [k for k in places if k not in batches and k not in rows]
    if rows and columns and columns[-1] < rows[0]:
        rows, columns = columns, rows
    return in_order(made, [*batches, *rows, *columns])


def _rearranged(operand: Tensor, names: str, result: str) -> Tensor:
    """A view, as in PyTorch: of one operand, none of whose dimensions is summed."""
    found = list(names)
    for name in result:
        while found.count(name) > 1:
            first = found.index(name)
            second = found.index(name, first + 1)
            operand = diagonal(operand, 0, first, second)  # which comes last
            found = [*found[:first], *found[first + 1 : second], *found[second + 1 :], name]
    return permute(operand, [found.index(name) for name in result])


def _check_contracted(operands: list[Any], equation: str) -> None:
    """Check that operands share a dtype if they share a dimension that is summed; PyTorch multiplies matrices there.

    Raises:
        RuntimeError: they have several.
    """
    terms, result = equation.split("->")
    pairs = list(zip(terms.split(","), operands, strict=True))
    for letter in dict.fromkeys(terms.replace(",", "")):
        held = [each for name, each in pairs if letter in name and each.shape[name.index(letter)] != 1]  # fmt: skip
        other = next((each for each in held if each.dtype is not held[0].dtype), None)
        if letter not in result and other is not None:
            raise RuntimeError(
                f"expected scalar type {held[0].dtype.scalar_type} but found {other.dtype.scalar_type}"
            )


def _spelled_out(equation: str, operands: list[Any]) -> str:
    """The equation with a letter for each dimension, and with its result.

    Raises:
        RuntimeError: it does not fit the operands.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    names = left.split(",")
    if len(names) != len(operands):
        few = "fewer" if len(operands) < len(names) else "more"
        raise RuntimeError(f"einsum(): {few} operands were provided than specified in the equation")
    for letter in left.replace(",", "").replace("...", "") + right.replace("...", ""):
        if letter not in _LETTERS:
            where = letter if letter != "." else "."
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {equation.replace(' ', '').index(where)} in the equation string, "
                "subscripts must be in [a-zA-Z]"
            )
    most, full = 0, []
    lengths: dict[Any, Any] = {}
    for k, (name, each) in enumerate(zip(names, operands, strict=True)):
        given, rest = len(name.replace("...", "")), each.ndim - len(name.replace("...", ""))
        if rest < 0 or (rest and "..." not in name):
            but = " but no ellipsis was given" if rest > 0 else ""
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({given}) "
                + ("is more than" if rest < 0 else "does not match")
                + f" the number of dimensions ({each.ndim}) for operand {k}"
                + (but and f"{but}")
            )
        most = max(most, rest if "..." in name else 0)
        full.append(name.replace("...", "".join(_HIDDEN[len(_HIDDEN) - rest :])))
        for letter, n in zip(full[-1], each.shape, strict=True):
            before = lengths.setdefault(letter, n)
            if before != n and 1 not in (before, n):
                shown = letter if letter in _LETTERS else "..."
                raise RuntimeError(
                    f"einsum(): subscript {shown} has size {n} for operand {k} which does not broadcast with previously "
                    f"seen size {before}"
                )
            lengths[letter] = max(before, n) if 0 not in (before, n) else 0
    hidden = "".join(_HIDDEN[len(_HIDDEN) - most :])
    if arrow:
        for letter in right.replace("...", ""):
            if letter not in lengths:
                raise RuntimeError(
                    f"einsum(): output subscript {letter} does not appear in the equation for any input operand"
                )
            if right.count(letter) > 1:
                raise RuntimeError(
                    f"einsum(): output subscript {letter} appears more than once in the output"
                )
        return f"{','.join(full)}->{right.replace('...', hidden)}"
    once = [letter for letter in lengths if left.count(letter) == 1 and letter in _LETTERS]
    return f"{','.join(full)}->{hidden}{''.join(sorted(once))}"


def _without_a_list(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """`einsum`'s arguments with operands in a list one by one, as PyTorch shows them to classes that answer the call."""
    listed = len(args) == 2 and isinstance(args[1], (list, tuple))
    return (args[0], *args[1]) if listed else args


einsum.shown = _without_a_list  # type: ignore[attr-defined]
publish(einsum, method=False)


def chain_matmul(*matrices: Any, out: Tensor | None = None) -> Tensor:
    """The product of matrices, multiplied in the order that costs least."""
    given = (
        list(matrices[0])
        if len(matrices) == 1 and not isinstance(matrices[0], Tensor)
        else list(matrices)
    )
    if out is not None:
        return store("chain_matmul", out, given, lambda: chain_matmul(*given), EXACT)
    for each in given:
        if each.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {each.ndim}, expected 2 instead.")
    warn(
        "torch.chain_matmul is deprecated and will be removed in a future PyTorch release. Use torch.linalg.multi_dot instead, "
        "which accepts a list of two or more tensors rather than multiple parameters."
    )
    return clone(given[0]) if len(given) == 1 else chained(given)


def chained(matrices: list[Tensor]) -> Tensor:
    """The product of two matrices or more in the order with the fewest multiplications, found by dynamic programming."""
    n = len(matrices)
    sizes = [each.shape[0] for each in matrices] + [matrices[-1].shape[1]]
    cost = {(k, k): 0 for k in range(n)}
    cut: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for k in range(n - length):
            last = k + length
            costs = [
                (cost[k, j] + cost[j + 1, last] + sizes[k] * sizes[j + 1] * sizes[last + 1], j)
                for j in range(k, last)
            ]
            cost[k, last], cut[k, last] = min(costs)

    def product(k: int, last: int) -> Tensor:
        if k == last:
            return matrices[k]
        j = cut[k, last]
        return mm(product(k, j), product(j + 1, last))

    return product(0, n - 1)


publish(chain_matmul, method=False)

# ------------------------------------------------------------------------------------------- cross, distances


def _check_cross(input: Tensor, other: Tensor, dim: int) -> Any:
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    dim = wrap_dim(dim, input.ndim)
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[dim]} and {other.shape[dim]}"
        )
    if input.dtype is bool_:
        raise NotImplementedError("\"cross\" not implemented for 'Bool'")
    if input.dtype is not other.dtype:
        raise RuntimeError(
            f"expected scalar type {input.dtype.scalar_type} but found {other.dtype.scalar_type}"
        )
    return [input, other, dim]


@apart(
    "linalg_cross",
    "LinalgCrossBackward0",
    saves="self other",
    prepare=_check_cross,
    check=check_broadcast,
    out=CASTS,
)
def linalg_cross(input: Array, other: Array, *, dim: int = -1) -> Any:
    """The cross products of vectors of length 3 along a dimension."""
    shape = jnp.broadcast_shapes(input.shape, other.shape)
    input, other = jnp.broadcast_to(input, shape), jnp.broadcast_to(other, shape)
    return jnp.cross(input, other, axis=dim)


_NO_DIM = (
    "Using torch.cross without specifying the dim arg is deprecated.\nPlease either pass the dim explicitly or simply use "
    "torch.linalg.cross.\nThe default value of dim will change to agree with that of linalg.cross in a future release."
)


def cross(
    input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The cross products of vectors of length 3 along a dimension: the first of this length, if `dim` is None."""
    if dim is None:
        warn(_NO_DIM)
        shape = np.broadcast_shapes(tuple(input.shape), tuple(other.shape))
        dim = next((k for k, n in enumerate(shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return linalg_cross(input, other, dim=dim, out=out)


publish(cross)


def lengths(difference: Any, p: float, dim: Any = -1) -> Any:
    """The p-norms of differences. As in PyTorch, a difference of zero passes no gradient."""
    size = absolute(difference)
    if p == 0:
        return jnp.sum(size != 0, axis=dim).astype(size.dtype)
    if p == 1:
        return jnp.sum(size, axis=dim)
    if p == np.inf:
        return jnp.max(size, axis=dim, initial=0)
    if p == -np.inf:
        return jnp.min(size, axis=dim)
    zero = size == 0
    total = jnp.sum(jnp.where(zero, 0, jnp.where(zero, 1, size) ** p), axis=dim)
    return jnp.where(total == 0, 0, jnp.where(total == 0, 1, total) ** (1 / p))


def _check_cdist(x1: Tensor, x2: Tensor, p: float, compute_mode: Any) -> Any:
    for name, each in (("X1", x1), ("X2", x2)):
        if not each.dtype.is_floating_point:
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {name} got: {each.dtype.scalar_type}"
            )
        if each.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {each.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if x1.dtype is not x2.dtype:
        raise RuntimeError(
            f"expected scalar type {x1.dtype.scalar_type} but found {x2.dtype.scalar_type}"
        )
    modes = (
        "use_mm_for_euclid_dist_if_necessary",
        "use_mm_for_euclid_dist",
        "donot_use_mm_for_euclid_dist",
    )
    if compute_mode not in (None, *modes):
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    return [x1, x2, float(p), None]


@op("cdist", "CdistBackward0", method=False, saves="x1 x2 result", prepare=_check_cdist)
def cdist(
    x1: Array,
    x2: Array,
    p: float = 2.0,
    compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary",
) -> Any:
    """The distance of each row of one matrix from each row of another, in the p-norm."""
    return lengths(x1[..., :, None, :] - x2[..., None, :, :], p)


@op(
    "pdist",
    "PdistBackward0",
    method=False,
    saves="self result",
    prepare=lambda input, p: _check_pdist(input, p),
)
def pdist(input: Array, p: float = 2) -> Any:
    """The distances between the rows of a matrix, each pair once."""
    rows, columns = np.triu_indices(input.shape[0], 1)
    return lengths(input[rows] - input[columns], p)


def _check_pdist(input: Tensor, p: float) -> Any:
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not input.dtype.is_floating_point:
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    return [input, float(p)]


@op(
    "dist.order",
    "DistBackward0",
    dtype=PROMOTED,
    saves="self other result",
    check=check_subtraction,
    prepare=lambda input, other, p: [input, other, float(p)],
)
def _dist(input: Array, other: Array, p: float) -> Any:
    return lengths((input - other).reshape(-1), p)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference of two tensors."""
    if p == 0:
        return counted(DistBackward0, lambda a, b: _dist(a, b, p), input, other)
    return _dist(input, other, p)


publish(dist)
