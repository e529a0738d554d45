"""`torch.optim.AdamW`."""

from collections.abc import Iterable
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim.adam import Adam

__all__ = ["AdamW"]


def __dir__() -> list[str]:
    return __all__


class AdamW(Adam):
    """Adam whose weight decay stays out of the averages (I. Loshchilov, F. Hutter, "Decoupled Weight Decay
    Regularization", 2017).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
