"""`torch.optim.SGD`."""

from collections.abc import Iterable
from typing import Any, ClassVar

import jax

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._arithmetic import add, mul
from funcgrad.torch.optim._updating import (
    Rule,
    Updating,
    check_fused,
    check_not_negative,
    variant,
)

__all__ = ["SGD"]


def __dir__() -> list[str]:
    return __all__


class SGD(Updating):
    """Stochastic gradient descent, with momentum.

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """

    _held: ClassVar[dict[str, float]] = {}

    _sparse_with_decay = "add(sparse, dense) is not supported. Use add(dense, sparse) instead."

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative(lr=lr, momentum=momentum, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, defaults)
        check_fused(defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        momentum = group["momentum"]
        if momentum == 0:
            return _sgd, [-group["lr"]]
        rule = variant(_momentum_sgd, nesterov=bool(group["nesterov"]), first=fresh)
        return rule, [-group["lr"], momentum, 1 - group["dampening"]]


def _sgd(p: Any, g: Any, rate: Any) -> Any:
    return add(p, g, rate)


def _momentum_sgd(
    p: Any, g: Any, kept: Any, rate: Any, momentum: Any, share: Any, *, nesterov: bool, first: bool
) -> Any:
    # PyTorch detaches the first buffer.
    kept = jax.lax.stop_gradient(g) if first else add(mul(kept, momentum), g, share)
    return add(p, add(g, kept, momentum) if nesterov else kept, rate), kept
