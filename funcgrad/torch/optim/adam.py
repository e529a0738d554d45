"""`torch.optim.Adam`."""

from collections.abc import Iterable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.engine import Op
from funcgrad.engine.values import with_wide_types
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim.optimizer import Optimizer, _change, _zeros

__all__ = ["Adam"]


def __dir__() -> list[str]:
    return __all__


class Adam(Optimizer):
    """Adam (D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", 2014).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        if lr < 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if eps < 0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for position, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {position}: {beta}")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def _update(self, parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        first, second = group["betas"]
        if not state:
            state.update(step=0, exp_avg=_zeros(parameter), exp_avg_sq=_zeros(parameter))
        corrections = _corrections
        if isinstance(group["lr"], jax.Array):  # inside `funcgrad.pure`
            corrections = partial(with_wide_types, _corrections)
        state["step"], size, root = corrections(state["step"], group["lr"], first, second)
        _change(
            _adam(group["maximize"]),
            [parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"]],
            [size, group["weight_decay"], 1 - first, second, 1 - second, root, group["eps"]],
        )


def _corrections(step: Any, rate: Any, first: float, second: float) -> tuple[Any, Any, Any]:
    """The number of this step, its size, and the root of the square's divisor; step and rate may be arrays."""
    step = step + 1
    return step, rate / (1 - first**step), (1 - second**step) ** 0.5


@cache
def _adam(maximize: bool) -> Op:
    def descend(p: Any, g: Any, mean: Any, square: Any, *numbers: Any) -> Any:
        size, decay, fresh, keep, fresh_square, root, eps = numbers
        g = (-g if maximize else g) + decay * p
        mean = mean + fresh * (g - mean)
        square = keep * square + fresh_square * g * g
        return p - size * mean / (jnp.sqrt(square) / root + eps), mean, square

    return Op("adam", descend)
