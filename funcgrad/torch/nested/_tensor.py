"""The nested tensor: a list of tensors that differ in lengths. An op of it is the op of each part."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad.torch._memory.formats import jagged, layout
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.dtypes import dtype, get_default_dtype

_NO_SIZES = "Internal error: NestedTensorImpl doesn't support sizes. Please file an issue."
_lengths: dict[tuple[int, ...], int] = {}  # PyTorch numbers the lengths that differ
_numbers = itertools.count(1)

# Ops of each element, or along the last dimension, or of the dtype: the same op of each part.
_PLAIN = {
    "abs", "add", "bfloat16", "bool", "clamp", "clone", "contiguous", "cos", "cpu", "cuda", "detach", "div", "divide", "double", "elu", "eq", "erf", "exp", "float", "ge", "gelu", "gt",
    "half", "hardtanh", "int", "le", "leaky_relu", "linear", "log", "logical_not", "long", "lt", "masked_fill", "mul", "multiply", "ne", "neg", "pow", "reciprocal", "relu",
    "relu6", "rsqrt", "scaled_dot_product_attention", "sgn", "sigmoid", "silu", "sin", "sqrt", "square", "sub", "subtract", "tanh", "to", "true_divide", "type_as",
    "where", "embedding", "ones_like", "zeros_like", "full_like", "layer_norm", "rms_norm", "normalize", "softplus", "mish", "selu", "__add__", "__radd__",
    "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__neg__", "__pow__", "__rpow__", "__lt__", "__le__", "__gt__", "__ge__",
    "__abs__",
}  # fmt: skip
# These take a dimension, which counts the batch too.
_ALONG = {"softmax": 1, "log_softmax": 1, "sum": 1, "mean": 1, "amax": 1, "amin": 1, "cumsum": 1, "unsqueeze": 1, "squeeze": 1, "unflatten": 1, "chunk": 2, "argmax": 1}  # fmt: skip
# These draw random numbers for all elements at once, in their order.
_DRAWING = ("dropout", "alpha_dropout", "rand_like", "randn_like", "bernoulli")
_PRODUCTS = ("matmul", "bmm", "__matmul__", "__rmatmul__")


class NestedTensor(Tensor):
    """A batch of tensors that differ in lengths.

    Behaviour: https://docs.pytorch.org/docs/stable/nested.html
    """

    def __init__(self, parts: Sequence[Any], layout: layout) -> None:
        self._parts, self._layout = list(parts), layout
        if layout is jagged and len({tuple(each.shape[1:]) for each in parts}) > 1:
            raise RuntimeError(
                "torch.jagged: the parts may differ in their first dimension only. Leave out layout="
            )

    def __new__(cls, *parts: Any) -> "NestedTensor":
        """A tensor without memory of its own."""
        return object.__new__(cls)

    @property
    def _storage(self) -> Any:  # type: ignore[override]
        raise NotImplementedError(
            "this op does not take nested tensors. x.unbind() gives the parts, and torch.nested.to_padded_tensor one tensor"
        )

    def _made(self, parts: Sequence[Any]) -> "NestedTensor":
        return NestedTensor(parts, self._layout)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The op of each part."""
        return _answer(func, args, kwargs or {})

    # -- facts ----------------------------------------------------------------------------------------------------

    is_nested = property(lambda self: True)
    is_leaf = property(lambda self: all(each.is_leaf for each in self._parts))
    _node = property(lambda self: self._parts[0]._current_node() if self._parts else None)
    _nr = 0

    @property
    def dtype(self) -> dtype:
        """The type of the elements."""
        return self._parts[0].dtype if self._parts else get_default_dtype()

    @property
    def device(self) -> device:
        """The device of the elements."""
        return self._parts[0].device if self._parts else device("cpu")

    @property
    def layout(self) -> layout:
        """`torch.strided` or `torch.jagged`."""
        return self._layout

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows to it."""
        return any(each.requires_grad for each in self._parts)

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        for each in self._parts:
            each.requires_grad = wanted

    def requires_grad_(self, requires_grad: bool = True) -> "NestedTensor":
        """Ask for a gradient, or stop asking."""
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> Any:
        """The gradient, nested too; None before there is one."""
        found = [each.grad for each in self._parts]
        if all(each is None for each in found):
            return None
        zeros = FUNCTIONS["zeros_like"]
        pairs = zip(found, self._parts, strict=True)
        return self._made([zeros(part) if each is None else each for each, part in pairs])

    @grad.setter
    def grad(self, grad: Any) -> None:
        for k, each in enumerate(self._parts):
            each.grad = None if grad is None else grad._parts[k]

    @property
    def grad_fn(self) -> Any:
        """The node of the first part, if it is a result."""
        return self._parts[0].grad_fn if self._parts else None

    @property
    def ndim(self) -> int:
        """The number of dimensions, with the batch."""
        return 1 + (self._parts[0].ndim if self._parts else 0)

    def dim(self) -> int:
        """The number of dimensions, with the batch."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements of all parts."""
        return sum(each.numel() for each in self._parts)

    @property
    def shape(self) -> Any:
        """The lengths, of which one differs; refused for strided ones, as in PyTorch."""
        if self._layout is not jagged:
            raise RuntimeError(_NO_SIZES)
        lengths = tuple(each.shape[0] for each in self._parts)
        return (len(lengths), f"j{_number(lengths)}", *self._parts[0].shape[1:])

    def size(self, dim: int | None = None) -> Any:
        """The length of a dimension in which the parts do not differ.

        Raises:
            RuntimeError: they differ, or no dimension is given.
        """
        if dim is None:
            return self.shape
        place = wrap_dim(dim, self.ndim)
        if place == 0:
            return len(self._parts)
        found = {each.shape[place - 1] for each in self._parts}
        if len(found) > 1:
            if self._layout is jagged:
                return self.shape[place]
            raise RuntimeError(f"Given dimension {place} is irregular and does not have a size.")
        return found.pop()

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """True."""
        return True

    def __len__(self) -> int:
        """The number of parts, of a jagged one."""
        return self.shape[0]

    # -- parts ----------------------------------------------------------------------------------------------------

    def unbind(self, dim: int = 0) -> tuple[Any, ...]:
        """The parts."""
        if dim != 0:
            raise RuntimeError(f"unbind(): a nested tensor has parts along dimension 0, not {dim}")
        return tuple(self._parts)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts)

    def __getitem__(self, key: Any) -> Any:
        """A part, or an index of one: `x[0]`, `x[0, 1:]`."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        if not isinstance(first, int):
            raise NotImplementedError("a nested tensor takes a number as its first index")
        part = self._parts[first]
        return part[tuple(rest)] if rest else part

    def values(self) -> Any:
        """The elements of all parts, one after another."""
        joined = self._parts if self._layout is jagged else [p.reshape(-1) for p in self._parts]
        return FUNCTIONS["cat"](joined)

    def offsets(self) -> Any:
        """Where each part begins in `values()`, and the end."""
        lengths = [0, *[each.shape[0] for each in self._parts]]
        return FUNCTIONS["tensor"](np.cumsum(lengths))

    def to_padded_tensor(self, padding: float, output_size: Any = None) -> Any:
        """The parts as one tensor, filled up to one size; see `torch.nested.to_padded_tensor`."""
        return padded(self, padding, output_size)

    def item(self) -> NoReturn:
        """Refuse: it is no number."""
        raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")

    def numpy(self, *, force: bool = False) -> NoReturn:
        """Refuse: NumPy has no nested arrays."""
        raise RuntimeError(_NO_SIZES)

    tolist = numpy

    def backward(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: begin at a number."""
        raise RuntimeError("grad can be implicitly created only for scalar outputs")

    def __repr__(self) -> str:
        """PyTorch's printed form."""
        end = ""
        if self.requires_grad:
            end = ", requires_grad=True" if self.is_leaf else f", grad_fn=<{type(self.grad_fn).__name__}>"  # fmt: skip
        if self._layout is jagged:
            size = ", ".join(map(str, self.shape))
            return f"NestedTensor(size=({size}), offsets={self.offsets()!r}, contiguous=True{end})"
        parts = ",\n".join(
            "\n".join(
                f"  {line}" for line in repr(each if each.is_leaf else each.detach()).split("\n")
            )
            for each in self._parts
        )
        return f"nested_tensor([\n{parts}\n]{end})"

    __str__ = __repr__
    __format__ = object.__format__  # type: ignore[assignment]


