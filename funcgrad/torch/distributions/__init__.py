"""`torch.distributions`: the distributions that policies and autoencoders use. It is loaded when it is first used.

Draws are PyTorch's under the same seed. A distribution that is not here raises `AttributeError` with its name.
"""

from typing import Any as _Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.distributions import constraints, kl
from funcgrad.torch.distributions._continuous import Exponential, Laplace, Normal, Uniform
from funcgrad.torch.distributions._discrete import Bernoulli, Categorical
from funcgrad.torch.distributions._several import Independent, MultivariateNormal
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.kl import kl_divergence, register_kl

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Independent",
    "Laplace",
    "MultivariateNormal",
    "Normal",
    "Uniform",
    "kl_divergence",
    "register_kl",
]


def __getattr__(name: str) -> _Any:
    raise _no_attribute(__name__, name)


def __dir__() -> list[str]:
    return [*__all__, "constraints", "kl"]
