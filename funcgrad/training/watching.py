"""Reports, callbacks and validation look at a fit on its way, between pieces of the compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from funcgrad.training.loop import Loss
from funcgrad.training.progress import Progress, Report


class Reached(NamedTuple):
    """Where a fit is, for its callback.

    Attributes:
        step: how many steps were taken.
        params: the parameters reached; a copy, which stays valid.
        loss: the loss at them; with batches, that of the last one, before its step.
        validation_loss: the loss on the data for validation; NaN where there is none.
    """

    step: int
    params: PyTree
    loss: float
    validation_loss: float


class Watched(NamedTuple):
    """The arguments of `fit` by which a run over batches is looked at, and may stop; as for `fit`."""

    tolerance: float | None = None
    validation: tuple[PyTree, PyTree] | None = None
    patience: int | None = None
    callback: Callable[[Reached], object] | None = None
    every: int | None = None


class Watch:
    """Called with each state that is looked at; a true answer stops the fit.

    Attributes:
        losses: the validation losses so far, with the steps they belong to.
        best: the parameters of the least one, or None.
        best_loss: the training loss that belongs to them.
    """

    def __init__(
        self,
        report: Report | None,
        steps: int,
        callback: Callable[[Reached], object] | None = None,
        validate: Callable[[PyTree], Any] | None = None,
        patience: int | None = None,
    ) -> None:
        self.losses: list[tuple[int, float]] = []
        self.best: PyTree = None
        self.best_loss = float("nan")
        self._report, self._steps = report, steps
        self._callback, self._validate, self._patience = callback, validate, patience
        self._least = 0

    @property
    def wanted(self) -> bool:
        """Whether anything looks."""
        return any(each is not None for each in (self._report, self._callback, self._validate))

    def __call__(self, state: Any) -> bool:
        """Look at a state, its steps, value and params; return whether to stop."""
        step, loss, validation_loss = int(state.steps), float(state.value), float("nan")
        if self._validate is not None:
            validation_loss = float(self._validate(state.params))
            self.losses.append((step, validation_loss))
            least = self.losses[self._least][1]
            if self.best is None or validation_loss < least or np.isnan(least):
                self._least = len(self.losses) - 1
                self.best, self.best_loss = _copied(state.params), loss
        if self._report is not None:
            self._report(Progress(step, self._steps, loss))
        stop = False
        if self._callback is not None:
            stop = bool(self._callback(Reached(step, _copied(state.params), loss, validation_loss)))
        since = len(self.losses) - 1 - self._least
        return stop or (self._patience is not None and since >= self._patience)


def validating(loss: Loss, x: PyTree, y: PyTree) -> Callable[[PyTree], Any]:
    """Return the loss on data that is not trained on, as a compiled function of the params."""
    compiled = jax.jit(loss)
    return lambda params: compiled(params, x, y)


def _copied(params: PyTree) -> PyTree:
    """Return a copy, since the loop's own arrays are given away to its next piece."""
    return jax.tree.map(lambda leaf: leaf.copy(), params)
