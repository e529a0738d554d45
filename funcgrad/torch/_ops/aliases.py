"""PyTorch's other names for ops, its functions that work in place, and small functions made of other ops."""

import inspect
from collections.abc import Callable
from typing import Any

from funcgrad.engine.values import META
from funcgrad.torch._ops.creation import tensor
from funcgrad.torch._ops.joining import vstack
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.row import named
from funcgrad.torch._tensor.registry import FUNCTIONS, METHODS, publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_tensor_attribute

# PyTorch's other name, and the name under which the op is declared. Functions, methods and methods in place share them.
ALIASES = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctanh": "atanh",
    "fix": "trunc",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "negative": "neg",
    "not_equal": "ne",
}
for _alias, _name in ALIASES.items():
    publish(FUNCTIONS[_name], _alias, method=False)
    publish(METHODS[_name], _alias, function=False)
    publish(METHODS[f"{_name}_"], f"{_alias}_", function=False)
publish(vstack, "row_stack", method=False)
for _alias in ("spmm", "dsmm"):  # of dense matrices: there are no sparse ones here
    publish(FUNCTIONS["mm"], _alias, method=False)

# The functions of `torch` that work in place; each is the method of its name.
IN_PLACE = [
    "abs",
    "acos",
    "acosh",
    "addmv",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "conj_physical",
    "cos",
    "cosh",
    "deg2rad",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "fill",
    "fix",
    "floor",
    "frac",
    "gcd",
    "i0",
    "index_put",
    "lcm",
    "ldexp",
    "log",
    "log10",
    "log1p",
    "log2",
    "logit",
    "nan_to_num",
    "neg",
    "negative",
    "rad2deg",
    "reciprocal",
    "relu",
    "resize_as",
    "round",
    "rsqrt",
    "sigmoid",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "xlogy",
    "zero",
    "clip",
]
for _name in IN_PLACE:
    publish(METHODS[f"{_name}_"], f"{_name}_", method=False)


