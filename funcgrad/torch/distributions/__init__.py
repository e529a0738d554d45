"""`torch.distributions`: the distributions that policies and autoencoders use. It is loaded when it is first used.

Draws are PyTorch's under the same seed. A distribution that is not here raises `AttributeError` with its name.
"""

from typing import Any as _Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.distributions import constraints, kl, transforms
from funcgrad.torch.distributions._continuous import (
    Cauchy,
    Exponential,
    Laplace,
    Normal,
    Uniform,
)
from funcgrad.torch.distributions._counts import (
    Geometric,
    Multinomial,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    Poisson,
)
from funcgrad.torch.distributions._discrete import Bernoulli, Categorical
from funcgrad.torch.distributions._gammas import Beta, Chi2, Dirichlet, Gamma, StudentT
from funcgrad.torch.distributions._mixtures import (
    LowRankMultivariateNormal,
    MixtureSameFamily,
    VonMises,
)
from funcgrad.torch.distributions._positive import (
    FisherSnedecor,
    HalfCauchy,
    InverseGamma,
    Kumaraswamy,
    Pareto,
    Weibull,
)
from funcgrad.torch.distributions._relaxed import (
    ContinuousBernoulli,
    RelaxedBernoulli,
    RelaxedOneHotCategorical,
)
from funcgrad.torch.distributions._several import Independent, MultivariateNormal
from funcgrad.torch.distributions._transformed import (
    Gumbel,
    HalfNormal,
    LogNormal,
    TransformedDistribution,
)
from funcgrad.torch.distributions._trials import Binomial, NegativeBinomial
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.kl import kl_divergence, register_kl
from funcgrad.torch.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
    Transform,
    identity_transform,
)

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "ContinuousBernoulli",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "FisherSnedecor",
    "Gamma",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "LowRankMultivariateNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "PowerTransform",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "SigmoidTransform",
    "SoftplusTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "identity_transform",
    "kl_divergence",
    "register_kl",
]


def __getattr__(name: str) -> _Any:
    raise _no_attribute(__name__, name)


def __dir__() -> list[str]:
    return [*__all__, "constraints", "kl", "transforms"]
