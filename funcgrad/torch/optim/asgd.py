"""`torch.optim.ASGD`."""

from collections.abc import Iterable
from typing import Any, ClassVar

from funcgrad.engine.values import is_tracer
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import get_default_dtype
from funcgrad.torch.optim._arithmetic import add, mul
from funcgrad.torch.optim._updating import Rule, Updating, check_not_negative, choose, variant, wide

__all__ = ["ASGD"]


def __dir__() -> list[str]:
    return __all__


class ASGD(Updating):
    """Averaged stochastic gradient descent (B. Polyak, A. Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.ASGD.html
    """

    _held: ClassVar[dict[str, float]] = {"step": 0.0, "eta": 0.0, "mu": 1.0}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("ax",)

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        rate, lambd, step = group["lr"], group["lambd"], wide(held["step"])
        eta, mu = wide(_kept(rate) if fresh else held["eta"]), wide(held["mu"])
        since = step - group["t0"]
        held["eta"] = _kept(rate / ((1 + lambd * rate * step) ** group["alpha"]))
        held["mu"] = _kept(1 / choose(since > 1, since, 1))
        rule = variant(_asgd, averaging=is_tracer(mu) or mu != 1)
        return rule, [1 - lambd * eta, -eta, mu]


def _kept(value: Any) -> Any:
    """PyTorch keeps `eta` and `mu` in the default dtype, also for a float64 parameter."""
    kind = get_default_dtype().numpy_dtype
    return value.astype(kind) if is_tracer(value) else kind.type(value)


def _asgd(
    p: Any, g: Any, average: Any, keep: Any, rate: Any, share: Any, *, averaging: bool
) -> Any:
    p = add(mul(p, keep), g, rate)
    return p, add(average, mul(add(p, average, -1), share)) if averaging else p
