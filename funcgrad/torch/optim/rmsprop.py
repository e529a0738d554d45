"""`torch.optim.RMSprop`."""

from collections.abc import Iterable
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._arithmetic import add, addcdiv, addcmul, lerp, mul, sqrt
from funcgrad.torch.optim._updating import Rule, Updating, check_not_negative, variant

__all__ = ["RMSprop"]


def __dir__() -> list[str]:
    return __all__


class RMSprop(Updating):
    """Gradients over their running root mean square (G. Hinton, lecture 6 of "Neural Networks for Machine Learning", 2012).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(
            lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha
        )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        names = ["square_avg"]
        if group["momentum"] > 0:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        return tuple(names)

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        alpha, momentum = group["alpha"], group["momentum"]
        rule = variant(_rmsprop, momentum=momentum > 0, centered=bool(group["centered"]))
        return rule, [alpha, 1 - alpha, group["eps"], momentum, -group["lr"]]


def _rmsprop(p: Any, g: Any, square: Any, *rest: Any, momentum: bool, centered: bool) -> Any:
    *buffers, keep, share, eps, factor, rate = rest
    square = addcmul(mul(square, keep), g, g, share)
    spread = square
    if centered:
        buffers[-1] = lerp(buffers[-1], g, share)
        spread = addcmul(square, buffers[-1], buffers[-1], -1)
    scale = add(sqrt(spread), eps)
    if not momentum:
        return addcdiv(p, g, scale, rate), square, *buffers
    buffers[0] = addcdiv(mul(buffers[0], factor), g, scale)
    return add(p, buffers[0], rate), square, *buffers