NestedTensor.__name__ = NestedTensor.__qualname__ = "Tensor"


def _number(lengths: tuple[int, ...]) -> int:
    if lengths not in _lengths:
        _lengths[lengths] = next(_numbers)
    return _lengths[lengths]


def padded(input: Any, padding: float, output_size: Any = None) -> Any:
    """The parts of a nested tensor as one, filled up to one size.

    Raises:
        RuntimeError: `output_size` is too small, or the tensor is not nested.
    """
    if not isinstance(input, NestedTensor):
        raise RuntimeError("to_padded_tensor: the tensor is not nested")
    parts = input._parts
    size = [len(parts), *np.max([each.shape for each in parts], 0).tolist()]
    if output_size is not None:
        if len(output_size) != len(size) or any(n < m for n, m in zip(output_size, size, strict=True)):  # fmt: skip
            raise RuntimeError(
                "Value in output_size is less than NestedTensor padded size. Truncation is not supported."
            )
        size = list(output_size)
    filled = []
    for each in parts:
        pads = [n for length, own in zip(size[:0:-1], reversed(each.shape), strict=True) for n in (0, length - own)]  # fmt: skip
        filled.append(FUNCTIONS["constant_pad_nd"](each, pads, padding))
    rest = size[0] - len(parts)
    filled += [FUNCTIONS["full_like"](filled[0], padding)] * rest
    return FUNCTIONS["stack"](filled)