def alias_copy(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """A copy, with memory of its own."""
    return input.clone() if out is None else out.resize_(input.shape).copy_(input)


publish(alias_copy, method=False)


def _copied(name: str) -> None:
    """Declare `name_copy`: a view op whose result has memory of its own."""
    view = FUNCTIONS.get(name) or METHODS[name]

    def function(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        made = view(*args, **kwargs)
        if isinstance(made, tuple):
            if out is None:
                return tuple([each.clone() for each in made])
            for each, of in zip(out, made, strict=True):
                each.copy_(of)
            return None
        if out is None:
            return made.clone()
        return store(f"{name}_copy", out, (), lambda: made, EXACT)

    function.__signature__ = inspect.signature(view)  # type: ignore[attr-defined]
    doc = f"As `torch.{name}`, with memory of its own."
    publish(named(function, f"{name}_copy", doc), method=False)


for _name in [
    "as_strided",
    "detach",
    "diagonal",
    "expand",
    "permute",
    "select",
    "split",
    "split_with_sizes",
    "squeeze",
    "t",
    "transpose",
    "unbind",
    "unfold",
    "unsqueeze",
    "view",
    "view_as_complex",
    "view_as_real",
]:
    _copied(_name)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return publish(function, function=False)


@_method
def cumsum_(self: Tensor, dim: int, *, dtype: Any = None) -> Any:
    """`cumsum`, stored in the tensor itself."""
    return METHODS["copy_"](self, FUNCTIONS["cumsum"](self, dim, dtype=dtype))


@_method
def cumprod_(self: Tensor, dim: int, *, dtype: Any = None) -> Any:
    """`cumprod`, stored in the tensor itself."""
    return METHODS["copy_"](self, FUNCTIONS["cumprod"](self, dim, dtype=dtype))


@_method
def tril_(self: Tensor, diagonal: int = 0) -> Any:
    """`tril`, stored in the tensor itself."""
    return METHODS["copy_"](self, FUNCTIONS["tril"](self, diagonal))


@_method
def triu_(self: Tensor, diagonal: int = 0) -> Any:
    """`triu`, stored in the tensor itself."""
    return METHODS["copy_"](self, FUNCTIONS["triu"](self, diagonal))


@_method
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Any:
    """Set the diagonal to a number; with `wrap`, tall matrices have it again below."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    strides = METHODS["stride"](self)
    height, width = self.shape[0], self.shape[1]
    size = min(self.shape)
    offset = METHODS["storage_offset"](self)
    METHODS["as_strided"](self, (size,), (sum(strides),), offset).fill_(fill_value)
    if wrap and self.ndim == 2 and height > width + 1:
        rest = (height - width - 1 + width) // (width + 1)
        start = offset + strides[0] * (width + 1)
        for k in range(rest):
            top = (width + 1) * (k + 1)
            count = min(width, height - top)
            METHODS["as_strided"](
                self, (count,), (sum(strides),), start + k * strides[0] * (width + 1)
            ).fill_(fill_value)
    return self


@_method
def sum_to_size(self: Tensor, *size: Any) -> Any:
    """The sum over the dimensions that a broadcast from this size would have added."""
    shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if not shape:
        return METHODS["sum"](self)
    lead = self.ndim - len(shape)
    fits = lead >= 0 and all(n in (1, m) for n, m in zip(shape, self.shape[lead:], strict=True))
    if not fits:
        raise RuntimeError(
            f"size {{{list(shape)}}} is not expandable to size {{{list(self.shape)}}}."
        )
    dims = [
        *range(lead),
        *[lead + k for k, n in enumerate(shape) if n == 1 != self.shape[lead + k]],
    ]
    made: Any = METHODS["sum"](self, dims, True) if dims else self
    return made.view(shape) if dims else made


@_method
def is_shared(self: Tensor) -> bool:
    """Whether other processes see the elements: never, since JAX's arrays do not change."""
    return False


@_method
def share_memory_(self: Tensor) -> Tensor:
    """The tensor itself. Another process gets a copy of its elements."""
    return self


@_method
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor in pinned memory.

    Raises:
        RuntimeError: always: JAX does not show pinned memory.
    """
    raise RuntimeError("Cannot access accelerator device when none is available.")


@_method
def get_device(self: Tensor) -> int:
    """The number of the tensor's device; -1 for the CPU."""
    where = self.device
    return -1 if where.type == "cpu" else where.index or 0


publish(get_device, method=False)


@_method
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Any:
    """Set each element to a Python function's result for it. Slow: use ops of tensors."""
    if self.requires_grad:
        raise TypeError(
            "Can't call apply_() on Variable that requires grad. Use var.detach().apply_() instead."
        )
    flat = [callable(each) for each in METHODS["flatten"](self).tolist()]
    made: Any = tensor(flat, dtype=self.dtype)
    return METHODS["copy_"](self, made.reshape(self.shape))


@_method
def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Any:
    """Set each element to a Python function's result for it and the element of another tensor."""
    return map2_(self, tensor, None, lambda a, b: callable(a, b))


def map2_(self: Tensor, x: Tensor, y: Tensor | None, callable: Callable[..., Any]) -> Any:
    """Set each element to a Python function's result for it and the elements of two other tensors."""
    others = [each for each in (x, y) if each is not None]
    if self.requires_grad or any(each.requires_grad for each in others):
        raise TypeError(
            "Can't call map_() on Variable that requires grad. Use var.detach().map_() instead."
        )
    flat = [
        METHODS["flatten"](METHODS["expand"](each, self.shape)).tolist() for each in (self, *others)
    ]
    made = [callable(*each) for each in zip(*flat, strict=True)]
    results: Any = tensor(made, dtype=self.dtype)
    return METHODS["copy_"](self, results.reshape(self.shape))


publish(map2_, function=False)

for _name, _holds in {
    "is_cpu": lambda self: self.device.type == "cpu",
    "is_cuda": lambda self: self.device.type == "cuda",
    "is_ipu": lambda self: False,
    "is_maia": lambda self: False,
    "is_meta": lambda self: self._storage.aval.device is META,
    "is_mkldnn": lambda self: False,
    "is_mps": lambda self: False,
    "is_mtia": lambda self: False,
    "is_nested": lambda self: False,
    "is_quantized": lambda self: False,
    "is_sparse": lambda self: False,
    "is_sparse_csr": lambda self: False,
    "is_vulkan": lambda self: False,
    "is_xla": lambda self: self.device.type == "xla",
    "is_xpu": lambda self: False,
    "itemsize": lambda self: self.dtype.itemsize,
    "nbytes": lambda self: self.numel() * self.dtype.itemsize,
}.items():
    publish(property(_holds), _name, function=False)


def is_conj(input: Tensor) -> bool:
    """Whether the tensor is a conjugated view: never, since `conj` computes."""
    return False


def is_neg(input: Tensor) -> bool:
    """Whether the tensor is a negated view: never."""
    return False


def resolve(input: Tensor) -> Tensor:
    """The tensor itself, whose conjugation and negation are computed already."""
    return input


def is_distributed(input: Tensor) -> bool:
    """Whether the tensor lies on several machines as one of PyTorch's distributed tensors: never."""
    return False


for _each in (is_conj, is_neg, is_distributed):
    publish(_each)
publish(resolve, "resolve_conj", "resolve_neg")


def conj(input: Tensor) -> Tensor:
    """The complex conjugates; a real tensor itself."""
    return FUNCTIONS["conj_physical"](input) if input.dtype.is_complex else input


publish(conj)


def narrow_copy(input: Tensor, dim: int, start: Any, length: int) -> Any:
    """As `narrow`, with memory of its own."""
    if dim >= input.ndim:
        raise RuntimeError(f"Expected dim < {input.ndim} to be true, but got dim {dim}.")
    return FUNCTIONS["narrow"](input, dim, start, length).clone()


publish(narrow_copy)
for _name in ("chunk", "split", "split_with_sizes"):
    _of = FUNCTIONS.get(_name) or METHODS[_name]
    publish(_of, f"unsafe_{_name}", method=False)
    publish(METHODS[_name], f"unsafe_{_name}", function=False)


def _attribute(self: Tensor, name: str) -> Any:
    """The error for an attribute that is not here."""
    if name.startswith("__"):
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'", name=name)
    raise no_tensor_attribute(type(self).__name__, name)


publish(_attribute, "__getattr__", function=False)
