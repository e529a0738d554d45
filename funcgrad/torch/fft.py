"""`torch.fft`: discrete Fourier transforms, on `jax.numpy.fft`. One row an op."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops import casting
from funcgrad.torch._ops.creation import factory
from funcgrad.torch._ops.joining import roll
from funcgrad.torch._ops.out import EXACT
from funcgrad.torch._ops.row import Array, Row, arguments_of, named
from funcgrad.torch._tensor.kinds import Ints
from funcgrad.torch._tensor.kinds import refusal as _refusal
from funcgrad.torch._tensor.registry import check_arguments_of as _check_arguments_of
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import dtype, get_default_dtype
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

# The opposite direction's scaling gives the transforms of Hermitian signals.
_OPPOSITE = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


# ------------------------------------------------------------------------------------------- checks


def _check(name: str, input: Tensor, norm: Any) -> None:
    if norm not in _OPPOSITE:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if input.dtype.name in ("float16", "bfloat16") and casting.now.dtype is None:
        raise RuntimeError(f"Unsupported dtype {input.dtype.scalar_type}")
    if input.dtype.is_complex and name.startswith(("rfft", "ihfft")):
        what = "a real" if name in ("rfft", "ihfft") else "a real-valued"
        raise RuntimeError(f"{name} expects {what} input tensor, but got {input.dtype.scalar_type}")


def _check_length(n: int) -> None:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")


def _dims(input: Tensor, s: Any, dim: Any) -> tuple[int, ...]:
    """The dimensions of a transform over several."""
    if isinstance(s, int):
        s = (s,)
    if isinstance(dim, int):
        dim = (dim,)
    if s is not None and dim is not None and len(s) != len(dim):
        raise RuntimeError("When given, dim and shape arguments must have the same length")
    if s is not None and dim is None and len(s) > input.ndim:
        raise RuntimeError(
            f"Got shape with {len(s)} values but input tensor only has {input.ndim} dimensions."
        )
    if dim is None:
        dim = range(input.ndim) if s is None else range(input.ndim - len(s), input.ndim)
    found = tuple([wrap_dim(each, input.ndim) for each in dim])
    if len(set(found)) < len(found):
        raise RuntimeError("FFT dims must be unique")
    return found


# ------------------------------------------------------------------------------------------- along one dimension


def _exact(x: Any, wide: Any) -> Any:
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(wide)


def _along(
    name: str, nodes: tuple[str, str], transform: Callable[..., Any]
) -> Callable[..., Tensor]:
    """Declare a transform along one dimension; the nodes' names are those for real and for complex input."""

    def compute(input: Array, n: int | None, dim: int, norm: str | None, wide: Any) -> Any:
        return transform(_exact(input, wide), n, dim, norm)

    rows = [
        Row(f"fft_{name}.{kind}", node, compute, arguments_of(compute), out=EXACT)
        for kind, node in zip(("real", "complex"), nodes, strict=True)
    ]

    def function(
        input: Tensor,
        n: int | None = None,
        dim: int = -1,
        norm: str | None = None,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"fft_{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
            )
        _check(name, input, norm)
        if not input.ndim:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        dim = wrap_dim(dim, input.ndim)
        if n is not None:
            _check_length(n)
        elif name in ("irfft", "hfft"):
            _check_length(2 * (input.shape[dim] - 1))
        else:
            _check_length(input.shape[dim])
        row = rows[input.dtype.is_complex]
        return row(input, n, dim, norm, get_default_dtype().numpy_dtype, out=out)

    doc = f"The transform along a dimension, as `torch.fft.{name}`."
    return named(function, f"fft_{name}", doc)


_TO_COMPLEX, _TO_REAL = ("FftR2CBackward0", "FftC2CBackward0"), ("FftC2RBackward0",) * 2
fft = _along("fft", _TO_COMPLEX, jnp.fft.fft)
ifft = _along("ifft", _TO_COMPLEX, jnp.fft.ifft)
rfft = _along("rfft", _TO_COMPLEX, jnp.fft.rfft)
irfft = _along("irfft", _TO_REAL, lambda x, n, dim, norm: _inverse_real(x, n, dim, norm))
hfft = _along(
    "hfft", _TO_REAL, lambda x, n, dim, norm: _inverse_real(jnp.conj(x), n, dim, _OPPOSITE[norm])
)
ihfft = _along(
    "ihfft",
    ("ConjBackward0",) * 2,
    lambda x, n, dim, norm: jnp.conj(jnp.fft.rfft(x, n, dim, _OPPOSITE[norm])),
)


def _inverse_real(x: Any, n: int | None, dim: int, norm: str | None) -> Any:
    wide = x if jnp.iscomplexobj(x) else x.astype(jnp.result_type(x.dtype, jnp.complex64))
    return jnp.fft.irfft(wide, n, dim, norm)


# ------------------------------------------------------------------------------------------- along several


def _each(transform: Callable[..., Any], x: Any, s: Any, dims: Any, norm: Any) -> Any:
    """A transform along one dimension after another."""
    for n, dim in zip(s, dims, strict=True):
        x = transform(x, n, dim, norm)
    return x


