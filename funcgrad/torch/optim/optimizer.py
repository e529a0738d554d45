"""Optimizers as PyTorch defines them: state held by the optimizer, parameters changed in place."""

import warnings
from collections.abc import Iterable
from typing import Any

import jax

from funcgrad.engine import Aval, Op, Storage, Value, Variable, grad_mode, local, record
from funcgrad.engine.ops import zeros_like
from funcgrad.engine.values import with_wide_types
from funcgrad.torch._tensor.in_place import write
from funcgrad.torch._tensor.operands import number
from funcgrad.torch._tensor.tensor import Tensor, tensor_of

__all__ = ["Optimizer"]


def __dir__() -> list[str]:
    return __all__


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
        seen: set[Tensor] = set()
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
            if len(set(tensors)) < len(tensors):
                warnings.warn(
                    "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error; "
                    "see github.com/pytorch/pytorch/issues/40967 for more information",
                    stacklevel=3,
                )
            if not seen.isdisjoint(tensors):
                raise ValueError("some parameters appear in more than one parameter group")
            seen.update(tensors)
            self.param_groups.append({**defaults, **group, "params": tensors})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        self._tell()
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad = parameter.grad.detach()
                    parameter.grad.zero_()

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        self._tell()
        with grad_mode(False):
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._update(parameter, self.state.setdefault(parameter, {}), group)

    def _tell(self) -> None:
        """Tell who watches that the parameters, or their gradients, are about to be changed."""
        watch = local.recorder.watch
        if watch is not None:
            for group in self.param_groups:
                for parameter in group["params"]:
                    watch.writes(parameter, f"the optimizer {type(self).__name__}")

    def _update(self, parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        raise NotImplementedError


def _change(op: Op, tensors: list[Any], numbers: list[float]) -> None:
    """Record one op on a parameter, its gradient and its state, and write its results in place.

    The op takes the parameter, the gradient, the state's tensors and the numbers, and returns new
    elements for the parameter and the state: one op a parameter, however long the formula.
    """
    parameter = tensors[0]
    scalar = Aval((), parameter._storage.value.aval.dtype)
    arguments = [*tensors, *(_number(each, scalar) for each in numbers)]
    targets = [parameter, *tensors[2:]]
    while True:
        before = parameter._storage.value
        results = record(op, arguments)
        first, *others = results if len(targets) > 1 else [results]
        # Several threads may train the same parameters, each with an optimizer of its own.
        if write(parameter, first, before):
            break
    for target, result in zip(targets[1:], others, strict=True):
        write(target, result)


def _number(value: Any, scalar: Aval) -> Variable:
    """A number of an option or a state, which is an array inside `funcgrad.pure`."""
    if isinstance(value, jax.Array):
        return Variable(Storage(Value.of(with_wide_types(value.astype, scalar.dtype))))
    return number(value, scalar)


def _zeros(parameter: Tensor) -> Tensor:
    return tensor_of(record(zeros_like, (parameter,))[0])
