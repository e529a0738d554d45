"""The result of a training run, and its warnings."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from funcgrad.display import Line, chart, figure

_NUMBERS = ("loss", "gradient_norm", "steps", "converged", "diverged")
_POINTS = 500  # of a loss curve, at most about twice as many
_CURVES = 10


class DivergenceWarning(RuntimeWarning):
    """A fit stopped because its loss or its gradient was no longer finite."""


class ConvergenceWarning(RuntimeWarning):
    """A fit took all its steps, and the norm of its gradient is still above the tolerance."""


class FitResult(NamedTuple):
    """The result of `fit`, a pytree.

    Attributes:
        params: the trained parameters, a pytree like those given.
        loss: the loss at params, shape (); with mini-batches, on the batch that would come next.
        losses: the loss before each step taken, shape (steps,).
        gradient_norm: the Euclidean norm over all leaves of the gradient that belongs to `loss`, shape ().
        steps: the number of steps taken, shape ().
        converged: whether that norm came down to the tolerance, shape ().
        diverged: whether the next step would have led to a loss or gradient that is not finite, or the
            start already had; params are the last finite ones. Shape ().
        optimizer_state: the optimizer's state after the last step taken; `fit(..., optimizer_state=)` goes on from it.
        validation_losses: the steps after which validation data was looked at and the loss on it, shape
            (validations, 2); None without such data. `params` and `loss` then belong to the least of them.
    """

    params: PyTree
    loss: Float[Array, ""]
    losses: Float[Array, " steps"]
    gradient_norm: Float[Array, ""]
    steps: Int[Array, ""]
    converged: Bool[Array, ""]
    diverged: Bool[Array, ""]
    optimizer_state: PyTree
    validation_losses: Float[Array, "validations 2"] | None = None

    def __repr__(self) -> str:
        """The outcome, and the shapes of the parameters: not their numbers."""
        told = {name: _told(getattr(self, name)) for name in _NUMBERS}
        params = jax.tree.map(lambda leaf: _Shape(jax.typeof(leaf).str_short()), self.params)
        return f"FitResult({', '.join(f'{name}={value}' for name, value in told.items())}, params={params})"

    def _repr_html_(self) -> str:
        curves = np.asarray(self.losses, np.float64)
        curves = curves.reshape(-1, curves.shape[-1])[:_CURVES]  # several, of fits under `jax.vmap`
        every = max(1, curves.shape[-1] // _POINTS)
        shown = [Line("loss", curve[::every].tolist()) for curve in curves]
        finite = curves[np.isfinite(curves)]
        log = finite.size > 0 and finite.min() > 0 and finite.max() > 10 * finite.min()
        try:
            drawn = chart(shown, log=bool(log), across="step", last=curves.shape[-1])
        except ImportError as error:
            return figure("", f"{self!r} ({error})")
        return figure(drawn, repr(self))


class _Shape(str):
    """A shape that prints without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _told(value: Array) -> str:
    """A number; the type of an array of numbers, as of several fits under `jax.vmap`, and of a tracer."""
    if isinstance(value, jax.core.Tracer) or jnp.ndim(value):
        return jax.typeof(value).str_short()
    return f"{np.asarray(value).item():.6g}" if value.dtype.kind == "f" else str(value)
