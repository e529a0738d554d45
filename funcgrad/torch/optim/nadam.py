"""`torch.optim.NAdam`."""

from collections.abc import Iterable
from typing import Any, ClassVar

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._arithmetic import add, addcdiv, addcmul, div, lerp, mul, sqrt
from funcgrad.torch.optim._updating import Rule, Updating, check_betas, check_not_negative, wide

__all__ = ["NAdam"]


def __dir__() -> list[str]:
    return __all__


class NAdam(Updating):
    """Adam with Nesterov momentum (T. Dozat, "Incorporating Nesterov Momentum into Adam", 2016).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.NAdam.html
    """

    _held: ClassVar[dict[str, float]] = {"step": 0.0, "mu_product": 1.0}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        first, second = group["betas"]
        step, rate, decay = wide(held["step"]), group["lr"], group["momentum_decay"]
        mu = first * (1.0 - 0.5 * (0.96 ** (step * decay)))
        mu_next = first * (1.0 - 0.5 * (0.96 ** ((step + 1) * decay)))
        held["mu_product"] = held["mu_product"] * mu
        product = wide(held["mu_product"])
        return _nadam, [
            1 - first,
            second,
            1 - second,
            1 - second**step,
            group["eps"],
            -rate * (1.0 - mu) / (1.0 - product),
            -rate * mu_next / (1.0 - product * mu_next),
        ]


def _nadam(p: Any, g: Any, mean: Any, square: Any, *numbers: Any) -> Any:
    share, keep, square_share, correction, eps, gradient_size, mean_size = numbers
    mean = lerp(mean, g, share)
    square = addcmul(mul(square, keep), g, g, square_share)
    scale = add(sqrt(div(square, correction)), eps)
    return addcdiv(addcdiv(p, g, scale, gradient_size), mean, scale, mean_size), mean, square
