"""`VonMises`."""

import math
from typing import Any, ClassVar

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["VonMises"]


def __dir__() -> list[str]:
    return __all__


# Polynomials for the modified Bessel functions of orders 0 and 1, each for small and for large arguments.
# Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 9.8.1 to 9.8.4.
_BESSEL = (
    ((1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
     (0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2, -0.2057706e-1, 0.2635537e-1, -0.1647633e-1, 0.392377e-2)),
    ((0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3),
     (0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1, 0.2282967e-1, -0.2895312e-1, 0.1787654e-1, -0.420059e-2)),
)  # fmt: skip


def _log_bessel(x: Any, order: int) -> Any:
    """The logarithm of the modified Bessel function of the first kind."""
    small, large = (
        sum(c * y**k for k, c in enumerate(coefficients))
        for y, coefficients in zip(((x / 3.75) ** 2, 3.75 / x), _BESSEL[order], strict=True)
    )
    small = (x.abs() * small if order else small).log()
    return torch.where(x < 3.75, small, x - 0.5 * x.log() + large.log())


class VonMises(Distribution):
    """The normal distribution's kin on a circle.

    Args:
        loc: the mean angle, in radians.
        concentration: positive; the larger, the closer are draws to `loc`.
        validate_args: whether to check parameters and values.

    Source: Best, Fisher, "Efficient simulation of the von Mises distribution", 1979.
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real,
        "concentration": constraints.positive,
    }
    support = constraints.real
    _given = ("loc", "concentration")

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    mean = mode = property(lambda self: self.loc)

    @property
    def variance(self) -> Tensor:
        """The circular variance."""
        ratio = _log_bessel(self.concentration, 1) - _log_bessel(self.concentration, 0)
        return 1 - ratio.exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        peak = self.concentration * torch.cos(value - self.loc)
        return peak - math.log(2 * math.pi) - _log_bessel(self.concentration, 0)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws: proposals of a wrapped Cauchy, rejected until each is accepted."""
        shape = self._extended_shape(sample_shape)
        kappa = self.concentration.detach().double().numpy()
        loc = self.loc.detach().double().numpy()
        tau = 1 + np.sqrt(1 + 4 * kappa**2)
        rho = (tau - np.sqrt(2 * tau)) / (2 * kappa)
        r = np.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))
        found, done = np.empty(shape), np.zeros(shape, bool)
        while not done.all():
            u1, u2, u3 = torch.rand((3, *shape), dtype=torch.float64).numpy()
            z = np.cos(math.pi * u1)
            f = (1 + r * z) / (r + z)
            c = kappa * (r - f)
            with np.errstate(divide="ignore", invalid="ignore"):
                accept = (c * (2 - c) - u2 > 0) | (np.log(c / u2) + 1 - c >= 0)
            found = np.where(accept, np.sign(u3 - 0.5) * np.arccos(f), found)
            done |= accept
        angles = (found + math.pi + loc) % (2 * math.pi) - math.pi
        return torch.tensor(angles, dtype=self.loc.dtype)
