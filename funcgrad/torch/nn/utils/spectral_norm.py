"""Weights divided by their largest singular value (Miyato et al., https://arxiv.org/abs/1802.05957), by a hook before each call.

`parametrizations.spectral_norm` is the newer form.
"""

from typing import Any

import funcgrad.torch as torch
from funcgrad.torch.nn import functional
from funcgrad.torch.nn.parameter import Parameter, UninitializedParameter
from funcgrad.torch.nn.utils._norms import TRANSPOSED, as_matrix, check_iterations

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]


def __dir__() -> list[str]:
    return __all__


class SpectralNorm:
    """A hook before a module's calls that divides a weight by its largest singular value.

    Attributes:
        name: the weight's.
        n_power_iterations, dim, eps: see `spectral_norm`.
    """

    _version = 1

    def __init__(
        self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        check_iterations(n_power_iterations)
        self.name, self.dim, self.n_power_iterations, self.eps = name, dim, n_power_iterations, eps

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Any:
        """The weight; with `do_power_iteration` its singular vectors come nearer first."""
        weight, u, v = (getattr(module, self.name + each) for each in ("_orig", "_u", "_v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            with torch.no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(functional.normalize(torch.mv(matrix.t(), u), dim=0, eps=self.eps))
                    u.copy_(functional.normalize(torch.mv(matrix, v), dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()
        return weight / torch.dot(u, torch.mv(matrix, v))

    @staticmethod
    def apply(module: Any, name: str, n_power_iterations: int, dim: int, eps: float) -> "SpectralNorm":  # fmt: skip
        """Put the hook on a module; see `spectral_norm`.

        Raises:
            RuntimeError: there is one already.
            ValueError: the number of steps is not positive.
        """
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                raise RuntimeError(
                    f"Cannot register two spectral_norm hooks on the same parameter {name}"
                )
        made = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        if isinstance(weight, UninitializedParameter):
            raise ValueError(
                "The module passed to `SpectralNorm` can't have uninitialized parameters. Make sure to run the dummy forward "
                "before applying spectral normalization"
            )
        with torch.no_grad():
            matrix = as_matrix(weight, dim)
            rows, columns = matrix.size()
            u = functional.normalize(weight.new_empty(rows).normal_(0, 1), dim=0, eps=eps)
            v = functional.normalize(weight.new_empty(columns).normal_(0, 1), dim=0, eps=eps)
        del module._parameters[name]
        module.register_parameter(name + "_orig", weight)
        # Not a parameter: the weight is computed before each call.
        setattr(module, name, weight.data)
        module.register_buffer(name + "_u", u)
        module.register_buffer(name + "_v", v)
        module.register_forward_pre_hook(made)
        return made

    def remove(self, module: Any) -> None:
        """Make the weight a parameter again."""
        with torch.no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for each in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + each)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Any, inputs: Any) -> None:
        """Compute the weight."""
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """Divide a weight by its largest singular value.

    Args:
        module: has the weight.
        name: the weight's.
        n_power_iterations: how many steps of power iteration each call in training takes.
        eps: the least length that a vector is divided by.
        dim: the dimension of the outputs: 0 if None, and 1 for transposed convolutions.

    Raises:
        RuntimeError, ValueError: it is there already, or an option is out of range.
    """
    if dim is None:
        dim = 1 if isinstance(module, TRANSPOSED) else 0
    SpectralNorm.apply(module, name, n_power_iterations, dim, eps)
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Make a weight a parameter again.

    Raises:
        ValueError: `spectral_norm` is not there.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"spectral_norm of '{name}' not found in {module}")
