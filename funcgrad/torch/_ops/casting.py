"""Which ops compute in another dtype while `torch.autocast` is on, as PyTorch's tables for the CPU have it.

Products compute in the chosen dtype, losses and decompositions in float32, all other ops in the dtype of their operands.
"""

import functools
import math
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Op
from funcgrad.engine.unrolled import record_one
from funcgrad.torch._tensor.registry import publish_all, published
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.dtypes import bfloat16, dtype, float16, float32, float64


class _Now(threading.local):
    """A thread's state.

    Attributes:
        dtype: the dtype of products while autocast is on, else None.
        chosen: the dtype that the next block has if it names none.
        cached: a setting that changes nothing.
    """

    def __init__(self) -> None:
        self.dtype: dtype | None = None
        self.chosen = bfloat16
        self.cached = True


now = _Now()

LOWER = frozenset(
    [
        "addbmm",
        "addmm",
        "baddbmm",
        "bmm",
        "convolution",
        "cov",
        "einsum",
        "inner",
        "linalg_vecdot",
        "matmul",
        "mm",
        "prelu",
        "rnn_relu",
        "rnn_relu_cell",
        "rnn_tanh",
        "rnn_tanh_cell",
        "sdpa",
        "tensordot",
    ]
)
FLOAT32 = frozenset(
    [
        "adaptive_avg_pool3d",
        "adaptive_max_pool3d",
        "avg_pool3d",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "cdist",
        "cholesky_inverse",
        "cholesky_solve",
        "cosine_embedding_loss",
        "cross_entropy",
        "ctc_loss",
        "fft_fft",
        "fft_fftn",
        "fft_hfft",
        "fft_hfftn",
        "fft_ifft",
        "fft_ifftn",
        "fft_ihfft",
        "fft_ihfftn",
        "fft_irfft",
        "fft_irfftn",
        "fft_rfft",
        "fft_rfftn",
        "geqrf",
        "grid_sampler_2d",
        "grid_sampler_3d",
        "hinge_embedding_loss",
        "huber_loss",
        "istft",
        "kl_div",
        "l1_loss",
        "linalg_cholesky_ex",
        "linalg_cond",
        "linalg_eig",
        "linalg_eigh",
        "linalg_eigvals",
        "linalg_eigvalsh",
        "linalg_householder_product",
        "linalg_inv_ex",
        "linalg_lstsq",
        "linalg_matrix_rank",
        "linalg_qr",
        "linalg_svdvals",
        "linalg_tensorsolve",
        "margin_ranking_loss",
        "max_pool3d_with_indices",
        "max_unpool2d",
        "max_unpool3d",
        "mse_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "nanquantile",
        "nll_loss",
        "poisson_nll_loss",
        "polar",
        "prod",
        "quantile",
        "reflection_pad1d",
        "reflection_pad2d",
        "replication_pad1d",
        "replication_pad2d",
        "replication_pad3d",
        "smooth_l1_loss",
        "soft_margin_loss",
        "stft",
        "trace",
        "triplet_margin_loss",
        "view_as_complex",
    ]
)


@lru_cache(maxsize=16)
def _to(wanted: np.dtype) -> Op:
    return Op("to", lambda x: jnp.astype(x, wanted), label="ToCopyBackward0")


def in_dtype(value: Any, wanted: dtype) -> Any:
    """A tensor of floating-point numbers in a dtype; anything else as it is, and float64, which autocast leaves alone."""
    if not isinstance(value, Tensor):
        return value
    given = value.dtype
    if given is wanted or given is float64 or not given.is_floating_point:
        return value
    return tensor_of(*record_one(_to(wanted.numpy_dtype), value))


def cast(title: str, values: Sequence[Any]) -> list[Any]:
    """The arguments of an op as autocast has them; a sequence of tensors among them too."""
    wanted = wanted_by(title, values)
    if wanted is None:
        return list(values)
    return [
        type(each)(in_dtype(part, wanted) for part in each)
        if type(each) in (list, tuple)
        else in_dtype(each, wanted)
        for each in values
    ]


def _sums_products(operands: Any, equation: str) -> bool:
    """Whether an `einsum` sums over an index that two operands have."""
    terms, result = equation.split("->")
    letters = [letter for term in terms.split(",") for letter in set(term)]
    return any(letters.count(letter) > 1 for letter in set(letters) - set(result))


