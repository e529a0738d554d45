"""Short-time Fourier transforms: the spectrum of each of a signal's overlapping windows, and the way back."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops.padding import pad
from funcgrad.torch._ops.row import Array, op
from funcgrad.torch._tensor.registry import FUNCTIONS, published
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.warning import warn


def _places(count: int, hop: int, n_fft: int) -> np.ndarray:
    """Where each window's elements lie in the signal, (windows, n_fft)."""
    return hop * np.arange(count)[:, None] + np.arange(n_fft)


@op("stft.frames", "TransposeBackward0")
def _spectra(
    input: Array, window: Array, n_fft: int, hop: int, onesided: bool, normalized: bool
) -> Any:
    count = 1 + (input.shape[-1] - n_fft) // hop
    frames = input[..., _places(count, hop, n_fft)] * window
    transform = jnp.fft.rfft if onesided else jnp.fft.fft
    return jnp.swapaxes(transform(frames, norm="ortho" if normalized else None), -1, -2)


@op("istft.frames", "DivBackward0")
def _signal(
    input: Array, window: Array, n_fft: int, hop: int, onesided: bool, normalized: bool,
    return_complex: bool, begin: int, end: int,
) -> Any:  # fmt: skip
    spectra, norm = jnp.swapaxes(input, -1, -2), "ortho" if normalized else None
    if return_complex:
        frames = jnp.fft.ifft(spectra, norm=norm)
    else:
        spectra = spectra if onesided else spectra[..., : n_fft // 2 + 1]
        frames = jnp.fft.irfft(spectra, n_fft, norm=norm)
    places = _places(input.shape[-1], hop, n_fft)
    summed = jnp.zeros((*input.shape[:-2], places[-1, -1] + 1), frames.dtype)
    summed = summed.at[..., places].add(frames * window)
    weights = jnp.zeros(summed.shape[-1], window.dtype).at[places].add(window * window)
    cut = slice(begin, min(end, summed.shape[-1]))
    found = summed[..., cut] / weights[cut]
    return jnp.pad(found, [(0, 0)] * (found.ndim - 1) + [(0, end - begin - found.shape[-1])])


def _expects(function: str, fits: bool, words: str) -> None:
    if not fits:
        raise RuntimeError(f"{function}(): expected {words}")


def _window(function: str, input: Tensor, window: Tensor | None, win_length: int, n_fft: int) -> Any:  # fmt: skip
    """The window, or ones, with zeros on both sides up to `n_fft`."""
    _expects(function, 0 < win_length <= n_fft, f"0 < win_length <= {n_fft}, but got win_length={win_length}")  # fmt: skip
    real = input.real if input.dtype.is_complex else input
    if window is None:
        window = FUNCTIONS["ones"](win_length, dtype=real.dtype, device=input.device)
    _expects(
        function,
        window.ndim == 1 and len(window) == win_length,
        f"a 1D window tensor of size equal to win_length={win_length}, but got window with size {list(window.shape)}",
    )
    left = (n_fft - win_length) // 2
    return pad(window, (left, n_fft - win_length - left)) if win_length < n_fft else window


_OWN_WINDOW = "To suppress this warning and use a rectangular window, explicitly set `window=torch.ones(n_fft, device=<device>)`."


@published("stft")
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """The short-time Fourier transform of signals.

    Args:
        input: (samples,) or (batch, samples).
        n_fft: the length of each window.
        hop_length: the distance of windows; `n_fft // 4` if None.
        win_length: the length of `window`, which is put in the middle of `n_fft`; `n_fft` if None.
        window: the factors of a window's samples; ones if None.
        center: whether the signal is padded, so that window t is centred at sample `t * hop_length`.
        pad_mode: how it is padded, as in `nn.functional.pad`.
        normalized: whether the results are divided by the square root of `n_fft`.
        onesided: whether to leave out frequencies that the others determine; True if None and all is real.
        return_complex: must be given for real inputs; False returns real and imaginary parts in a last dimension.
        align_to_window: whether windows begin at sample 0 even if `win_length < n_fft`, without `center`; not available.

    Returns:
        (batch, frequencies, windows).

    Raises:
        RuntimeError: a length or the window does not fit.

    >>> import funcgrad.torch as torch
    >>> torch.stft(torch.ones(16), n_fft=4, window=torch.ones(4), return_complex=True).shape
    torch.Size([3, 17])
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    kind = input.dtype
    _expects("stft", kind.is_floating_point or kind.is_complex, f"a tensor of floating point or complex values, but got {kind}")  # fmt: skip
    _expects("stft", input.ndim in (1, 2), f"a 1D or 2D tensor, but got {input.ndim}D tensor")
    _expects("stft", hop > 0, f"hop_length > 0, but got hop_length={hop}")
    if align_to_window is not None:
        if center:
            raise RuntimeError("stft align_to_window should only be set when center = false.")
        raise NotImplementedError("stft(align_to_window=...)")
    if window is None:
        warn(
            "A window was not provided. A rectangular window will be applied,which is known to cause spectral leakage. "
            "Other windows such as torch.hann_window or torch.hamming_window are recommended to reduce spectral leakage."
            f"{_OWN_WINDOW}"
        )
    several = input.ndim == 2
    signal = input if several else input.unsqueeze(0)
    if center:
        signal = pad(signal, (n_fft // 2, n_fft // 2), pad_mode)
    _expects("stft", 0 < n_fft <= signal.shape[1], f"0 < n_fft <= {signal.shape[1]}, but got n_fft={n_fft}")  # fmt: skip
    factors = _window("stft", input, window, length, n_fft)
    is_complex = kind.is_complex or factors.dtype.is_complex
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will further require that "
                "return_complex=True in a future PyTorch release."
            )
        return_complex = True
    half = not is_complex if onesided is None else onesided
    _expects("stft", not (half and is_complex), "onesided=False for complex input or window: Cannot have onesided output if window or input is complex")  # fmt: skip
    found = _spectra(signal, factors, n_fft, hop, half, bool(normalized))
    found = found if several else found.squeeze(0)
    return found if return_complex else FUNCTIONS["view_as_real"](found)


@published("istft")
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """Signals from their short-time Fourier transforms: windows are added, and divided by the sum of squared windows.

    Args:
        input: complex, (frequencies, windows) or (batch, frequencies, windows), as `stft` returns it.
        n_fft, hop_length, win_length, window, center, normalized: as given to `stft`.
        onesided: whether frequencies were left out; found from the shape if None.
        length: the number of samples; as many as the windows hold if None.
        return_complex: whether the signal is complex.

    Raises:
        RuntimeError: a length or the window does not fit, or some samples lie under no window.

    >>> import funcgrad.torch as torch
    >>> x, window = torch.arange(16.0), torch.hann_window(4)
    >>> spectra = torch.stft(x, 4, window=window, return_complex=True)
    >>> torch.allclose(torch.istft(spectra, 4, window=window), x, atol=1e-5)
    True
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    inner = n_fft if win_length is None else win_length
    if not input.dtype.is_complex:
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    _expects("istft", bool(input.numel()), "a non-empty input")
    _expects(
        "istft", input.ndim in (2, 3), f"a tensor with 2 or 3 dimensions, but got {input.ndim}"
    )
    if window is None:
        warn(
            "A window was not provided. A rectangular window will be applied.Please provide the same window used by stft "
            f"to make the inversion lossless.{_OWN_WINDOW}"
        )
    _expects("istft", 0 < hop <= inner, f"0 < hop_length <= win_length, but got {hop} and {inner}")
    several = input.ndim == 3
    spectra = input if several else input.unsqueeze(0)
    half = spectra.shape[1] != n_fft if onesided is None else onesided
    rows = n_fft // 2 + 1 if half else n_fft
    _expects("istft", spectra.shape[1] == rows, f"the frequency dimension (3rd to the last) of the input tensor to match {'n_fft / 2 + 1' if half else 'n_fft'}, but got {spectra.shape[1]}")  # fmt: skip
    _expects("istft", not (half and return_complex), "onesided=False for complex output")
    factors = _window("istft", input, window, inner, n_fft)
    total = n_fft + hop * (spectra.shape[-1] - 1)
    begin = n_fft // 2 if center else 0
    end = begin + length if length is not None else total - begin if center else total
    _check_covered(factors, spectra.shape[-1], hop, n_fft, begin, min(end, total))
    found = _signal(spectra, factors, n_fft, hop, half, bool(normalized), return_complex, begin, end)  # fmt: skip
    return found if several else found.squeeze(0)


def _check_covered(window: Any, count: int, hop: int, n_fft: int, begin: int, end: int) -> None:
    """Check that each sample lies under a window."""
    elements = window.detach().abs().numpy()
    places = _places(count, hop, n_fft)
    weights = np.zeros(places[-1, -1] + 1)
    np.add.at(weights, places, np.broadcast_to(elements**2, places.shape))
    least = weights[begin:end].min(initial=np.inf)
    if least < 1e-11:
        raise RuntimeError(
            f"istft(): window overlap add min: {least}: some samples lie under no window"
        )
