"""Short-time Fourier transforms: values and gradients are PyTorch's, and the way back gives the signal."""

import numpy as np
import pytest

from tests.both_sides import SIDES, ours

ROUND = np.random.RandomState(0)
SIGNAL, WINDOW = ROUND.randn(2, 60), ROUND.rand(8) + 0.1

CASES = {
    "hop and a longer transform": lambda t, x, w: t.stft(x, 16, 5, 8, w, return_complex=True),
    "one signal": lambda t, x, w: t.stft(x[0], 16, return_complex=True),
    "odd length": lambda t, x, w: t.stft(
        x, 15, 5, 8, w, normalized=True, pad_mode="constant", return_complex=True
    ),
    "all frequencies": lambda t, x, w: x.stft(16, center=False, onesided=False, return_complex=True),
    "a complex signal": lambda t, x, w: t.stft(x.to(t.complex128), 8, 3),
    "back": lambda t, x, w: t.istft(t.stft(x, 8, 2, None, w, return_complex=True), 8, 2, None, w),
    "back, cut": lambda t, x, w: t.istft(
        t.stft(x, 16, 4, 8, w, normalized=True, return_complex=True),
        16, 4, 8, w, normalized=True, length=50,
    ),
    "back, longer": lambda t, x, w: t.istft(
        t.stft(x, 8, 2, onesided=False, return_complex=True), 8, 2, onesided=False, length=63
    ),
    "back to complex": lambda t, x, w: t.istft(
        t.stft(x, 8, 2, onesided=False, return_complex=True), 8, 2, return_complex=True
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's advice on windows and lengths
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_pytorchs(name):
    found = []
    for torch in SIDES:
        x, w = (torch.tensor(each, requires_grad=True) for each in (SIGNAL, WINDOW))
        y = CASES[name](torch, x, w)
        parts = torch.view_as_real(y) if y.is_complex() else y
        (parts * parts).sum().backward()
        found.append(
            [parts.detach().numpy(), x.grad.numpy(), 0 if w.grad is None else w.grad.numpy()]
        )
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9)


REFUSED = {
    "no return_complex": lambda t, x, w: t.stft(x, 8),
    "too short": lambda t, x, w: t.stft(x, 100, return_complex=True, center=False),
    "window length": lambda t, x, w: t.stft(x, 8, window=t.ones(9), return_complex=True),
    "hop": lambda t, x, w: t.stft(x, 8, 0, return_complex=True),
    "dimensions": lambda t, x, w: t.stft(x[None], 8, return_complex=True),
    "integers": lambda t, x, w: t.stft(x.long(), 8, return_complex=True),
    "no spectrum": lambda t, x, w: t.istft(x, 8),
    "another length": lambda t, x, w: t.istft(t.stft(x, 8, return_complex=True), 10),
    "no window there": lambda t, x, w: t.istft(
        t.stft(x, 8, 8, window=0 * w, return_complex=True), 8, 8, window=0 * w
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_pytorch_refuses_is_refused(name):
    for torch in SIDES:
        with pytest.raises(RuntimeError):
            REFUSED[name](torch, torch.tensor(SIGNAL), torch.tensor(WINDOW))


def test_windows_aligned_to_the_window_are_refused():
    with pytest.raises(NotImplementedError, match="align_to_window"):
        ours.stft(ours.ones(9), 4, center=False, return_complex=True, align_to_window=True)
