"""Running averages of a model's weights, and batch norm's statistics for them: the module half of `torch.optim.swa_utils`.

Behaviour: https://pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema
"""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch.nn.modules.batchnorm import _BatchNorm
from funcgrad.torch.nn.modules.module import Module

Average = Callable[[Any, Any, Any], Any]
Averages = Callable[[Sequence[Any], Sequence[Any], Any], None]


def get_swa_avg_fn() -> Average:
    """A function that averages equally: of the average, a new value and the number of values before."""

    @torch.no_grad()
    def swa_update(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """A function that averages exponentially: `decay * average + (1 - decay) * value`.

    Raises:
        ValueError: `decay` is not between 0 and 1.
    """
    _check_decay(decay)

    @torch.no_grad()
    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_multi_avg_fn() -> Averages:
    """As `get_swa_avg_fn`, of lists of tensors and in place."""

    @torch.no_grad()
    def swa_update(
        averaged_param_list: Sequence[Any], current_param_list: Sequence[Any], num_averaged: Any
    ) -> None:
        _lerp(averaged_param_list, current_param_list, 1 / (float(num_averaged) + 1))

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """As `get_ema_avg_fn`, of lists of tensors and in place.

    Raises:
        ValueError: `decay` is not between 0 and 1.
    """
    _check_decay(decay)

    @torch.no_grad()
    def ema_update(
        ema_param_list: Sequence[Any], current_param_list: Sequence[Any], _: Any
    ) -> None:
        _lerp(ema_param_list, current_param_list, 1 - decay)

    return ema_update


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def _lerp(averages: Sequence[Any], values: Sequence[Any], weight: float) -> None:
    """Move averages towards values, in place; integers (counters among buffers) are rounded towards zero."""
    for average, value in zip(averages, values, strict=True):
        if average.is_floating_point() or average.is_complex():
            average.lerp_(value, weight)
        else:
            average.copy_(average + (value - average) * weight)


class AveragedModel(Module):
    """A copy of a model whose parameters are a running average of the model's.

    Args:
        model: the model.
        device: of the copy; None keeps the model's.
        avg_fn: a function of the average, a parameter and the number averaged before. Without it, all count the same.
        multi_avg_fn: the same on lists, in place. Only one of both can be given.
        use_buffers: whether buffers are averaged, too. Else they are the model's last.

    Raises:
        AssertionError: both functions are given.

    >>> import funcgrad.torch as torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> average = torch.optim.swa_utils.AveragedModel(model)
    >>> for weight in (1.0, 2.0):
    ...     _ = model.weight.data.fill_(weight)
    ...     average.update_parameters(model)
    >>> average.module.weight.item()
    1.5
    """

    n_averaged: Any

    def __init__(
        self,
        model: Any,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", torch.tensor(0, dtype=torch.long, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's result."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Any) -> None:
        """Take the model's parameters into the average. The first time they are copied."""
        averages, values = (self._averaged(each) for each in (self.module, model))
        if self.n_averaged == 0:
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)
        elif self.avg_fn is None:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(averages, values, self.n_averaged)
        else:
            for average, value in zip(averages, values, strict=True):
                average.copy_(self.avg_fn(average, value, self.n_averaged))
        if not self.use_buffers:
            for mine, its in zip(self.module.buffers(), model.buffers(), strict=True):
                mine.detach().copy_(its.detach())
        self.n_averaged += 1

    def _averaged(self, model: Any) -> list[Any]:
        buffers = model.buffers() if self.use_buffers else ()
        return [each.detach() for each in chain(model.parameters(), buffers)]


@torch.no_grad()
def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Compute the running statistics of a model's batch norms anew, as means over a loader.

    Args:
        loader: batches; of a list or tuple the first element is used.
        model: the model; without batch norms nothing is done.
        device: where batches are put, if given.
    """
    momenta = {each: each.momentum for each in model.modules() if isinstance(each, _BatchNorm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for norm in momenta:
        norm.reset_running_stats()
        norm.momentum = None
    for batch in loader:
        inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(inputs if device is None else inputs.to(device))
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    model.train(was_training)
