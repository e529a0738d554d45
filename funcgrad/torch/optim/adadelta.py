"""`torch.optim.Adadelta`."""

from collections.abc import Iterable
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._arithmetic import add, addcmul, div, mul, sqrt
from funcgrad.torch.optim._updating import Rule, Updating, check_not_negative

__all__ = ["Adadelta"]


def __dir__() -> list[str]:
    return __all__


class Adadelta(Updating):
    """Gradients scaled by the running size of past changes (M. Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.Adadelta.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative(eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        rho = group["rho"]
        return _adadelta, [rho, 1 - rho, group["eps"], -group["lr"]]


def _adadelta(
    p: Any, g: Any, square: Any, changes: Any, keep: Any, share: Any, eps: Any, rate: Any
) -> Any:
    square = addcmul(mul(square, keep), g, g, share)
    change = mul(div(sqrt(add(changes, eps)), sqrt(add(square, eps))), g)
    changes = addcmul(mul(changes, keep), change, change, share)
    return add(p, change, rate), square, changes
