"""Weights as a length and a direction (Salimans and Kingma, https://arxiv.org/abs/1602.07868), by a hook before each call.

`parametrizations.weight_norm` is the newer form.
"""

import warnings
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn.parameter import Parameter, UninitializedParameter
from funcgrad.torch.nn.utils._norms import norm_except_dim, of_length

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]


def __dir__() -> list[str]:
    return __all__


class WeightNorm:
    """A hook before a module's calls that computes a weight from its length and its direction.

    Attributes:
        name: the weight's.
        dim: see `weight_norm`.
    """

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Any) -> Tensor:
        """The weight."""
        return of_length(
            getattr(module, self.name + "_v"), getattr(module, self.name + "_g"), self.dim
        )

    @staticmethod
    def apply(module: Any, name: str, dim: int | None) -> "WeightNorm":
        """Put the hook on a module; see `weight_norm`.

        Raises:
            RuntimeError, ValueError: there is one already, or the weight has no elements yet.
        """
        warnings.warn(
            "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
            FutureWarning,
            stacklevel=3,
        )
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError(
                    f"Cannot register two weight_norm hooks on the same parameter {name}"
                )
        made = WeightNorm(name, dim)
        weight = getattr(module, name)
        if isinstance(weight, UninitializedParameter):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized parameters. Make sure to run the dummy forward "
                "before applying weight normalization"
            )
        del module._parameters[name]
        module.register_parameter(name + "_g", Parameter(norm_except_dim(weight, made.dim).data))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, made.compute_weight(module))
        module.register_forward_pre_hook(made)
        return made

    def remove(self, module: Any) -> None:
        """Make the weight a parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Any, inputs: Any) -> None:
        """Compute the weight."""
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Replace a weight by its lengths, `weight_g`, and its directions, `weight_v`.

    Args:
        module: has the weight.
        name: the weight's.
        dim: the dimension along which each part has a length of its own; None for one length.

    Warns:
        FutureWarning: always, since `parametrizations.weight_norm` is its successor.
    """
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Make a weight a parameter again.

    Raises:
        ValueError: `weight_norm` is not there.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