def _rest(of: Tensor, dims: Any) -> int:
    """How many elements a tensor has in the dimensions that are not summed over."""
    summed = {dim % of.ndim for dim in dims}
    return math.prod(n for k, n in enumerate(of.shape) if k not in summed)


# Ops that compute in another dtype only where they are products of matrices.
_CONTRACTS: dict[str, Callable[..., bool]] = {
    "einsum": _sums_products,
    "inner": lambda input, other: min(input.ndim, other.ndim) > 1,
    "tensordot": lambda input, other, first, second: _rest(input, first) * _rest(other, second) > 1,
}


def wanted_by(title: str, values: Sequence[Any]) -> dtype | None:
    """The dtype that an op computes in while autocast is on; None for that of its operands."""
    if now.dtype is None or title in FLOAT32:
        return None if now.dtype is None else float32
    if title not in LOWER:
        return None
    if title in _CONTRACTS and not _CONTRACTS[title](*values):
        return None
    return now.dtype


def casts(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function made of several ops, whose arguments are converted first, as its name says."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if now.dtype is not None:
            title = function.__name__
            args, given = tuple(cast(title, args)), cast(title, list(kwargs.values()))
            kwargs = dict(zip(kwargs, given, strict=True))
        return function(*args, **kwargs)

    return call


# ------------------------------------------------------------------------------------------- torch's functions

_OTHERS = dict.fromkeys(("cuda", "ipu", "xpu", "mps"), float16)


@published(method=False)
def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether `torch.autocast` is on in this thread; only for the CPU it can be."""
    return device(device_type).type == "cpu" and now.dtype is not None


@published(method=False)
def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Turn `torch.autocast` on or off; for devices that are not here nothing changes."""
    if device(device_type).type == "cpu":
        now.dtype = now.chosen if enabled else None


@published(method=False)
def get_autocast_dtype(device_type: str) -> dtype:
    """The dtype of products while `torch.autocast` is on.

    Raises:
        RuntimeError: it does not know the type of device.
    """
    kind = device(device_type).type
    if kind == "meta":
        raise RuntimeError("unsupported scalarType")
    return now.chosen if kind == "cpu" else _OTHERS.get(kind, bfloat16)


@published(method=False)
def set_autocast_dtype(device_type: str, dtype: dtype) -> None:
    """Choose the dtype of products while `torch.autocast` is on."""
    if device(device_type).type == "cpu":
        now.chosen = dtype
        if now.dtype is not None:
            now.dtype = dtype


@published(method=False)
def is_autocast_cache_enabled() -> bool:
    """Whether `torch.autocast` keeps converted weights: the setting changes nothing here."""
    return now.cached


@published(method=False)
def set_autocast_cache_enabled(enabled: bool) -> None:
    """Keep the setting; it changes nothing here."""
    now.cached = enabled


@published(method=False)
def clear_autocast_cache() -> None:
    """Do nothing: no converted weights are kept."""


def _old_name(name: str, of: Any, kind: str) -> Any:
    """The function of a type of device, as it once was named."""
    new = name.replace(f"_{'gpu' if kind == 'cuda' else kind}", "")
    arguments = {"set": "dtype" if name.endswith("dtype") else "enabled"}.get(name[:3], "")
    words = ", ".join(filter(None, (f"'{kind}'", arguments)))

    def call(*args: Any) -> Any:
        warnings.warn(
            f"torch.{name}({arguments}) is deprecated. Please use torch.{new}({words}) instead.",
            DeprecationWarning,
            stacklevel=2,
        )
        return of(kind, *args)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{new}`, of {kind}."
    return call


for _kind in ("cpu", "cuda", "ipu", "xla"):
    _short = "gpu" if _kind == "cuda" else _kind
    _names = {
        f"get_autocast_{_short}_dtype": get_autocast_dtype,
        f"set_autocast_{_short}_dtype": set_autocast_dtype,
    }
    if _kind != "cuda":
        _names[f"is_autocast_{_kind}_enabled"] = is_autocast_enabled
        _names[f"set_autocast_{_kind}_enabled"] = set_autocast_enabled
    publish_all({name: _old_name(name, of, _kind) for name, of in _names.items()}, {})
