"""`torch.optim.SparseAdam`."""

import math
from collections.abc import Iterable
from typing import Any

from funcgrad.engine import grad_mode
from funcgrad.torch._sparse.tensor import SparseTensor
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._updating import OneByOne, check_betas, filled

__all__ = ["SparseAdam"]


def __dir__() -> list[str]:
    return __all__


class SparseAdam(OneByOne):
    """`Adam` for sparse gradients: a step changes the rows that the gradient has, and their averages.

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html

    Raises:
        ValueError: an option or a parameter is not allowed.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for name, value in (("learning rate", lr), ("epsilon value", eps)):
            if not value > 0.0:
                raise ValueError(f"Invalid {name}: {value}")
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        places = [
            ([k, n], each)
            for k, group in enumerate(self.param_groups)
            for n, each in enumerate(group["params"])
        ]
        if sparse := [place for place, each in places if isinstance(each, SparseTensor)]:
            raise ValueError(
                f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors"
            )
        if complexes := [place for place, each in places if each.dtype.is_complex]:
            raise ValueError(
                f"Complex params at indices {complexes}: SparseAdam does not support complex parameters"
            )

    def _dense(self, grad: Any, group: dict[str, Any]) -> Any:
        return grad

    def _update(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        if not isinstance(grad, SparseTensor):
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )
        state, whole = self.state[parameter], grad.coalesce()
        with grad_mode(False):
            if not state:
                state["step"] = 0
                state["exp_avg"], state["exp_avg_sq"] = filled(parameter, 0), filled(parameter, 0)
            state["step"] += 1
            if whole._nnz():
                self._change_rows(parameter, whole, state, group)

    def _change_rows(
        self, parameter: Any, grad: SparseTensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        place, values = tuple(grad.indices().unbind(0)), grad.values()
        if group["maximize"]:
            values = -values
        first, second = group["betas"]
        mean, square = state["exp_avg"][place], state["exp_avg_sq"][place]
        mean = mean + (values - mean) * (1 - first)
        square = square + (values.pow(2) - square) * (1 - second)
        state["exp_avg"][place], state["exp_avg_sq"][place] = mean, square
        step = state["step"]
        size = group["lr"] * math.sqrt(1 - second**step) / (1 - first**step)
        parameter[place] += -size * (mean / (square.sqrt() + group["eps"]))