def _complex(x: Any, s: Any, dims: Any, norm: Any, inverse: bool = False) -> Any:
    return _each(jnp.fft.ifft if inverse else jnp.fft.fft, x, s, dims, norm)


def _real(x: Any, s: Any, dims: Any, norm: Any) -> Any:
    x = jnp.fft.rfft(x, s[-1], dims[-1], norm)
    return _each(jnp.fft.fft, x, s[:-1], dims[:-1], norm)


def _from_half(x: Any, s: Any, dims: Any, norm: Any) -> Any:
    x = _each(jnp.fft.ifft, x, s[:-1], dims[:-1], norm)
    return _inverse_real(x, s[-1], dims[-1], norm)


_SEVERAL: dict[str, tuple[tuple[str, str], Callable[..., Any]]] = {
    "fft": (_TO_COMPLEX, _complex),
    "ifft": (_TO_COMPLEX, partial(_complex, inverse=True)),
    "rfft": (_TO_COMPLEX, _real),
    "irfft": (_TO_REAL, _from_half),
    "hfft": (_TO_REAL, lambda x, s, dims, norm: _from_half(jnp.conj(x), s, dims, _OPPOSITE[norm])),
    "ihfft": (
        ("ConjBackward0",) * 2,
        lambda x, s, dims, norm: jnp.conj(_real(x, s, dims, _OPPOSITE[norm])),
    ),
}


def _over(
    name: str, row: tuple[Row, Row], default: tuple[int, ...] | None
) -> Callable[..., Tensor]:
    half, title = name.startswith(("irfft", "hfft")), name

    def function(
        input: Tensor,
        s: Ints | None = None,
        dim: Ints | None = default,
        norm: str | None = None,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        if dim is None and default is not None:
            raise _refusal(f"fft_{name}", "dim", 0, "tuple of ints", dim)
        _check(title, input, norm)
        dims = _dims(input, s, dim)
        if not dims and name not in ("fftn", "ifftn"):
            raise RuntimeError(f"{title} must transform at least one axis")
        given = (
            [None] * len(dims)
            if s is None
            else [None if n == -1 else n for n in ([s] if isinstance(s, int) else s)]
        )
        for k, (n, at) in enumerate(zip(given, dims, strict=True)):
            last = half and k == len(dims) - 1
            _check_length(
                n if n is not None else 2 * (input.shape[at] - 1) if last else input.shape[at]
            )
        wide = get_default_dtype().numpy_dtype
        return row[input.dtype.is_complex](input, tuple(given), dims, norm, wide, out=out)

    doc = f"The transform along several dimensions, as `torch.fft.{name}`."
    return named(function, f"fft_{name}", doc)


def _several(name: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Declare a transform over two dimensions, and over any."""
    nodes, transform = _SEVERAL[name]

    def compute(input: Array, s: Any, dim: Any, norm: str | None, wide: Any) -> Any:
        x = _exact(input, wide)
        if not dim:
            return x.astype(jnp.result_type(x.dtype, jnp.complex64))
        return transform(x, s, dim, norm)

    rows = tuple(
        Row(f"fft_{name}n.{kind}", node, compute, arguments_of(compute), out=EXACT)
        for kind, node in zip(("real", "complex"), nodes, strict=True)
    )
    return _over(f"{name}2", rows, (-2, -1)), _over(f"{name}n", rows, None)  # type: ignore[arg-type]


fft2, fftn = _several("fft")
ifft2, ifftn = _several("ifft")
rfft2, rfftn = _several("rfft")
irfft2, irfftn = _several("irfft")
hfft2, hfftn = _several("hfft")
ihfft2, ihfftn = _several("ihfft")

# ------------------------------------------------------------------------------------------- frequencies, shifts


def _frequencies(name: str, values: Callable[[int, float], np.ndarray]) -> Callable[..., Tensor]:
    def make(n: int, d: float = 1.0, *, dtype: dtype | None = None) -> np.ndarray:
        return values(n, d).astype((dtype or get_default_dtype()).numpy_dtype)

    make.__name__ = make.__qualname__ = f"fft_{name}"
    make.__doc__ = f"The frequencies of a transform's {name}: of `n` samples, `d` apart."
    return factory(make)


fftfreq = _frequencies("fftfreq", np.fft.fftfreq)
rfftfreq = _frequencies("rfftfreq", np.fft.rfftfreq)


def _shift(name: str, half: Callable[[int], int]) -> Callable[..., Tensor]:
    def function(input: Tensor, dim: Ints | None = None) -> Tensor:
        dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
        found = [wrap_dim(each, input.ndim) for each in dims]
        return roll(input, [half(input.shape[each]) for each in found], found)

    return named(
        function,
        f"fft_{name}",
        "The elements, rolled so that frequency zero is in the middle, or back.",
    )


fftshift = _shift("fftshift", lambda n: n // 2)
ifftshift = _shift("ifftshift", lambda n: math.ceil(n / 2))

_check_arguments_of(__name__, __all__, globals())


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
