"""The dtypes that PyTorch has no kernel of an op for, and what it says then; JAX would compute something for some."""

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.engine import Aval
from funcgrad.torch._types.dtypes import from_numpy_dtype

_Complaint = tuple[type[Exception], str]


def _kernel(name: str) -> _Complaint:
    return NotImplementedError, f"\"{name}\" not implemented for '{{}}'"


_COMPLEX_CLAMP = (NotImplementedError, "clamp is not supported for complex types")
_NO_MINUS = (
    RuntimeError,
    "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "
    "`logical_not()` operator instead.",
)
_NO_SIGN = (
    NotImplementedError,
    "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead.",
)

_COMPLEX: dict[str, _Complaint] = {
    **{name: _kernel(f"{name}_cpu") for name in ("lt", "le", "gt", "ge", "atan2")},
    **{
        name: (RuntimeError, f"{name} not implemented for complex tensors.")
        for name in ("maximum", "minimum")
    },
    **{
        name: (NotImplementedError, f"{name} is not supported for complex inputs")
        for name in ("floor", "ceil", "trunc")
    },
    **{
        name: (RuntimeError, f"{name}(): does not support complex input")
        for name in ("argmax", "argmin")
    },
    **{
        name: (RuntimeError, f" {name} does not support complex dtypes on CPU")
        for name in ("Sort", "topk")
    },
    **dict.fromkeys(("relu", "clamp", "clamp_min", "clamp_max"), _COMPLEX_CLAMP),
    "MaxBackward0": (RuntimeError, "max(): does not support complex input"),
    "MaxBackward1": _kernel("max_all"),
    "MinBackward0": (RuntimeError, "min(): does not support complex input"),
    "MinBackward1": _kernel("min_all"),
    "amax": _kernel("max_values_cpu"),
    "amin": _kernel("min_values_cpu"),
    "erf": _kernel("erf_vml_cpu"),
    "log_softmax": _kernel("log_softmax_lastdim_kernel_impl"),
    "round": _kernel("round_vml_cpu"),
    "sign": _NO_SIGN,
    "softmax": _kernel("softmax_lastdim_kernel_impl"),
}
_BOOL: dict[str, _Complaint] = {
    **{name: _kernel(f"{name}_vml_cpu") for name in ("floor", "ceil", "round", "trunc")},
    "DotBackward0": _kernel("dot"),
    "MmBackward0": _kernel("addmm_impl_cpu_"),
    "MvBackward0": _kernel("addmv_impl_cpu"),
    "UnsafeViewBackward0": _kernel("bmm"),
    "abs": _kernel("abs_cpu"),
    "addcmul": _kernel("addcmul_cpu_out"),
    "neg": _NO_MINUS,
    "pow": _kernel("pow"),
    "relu": (RuntimeError, "Boolean inputs not supported for relu"),
    "topk": (RuntimeError, "topk does not support bool dtypes on CPU"),
}


def check_dtypes(name: str, *avals: Aval) -> None:
    """Check that PyTorch has an op for these types.

    Args:
        name: of the op; of its graph node where several ops share a name.
        avals: of the operands.

    Raises:
        RuntimeError, NotImplementedError: it has not.
    """
    kinds = {aval.dtype.kind for aval in avals}
    table = _COMPLEX if "c" in kinds else _BOOL if kinds == {"b"} else {}
    found = table.get(name)
    if found is not None:
        computed = from_numpy_dtype(np.result_type(*[aval.dtype for aval in avals]))
        raise found[0](found[1].format(computed.scalar_type))


def refusing(name: str, check: Callable[..., None] | None = None) -> Callable[..., Any] | None:
    """A check of types that refuses what PyTorch has no op for, and then checks as `check` does."""
    if name not in _COMPLEX and name not in _BOOL:
        return check

    def function(*avals: Aval) -> None:
        check_dtypes(name, *avals)
        if check is not None:
            check(*avals)

    return function
