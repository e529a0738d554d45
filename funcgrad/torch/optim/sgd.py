"""`torch.optim.SGD`."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from funcgrad.engine import Op
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim.optimizer import Optimizer, _change, _zeros

__all__ = ["SGD"]


def __dir__() -> list[str]:
    return __all__


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        if lr < 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def _update(self, parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        tensors = [parameter, parameter.grad]
        first = group["momentum"] != 0 and "momentum_buffer" not in state
        if group["momentum"]:
            if first:
                state["momentum_buffer"] = _zeros(parameter)
            tensors.append(state["momentum_buffer"])
        op = _sgd(bool(group["momentum"]), first, group["nesterov"], group["maximize"])
        fresh = 1 - group["dampening"]
        _change(op, tensors, [group["lr"], group["weight_decay"], group["momentum"], fresh])


@cache
def _sgd(momentum: bool, first: bool, nesterov: bool, maximize: bool) -> Op:
    def descend(p: Any, g: Any, *rest: Any) -> Any:
        rate, decay, factor, fresh = rest[-4:]
        g = (-g if maximize else g) + decay * p
        if not momentum:
            return p - rate * g
        held = g if first else factor * rest[0] + fresh * g
        return p - rate * (g + factor * held if nesterov else held), held

    return Op("sgd", descend)
