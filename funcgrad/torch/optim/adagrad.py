"""`torch.optim.Adagrad`."""

from collections.abc import Iterable
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._arithmetic import add, addcdiv, addcmul, sqrt
from funcgrad.torch.optim._updating import (
    Rule,
    Updating,
    check_fused,
    check_not_negative,
    filled,
    wide,
)

__all__ = ["Adagrad"]


def __dir__() -> list[str]:
    return __all__


class Adagrad(Updating):
    """Gradients over the root of the sum of their squares (J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods", 2011).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
    """

    _sparse_with_decay = "weight_decay option is not compatible with sparse gradients"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative(
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                self._begin(parameter, group, self.state[parameter])

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("sum",)

    def _start(self, name: str, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        return filled(parameter, self.defaults["initial_accumulator_value"])

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        size = group["lr"] / (1 + (wide(held["step"]) - 1) * group["lr_decay"])
        return _adagrad, [group["eps"], -size]


def _adagrad(p: Any, g: Any, total: Any, eps: Any, size: Any) -> Any:
    total = addcmul(total, g, g)
    return addcdiv(p, g, add(sqrt(total), eps), size), total
