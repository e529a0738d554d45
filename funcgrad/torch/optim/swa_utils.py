"""PyTorch's `torch.optim.swa_utils`: averages of weights over a training, and the schedule that goes with them.

The averaged model is a module, so it is made in the room of `nn`, and loaded from there.
"""

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

from funcgrad.torch.optim.lr_scheduler import LRScheduler, _one_each
from funcgrad.torch.optim.optimizer import Optimizer

_averaging = import_module("funcgrad.torch.nn._averaging")
AveragedModel = _averaging.AveragedModel
get_ema_avg_fn = _averaging.get_ema_avg_fn
get_ema_multi_avg_fn = _averaging.get_ema_multi_avg_fn
get_swa_avg_fn = _averaging.get_swa_avg_fn
get_swa_multi_avg_fn = _averaging.get_swa_multi_avg_fn
update_bn = _averaging.update_bn

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def __dir__() -> list[str]:
    return __all__


class SWALR(LRScheduler):
    """Move each group's learning rate to a fixed one, along a line or a cosine.

    Args:
        optimizer: whose learning rates it sets.
        swa_lr: the rate at the end, one for all groups or one each.
        anneal_epochs: the number of steps until then.
        anneal_strategy: "cos" or "linear".
        last_epoch: the number of steps taken before; -1 to start.

    Raises:
        ValueError: an argument is out of its range.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.optim.swa_utils.SWALR.html
    """

    _apart = ("optimizer", "anneal_func")

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = _one_each("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._set_anneal_func(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _set_anneal_func(self, anneal_strategy: str) -> None:
        self._anneal_strategy = anneal_strategy
        self.anneal_func: Callable[[float], float] = _cosine if anneal_strategy == "cos" else float

    def _rates(self) -> list[Any]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = (
            self.anneal_func(max(0, min(1, each / max(1, self.anneal_epochs))))
            for each in (step - 1, step)
        )
        return [
            group["swa_lr"] * now + _start(group["lr"], group["swa_lr"], before) * (1 - now)
            for group in self.optimizer.param_groups
        ]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self._set_anneal_func(self._anneal_strategy)


def _cosine(t: float) -> float:
    return (1 - math.cos(math.pi * t)) / 2


def _start(rate: Any, end: Any, share: float) -> Any:
    """The rate at the start, of the rate after a share of the way to the end."""
    return end if share == 1 else (rate - share * end) / (1 - share)