# ------------------------------------------------------------------------------------------- the ops


def _answer(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The result of a function with a nested tensor among its arguments.

    Raises:
        NotImplementedError: the function does not take nested tensors.
        RuntimeError: the operands are of different structure.
    """
    name = func.__name__
    nested = [each for each in (*args, *kwargs.values()) if isinstance(each, NestedTensor)]
    if name in ("cat", "concat"):
        given, dim = args[0], kwargs.get("dim", args[1] if len(args) > 1 else 0)
        if dim == 0 and all(isinstance(each, NestedTensor) for each in given):
            return given[0]._made([part for each in given for part in each._parts])
    if not nested:
        raise _refusal(name)
    first = nested[0]
    if any(len(each._parts) != len(first._parts) for each in nested):
        raise RuntimeError(f"{name}: the nested tensors have different numbers of parts")
    if name in _DRAWING:
        flat = func(FUNCTIONS["cat"]([each.reshape(-1) for each in first._parts]), *args[1:], **kwargs)  # fmt: skip
        pieces = flat.split([each.numel() for each in first._parts])
        return first._made([p.view(each.shape) for p, each in zip(pieces, first._parts, strict=True)])  # fmt: skip
    if name in _PRODUCTS:
        both = all(isinstance(each, NestedTensor) for each in args[:2])
        if not both and first._layout is not jagged:
            raise RuntimeError(
                "Expected both to be nested, but got a nested self and non-nested other"
            )
    elif name in ("transpose", "swapaxes"):
        dims = [wrap_dim(each, first.ndim) - 1 for each in args[1:3]]
        if -1 in dims:
            raise RuntimeError(f"{name}: the batch of a nested tensor stays first")
        args = (first, *dims)
    elif name in _ALONG:
        args, kwargs = _without_batch(name, first, args, kwargs)
    elif name not in _PLAIN:
        raise _refusal(name)
    elif name in _BINARY and not _fits(args):
        raise RuntimeError(
            "Expected both self and other to be nested, but got a nested self and non-nested other"
        )
    results = []
    for k in range(len(first._parts)):
        of = lambda each: each._parts[k] if isinstance(each, NestedTensor) else each  # noqa: E731, B023
        results.append(func(*map(of, args), **{key: of(value) for key, value in kwargs.items()}))
    return first._made(results)


_BINARY = ("add", "sub", "mul", "div", "__add__", "__sub__", "__mul__", "__truediv__", "__radd__", "__rsub__", "__rmul__", "__rtruediv__")  # fmt: skip


def _fits(args: Any) -> bool:
    """Whether the second operand is a number or nested."""
    return all(
        isinstance(each, NestedTensor) or not isinstance(each, Tensor) or not each.ndim
        for each in args[:2]
    )


def _refusal(name: str) -> NotImplementedError:
    return NotImplementedError(
        f"{name} of nested tensors: x.unbind() gives the parts, and torch.nested.to_padded_tensor one tensor"
    )


def _without_batch(name: str, first: NestedTensor, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments of an op of each part, whose dimensions do not count the batch.

    Raises:
        RuntimeError: no dimension is given, or the batch.
    """
    place = _ALONG[name]
    given = kwargs.get("dim", args[place] if len(args) > place else None)
    if given is None or not isinstance(given, int):
        raise NotImplementedError(f"{name} of nested tensors takes one dimension")
    extra = name == "unsqueeze"
    dim = wrap_dim(given, first.ndim + extra) - 1
    if dim < 0:
        raise RuntimeError(f"{name}: dimension 0 of a nested tensor is the batch")
    if name in ("sum", "mean", "amax", "amin", "argmax", "cumsum") and first._layout is not jagged:
        if dim != first.ndim - 2:
            raise RuntimeError(
                "NestedTensor can only be reduced across the last dimension for now got dimension "
                f"{dim + 1} instead."
            )
        if name == "sum" and not kwargs.get("keepdim", False):
            raise RuntimeError("NestedTensor always requires keepdim=True for now.")
    if "dim" in kwargs:
        return args, {**kwargs, "dim": dim}
    return (*args[:place], dim, *args[place + 1 :]), kwargs
