"""The result of a training run, and its warnings."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int, PyTree


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
