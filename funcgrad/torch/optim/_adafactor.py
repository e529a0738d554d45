"""`torch.optim.Adafactor`: Adam with the state of a row and a column for each matrix."""

from collections.abc import Iterable
from typing import Any

from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import float32, float64, get_default_dtype
from funcgrad.torch._types.limits import finfo
from funcgrad.torch.optim._updating import OneByOne

__all__ = ["Adafactor"]


def __dir__() -> list[str]:
    return __all__


class Adafactor(OneByOne):
    """Gradients over the root of their mean square, which a row and a column stand for (N. Shazeer and M. Stern, 2018).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.Adafactor.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for words, fits, option in (
            ("Learning rate should be >= 0", lr >= 0.0, lr),
            ("beta2_decay should be <= 0", beta2_decay <= 0.0, beta2_decay),
            ("epsilon1 should be >= 0", eps[0] is None or eps[0] >= 0.0, eps[0]),
            ("epsilon2 should be >= 0", eps[1] >= 0.0, eps[1]),
            ("Clipping threshold d should be >= 1", d >= 1.0, d),
            ("weight_decay should be >= 0", weight_decay >= 0.0, weight_decay),
        ):
            if not fits:
                raise ValueError(f"{words} but is: {option}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("foreach", None)

    def _begin(self, grad: Any, state: dict[str, Any]) -> None:
        kind = float64 if get_default_dtype() is float64 else float32
        state["step"] = FUNCTIONS["tensor"](0.0, dtype=kind)
        if grad.ndim > 1:
            *outer, rows, columns = grad.shape
            state["row_var"] = grad.new_zeros([*outer, rows, 1])
            state["col_var"] = grad.new_zeros([*outer, 1, columns])
        else:
            state["variance"] = FUNCTIONS["zeros_like"](grad)

    def _update(self, parameter: Any, grad: Any, group: dict[str, Any]) -> None:
        if parameter.dtype.is_complex:
            raise RuntimeError("Adafactor does not support complex parameters")
        grad = -grad if group["maximize"] else grad
        state, lr = self.state[parameter], float(group["lr"])
        if not state:
            self._begin(grad, state)
        state["step"] += 1
        step = state["step"].item()
        smallest, floor = group["eps"]
        smallest = finfo(parameter.dtype).eps if smallest is None else smallest
        fresh = step ** group["beta2_decay"]
        size = parameter.norm(2).item() / parameter.numel() ** 0.5
        rate = max(floor, size) * min(lr, 1 / step**0.5)
        if group["weight_decay"] != 0:
            parameter.mul_(1 - lr * group["weight_decay"])
        if grad.ndim > 1:
            rows, columns = state["row_var"], state["col_var"]
            for kept, dim in ((rows, -1), (columns, -2)):
                mean = grad.norm(dim=dim, keepdim=True).square_().div_(grad.size(dim))
                kept.lerp_(mean, fresh)
            squares = rows @ columns
            squares.div_(rows.mean(dim=-2, keepdim=True).clamp_(min=smallest))
        else:
            state["variance"].lerp_(grad * grad, fresh)
            squares = state["variance"].clone()
        update = squares.clamp_(min=smallest * smallest).rsqrt_().mul_(grad)
        clipped = max(1.0, update.norm(2).item() / (update.numel() ** 0.5 * group["d"]))
        parameter.add_(update, alpha=-rate / clipped)
