"""Optimizers as PyTorch defines them: state held by the optimizer, parameters changed in place."""

import math
from collections.abc import Iterable
from functools import cache
from typing import Any

import jax.numpy as jnp

from funcgrad.engine import Aval, Op, grad_mode, record
from funcgrad.engine.ops import zeros_like
from funcgrad.torch.calling import number, write
from funcgrad.torch.tensor import Tensor, tensor_of


class Optimizer:
    """What every optimizer has: the parameters, their state, and `zero_grad`.

    Args:
        params: tensors that require grad, or groups of them as dicts with their own options.
        defaults: the options of groups that do not set them.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got Tensor"
            )
        given = list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list")
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        for group in groups:
            tensors = (
                [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
            )
            for tensor in tensors:
                if not isinstance(tensor, Tensor):
                    raise TypeError(
                        f"optimizer can only optimize Tensors, but one of the params is {type(tensor)}"
                    )
                if not tensor.is_leaf:
                    raise ValueError("can't optimize a non-leaf Tensor")
            self.param_groups.append({**defaults, **group, "params": tensors})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad = parameter.grad.detach()
                    parameter.grad.zero_()

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        with grad_mode(False):
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._update(parameter, self.state.setdefault(parameter, {}), group)

    def _update(self, parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        raise NotImplementedError


def _change(op: Op, tensors: list[Any], numbers: list[float]) -> None:
    """Record one op on a parameter, its gradient and its state, and write its results in place.

    The op takes the parameter, the gradient, the state's tensors and the numbers, and returns new
    elements for the parameter and the state: one op a parameter, however long the formula.
    """
    scalar = Aval((), tensors[0].storage.value.aval.dtype)
    results = record(op, [*tensors, *(number(each, scalar) for each in numbers)])
    targets = [tensors[0], *tensors[2:]]
    for target, result in zip(targets, results if len(targets) > 1 else [results], strict=True):
        write(target, result)


def _zeros(parameter: Tensor) -> Tensor:
    return tensor_of(record(zeros_like, (parameter,))[0])


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


class Adam(Optimizer):
    """Adam (D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", 2014).

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        if lr < 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if eps < 0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for position, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {position}: {beta}")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def _update(self, parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        first, second = group["betas"]
        if not state:
            state.update(step=0, exp_avg=_zeros(parameter), exp_avg_sq=_zeros(parameter))
        state["step"] += 1
        size = group["lr"] / (1 - first ** state["step"])
        root = math.sqrt(1 - second ** state["step"])
        _change(
            _adam(group["maximize"]),
            [parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"]],
            [size, group["weight_decay"], 1 - first, second, 1 - second, root, group["eps"]],
        )


@cache
def _adam(maximize: bool) -> Op:
    def descend(p: Any, g: Any, mean: Any, square: Any, *numbers: Any) -> Any:
        size, decay, fresh, keep, fresh_square, root, eps = numbers
        g = (-g if maximize else g) + decay * p
        mean = mean + fresh * (g - mean)
        square = keep * square + fresh_square * g * g
        return p - size * mean / (jnp.sqrt(square) / root + eps), mean, square

    return Op("adam", descend)
