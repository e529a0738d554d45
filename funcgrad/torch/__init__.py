"""PyTorch's interface on JAX: `import funcgrad.torch as torch`. It needs no PyTorch.

>>> import funcgrad.torch as torch
>>> _ = torch.manual_seed(0)
>>> x, y_true = torch.rand(2, 2), torch.rand(2)
>>> w = torch.rand(2, requires_grad=True)
>>> loss = ((x @ w - y_true) ** 2).mean()
>>> loss.backward()
>>> w.grad
tensor([...])
"""

from typing import TYPE_CHECKING, Any

from funcgrad.torch import (
    autograd,
    compilation,
    complex_views,
    conversions,
    copying,
    creation,
    func,
    in_place_views,
    indexing,
    jax_functions,
    joining,
    memory_layout,
    optim,
    ordering,
    out_arguments,
    pointwise,
    powers,
    products,
    reductions,
    resizing,
    selecting,
    several_operands,
    splitting,
    storing,
    utils,
    views,
)
from funcgrad.torch.devices import device
from funcgrad.torch.dtypes import (
    Size,
    bfloat16,
    complex64,
    complex128,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from funcgrad.torch.dtypes import bool_ as _bool
from funcgrad.torch.func import vmap
from funcgrad.torch.printing import set_printoptions
from funcgrad.torch.random_stream import Generator
from funcgrad.torch.tensor import Tensor

if TYPE_CHECKING:
    # The tables' functions are put in this namespace below.
    def __getattr__(name: str) -> Any: ...


_TABLES = (
    autograd,
    compilation,
    pointwise,
    powers,
    reductions,
    products,
    conversions,
    copying,
    jax_functions,
    views,
    splitting,
    memory_layout,
    indexing,
    in_place_views,
    resizing,
    complex_views,
    selecting,
    joining,
    ordering,
    several_operands,
    storing,
    out_arguments,
    creation,
)

for _table in _TABLES:
    for _name, _method in _table.METHODS.items():
        setattr(Tensor, _name, _method)
    globals().update(_table.FUNCTIONS)
globals().update(
    bool=_bool,
    double=float64,
    float=float32,
    half=float16,
    int=int32,
    long=int64,
    short=int16,
)
