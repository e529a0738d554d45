"""`torch.optim.Rprop`."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._arithmetic import add, addcmul, mul
from funcgrad.torch.optim._updating import Rule, Updating, check_not_negative, variant

__all__ = ["Rprop"]


def __dir__() -> list[str]:
    return __all__


class Rprop(Updating):
    """Resilient backpropagation: steps by the signs of gradients alone (M. Riedmiller, H. Braun, 1993).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.Rprop.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("prev", "step_size")

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        rule = variant(_rprop, first=fresh)
        return rule, [*group["etas"], *group["step_sizes"], group["lr"]]


def _rprop(p: Any, g: Any, before: Any, size: Any, *numbers: Any, first: bool) -> Any:
    shrink, grow, least, most, rate = numbers
    zero = jnp.zeros_like(p)  # added to, it gives numbers the parameter's dtype
    if first:
        size = add(zero, rate)
    turned = jnp.sign(mul(g, before))
    factor = jnp.where(
        turned > 0, add(zero, grow), jnp.where(turned < 0, add(zero, shrink), 1 + turned)
    )
    size = jnp.clip(mul(size, factor), add(zero, least), add(zero, most))
    g = jnp.where(turned < 0, 0, g)
    return addcmul(p, jnp.sign(g), size, -1), g, size
