"""The functions of the tables that take `out=` beside those that their tables say it of."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from funcgrad.engine import grad_mode
from funcgrad.torch._ops import along_a_dim, joining, powers, selecting, ternary
from funcgrad.torch._ops.out import store, with_out
from funcgrad.torch._tensor.tensor import Tensor

_ONE = """
addcdiv addcmul argmax argmin clamp clamp_max clamp_min clip cumprod cumsum diag gather index_add index_copy index_select
lerp log_softmax logcumsumexp masked_select nonzero norm pow roll scatter scatter_add softmax std take take_along_dim tril
triu var where
"""
_SEVERAL = "max min sort topk"


def _given(result: Tensor) -> Tensor:
    return result


def _with_outs(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with several results that takes a tuple of tensors as `out=`; one where it has a single result."""
    single = with_out(name, function)

    @wraps(function)
    def wrapper(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if not isinstance(out, (tuple, list)):
            return single(*args, out=out, **kwargs)
        with grad_mode(False):
            found = function(*args, **kwargs)
        if len(out) != len(found):
            raise TypeError(f"expected tuple of {len(found)} elements but got {len(out)}")
        stored = [
            store(name, each, args, partial(_given, result))
            for each, result in zip(out, found, strict=True)
        ]
        return type(found)(*stored)

    return wrapper


_tables: dict[str, Any] = {}
for _table in (joining, along_a_dim, powers, selecting, ternary):
    _tables |= _table.FUNCTIONS
FUNCTIONS: dict[str, Any] = {
    **{name: with_out(name, _tables[name]) for name in _ONE.split() if name in _tables},
    **{name: _with_outs(name, _tables[name]) for name in _SEVERAL.split()},
}
METHODS: dict[str, Any] = {}
