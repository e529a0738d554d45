"""`torch.optim.Adamax`."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._arithmetic import add, addcdiv, lerp, mul
from funcgrad.torch.optim._updating import Rule, Updating, check_betas, check_not_negative, wide

__all__ = ["Adamax"]


def __dir__() -> list[str]:
    return __all__


class Adamax(Updating):
    """Adam with the largest gradient in place of the mean square (D. Kingma, J. Ba, 2014, section 7).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.Adamax.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        first, second = group["betas"]
        size = group["lr"] / (1 - first ** wide(held["step"]))
        return _adamax, [1 - first, second, group["eps"], -size]


def _adamax(
    p: Any, g: Any, mean: Any, largest: Any, share: Any, keep: Any, eps: Any, size: Any
) -> Any:
    mean = lerp(mean, g, share)
    largest = jnp.maximum(mul(largest, keep), add(jnp.abs(g), eps))
    return addcdiv(p, mean, largest, size), mean, largest
