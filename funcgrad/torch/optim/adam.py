"""`torch.optim.Adam`."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._arithmetic import add, addcdiv, addcmul, div, lerp, mul, sqrt
from funcgrad.torch.optim._updating import (
    Rule,
    Updating,
    check_betas,
    check_fused,
    check_not_negative,
    variant,
    wide,
)

__all__ = ["Adam"]


def __dir__() -> list[str]:
    return __all__


class Adam(Updating):
    """Adam (D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", 2014).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if foreach and not capturable:
            _refuse_tensors({"lr": lr, "betas[0]": betas[0], "betas[1]": betas[1]})
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        if len({isinstance(beta, Tensor) for beta in betas}) != 1 or not all(
            isinstance(beta, (float, Tensor)) for beta in betas
        ):
            raise ValueError("betas must be either both floats or both Tensors")
        for k, beta in enumerate(betas):
            if isinstance(beta, Tensor) and beta.numel() != 1:
                raise ValueError(f"Tensor betas[{k}] must be 1-element")
        defaults = {
            "lr": lr,
            "betas": tuple(beta.squeeze() if isinstance(beta, Tensor) else beta for beta in betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        names = ("exp_avg", "exp_avg_sq")
        return (*names, "max_exp_avg_sq") if group["amsgrad"] else names

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        first, second = group["betas"]
        step = wide(held["step"])
        size = group["lr"] / (1 - first**step)
        root = (1 - second**step) ** 0.5
        rule = variant(_adam, amsgrad=bool(group["amsgrad"]))
        return rule, [1 - first, second, 1 - second, root, group["eps"], -size]


def _refuse_tensors(options: dict[str, Any]) -> None:
    for name, option in options.items():
        if isinstance(option, Tensor):
            raise ValueError(
                f"{name} as a Tensor is not supported for capturable=False and foreach=True"
            )


def _adam(p: Any, g: Any, mean: Any, square: Any, *rest: Any, amsgrad: bool) -> Any:
    *peak, share, keep, square_share, root, eps, size = rest
    mean = lerp(mean, g, share)
    square = addcmul(mul(square, keep), g, g, square_share)
    if amsgrad:
        peak = [jnp.maximum(peak[0], square)]
    scale = add(div(sqrt(peak[0] if amsgrad else square), root), eps)
    return addcdiv(p, mean, scale, size), mean, square, *peak
