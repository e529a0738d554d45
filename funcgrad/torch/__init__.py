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

import math as _math
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from funcgrad.teaching import install as _install
from funcgrad.torch import (
    _autograd,
    _compile,
    _ops,
    _sparse,
    _tensor,
    autograd,
    func,
    optim,
    return_types,
    serialization,
    utils,
)
from funcgrad.torch._memory.formats import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    jagged,
    memory_format,
    preserve_format,
    sparse_bsc,
    sparse_bsr,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)
from funcgrad.torch._memory.formats import layout as _layout
from funcgrad.torch._random.generator import Generator, default_generator
from funcgrad.torch._tensor.printing import set_printoptions
from funcgrad.torch._tensor.registry import FUNCTIONS as _FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.dtypes import FLOAT8 as _FLOAT8
from funcgrad.torch._types.dtypes import (
    bfloat16,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from funcgrad.torch._types.dtypes import bool_ as _bool
from funcgrad.torch._types.limits import finfo, iinfo
from funcgrad.torch._types.missing import tell_of_missing_modules as _tell_of_missing_modules
from funcgrad.torch._types.public_names import name_as_found as _name_as_found
from funcgrad.torch._types.size import Size
from funcgrad.torch._types.stand_ins import find_stand_ins as _find_stand_ins
from funcgrad.torch._types.stand_ins import stand_in as _stand_in
from funcgrad.torch.func import vmap
from funcgrad.torch.torch_version import __version__ as _VERSION

if _TYPE_CHECKING:
    from funcgrad.torch._functions import *  # noqa: F403

_HERE = __name__  # `funcgrad run` calls the module by the name that scripts know
# Loaded when they are first used, because a program that does not use them should not wait.
_LATER = (
    "accelerator",
    "amp",
    "backends",
    "compiler",
    "cpu",
    "cuda",
    "distributed",
    "distributions",
    "fft",
    "functional",
    "futures",
    "fx",
    "hub",
    "jit",
    "library",
    "linalg",
    "mps",
    "multiprocessing",
    "nested",
    "nn",
    "onnx",
    "ops",
    "overrides",
    "profiler",
    "random",
    "signal",
    "sparse",
    "special",
    "storage",
    "testing",
    "torch_version",
    "types",
    "version",
    "xpu",
    "_C",
    "_dynamo",
    "_tensor_str",
    "__config__",
)
# Names of these modules that `torch` has, too.
_ELSEWHERE = {
    **dict.fromkeys(("GradScaler", "autocast"), "amp"),
    **dict.fromkeys(("TypedStorage", "UntypedStorage"), "storage"),
    **dict.fromkeys(("DispatchKey", "DispatchKeySet"), "_C"),
    **dict.fromkeys(("Event", "Stream"), "cuda"),
    "Future": "futures",
    "ScriptModule": "jit",
    **dict.fromkeys(
        (
            "binary_cross_entropy_with_logits",
            "cosine_embedding_loss",
            "ctc_loss",
            "embedding",
            "hinge_embedding_loss",
            "kl_div",
            "margin_ranking_loss",
            "poisson_nll_loss",
            "triplet_margin_loss",
        ),
        "nn._of_torch",
    ),
}


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return _import_module(f"{_HERE}.{name}")
    if name == "torch":  # a name in PyTorch's own namespace, which some code finds itself by
        return _import_module(_HERE)
    if name in _ELSEWHERE:
        return getattr(_import_module(f"{_HERE}.{_ELSEWHERE[name]}"), name)
    if name.startswith("__"):
        raise AttributeError(f"module {_HERE!r} has no attribute {name!r}")
    return _stand_in(_HERE, name)


def __dir__() -> list[str]:
    return [*globals(), *_LATER, *_ELSEWHERE]


globals().update(_FUNCTIONS)
__version__ = _VERSION
e, inf, nan, newaxis, pi = _math.e, _math.inf, _math.nan, None, _math.pi
legacy_contiguous_format = contiguous_format
# Each of these libraries has its equal in XLA or NumPy.
has_lapack = has_mkl = has_openmp = has_spectral = True


class AcceleratorError(RuntimeError):
    """An error of a GPU or a TPU."""


class OutOfMemoryError(RuntimeError):
    """A device has not enough memory."""


globals().update(
    bool=_bool,
    cdouble=complex128,
    cfloat=complex64,
    layout=_layout,
    double=float64,
    float=float32,
    half=float16,
    int=int32,
    long=int64,
    short=int16,
    **{each.name: each for each in _FLOAT8},
)

for _place in (utils.hooks, autograd.function, autograd.graph, autograd, func):
    _name_as_found(_place.__name__, _place.__all__, vars(_place))
_name_as_found(__name__, [_name for _name in globals() if not _name.startswith("_")], globals())
_methods = [_name for _name in vars(Tensor) if _name.endswith("__") or not _name.startswith("_")]
_name_as_found(__name__, _methods, vars(Tensor), "Tensor.")
_install()
_find_stand_ins()
_tell_of_missing_modules()
