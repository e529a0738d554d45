"""Optimizers as PyTorch defines them: state held by the optimizer, parameters changed in place."""

from collections.abc import Iterable
from typing import Any

from funcgrad.engine import grad_mode
from funcgrad.torch.tensor import Tensor


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
                        self._update(
                            parameter, parameter.grad, self.state.setdefault(parameter, {}), group
                        )

    def _update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        raise NotImplementedError


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

    def _update(
        self, parameter: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"]:
            grad = grad + parameter * group["weight_decay"]
        if group["momentum"]:
            held = state.get("momentum_buffer")
            held = (
                grad.clone()
                if held is None
                else held.mul_(group["momentum"]).add_(grad * (1 - group["dampening"]))
            )
            state["momentum_buffer"] = held
            grad = grad + held * group["momentum"] if group["nesterov"] else held
        parameter.sub_(grad * group["lr"])


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

    def _update(
        self, parameter: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        first, second = group["betas"]
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"]:
            grad = grad + parameter * group["weight_decay"]
        if not state:
            state.update(step=0, exp_avg=grad * 0, exp_avg_sq=grad * 0)
        state["step"] += 1
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.add_((grad - mean) * (1 - first))
        square.mul_(second).add_(grad * grad * (1 - second))
        step_size = group["lr"] / (1 - first ** state["step"])
        scale = (square.sqrt() / (1 - second ** state["step"]) ** 0.5).add_(group["eps"])
        parameter.sub_(mean * step_size / scale)
