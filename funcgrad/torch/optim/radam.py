"""`torch.optim.RAdam`."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from funcgrad.engine.values import is_tracer
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._arithmetic import add, addcmul, div, lerp, mul, reciprocal, sqrt
from funcgrad.torch.optim._updating import (
    Rule,
    Updating,
    check_betas,
    check_not_negative,
    choose,
    wide,
)

__all__ = ["RAdam"]


def __dir__() -> list[str]:
    return __all__


class RAdam(Updating):
    """Rectified Adam (L. Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2019).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.RAdam.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        first, second = group["betas"]
        step = wide(held["step"])
        correction = 1 - second**step
        numbers = [1 - first, second, 1 - second, 1 - first**step, group["lr"]]
        longest = 2 / (1 - second) - 1
        length = longest - 2 * step * second**step / correction
        square: Any = 0.0  # of the rectification; none while the average is short
        if is_tracer(length) or length > 5.0:
            square = (length - 4) * (length - 2) * longest
            square = square / ((longest - 4) * (longest - 2) * length)
            square = choose(length > 5.0, square, 0.0)
        return _radam, [*numbers, group["eps"], correction**0.5, square**0.5]


def _radam(p: Any, g: Any, mean: Any, square: Any, *numbers: Any) -> Any:
    share, keep, square_share, mean_correction, rate, eps, root, rectification = numbers
    mean = lerp(mean, g, share)
    square = addcmul(mul(square, keep), g, g, square_share)
    change = mul(div(mean, mean_correction), rate)
    adaptive = mul(mul(change, mul(reciprocal(add(sqrt(square), eps)), root)), rectification)
    return add(p, jnp.where(rectification > 0, adaptive, change), -1), mean, square
