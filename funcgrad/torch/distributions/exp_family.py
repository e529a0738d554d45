"""`ExponentialFamily`: the base of distributions whose density is that of an exponential family."""

from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions.distribution import Distribution

__all__ = ["ExponentialFamily"]


def __dir__() -> list[str]:
    return __all__


class ExponentialFamily(Distribution):
    """A density `exp(t(x) @ p - f(p) + k(x))` of natural parameters `p`.

    A class of one's own defines `_natural_params`, `_log_normalizer` (f) and `_mean_carrier_measure` (the mean of k). Its
    entropy and divergence then follow from derivatives of f.

    Source: Nielsen, Nock, "Entropies and cross-entropies of exponential families", 2010.
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        params, normalizer, gradients = self._normalizer_and_gradients()
        found = -self._mean_carrier_measure + normalizer
        for param, gradient in zip(params, gradients, strict=True):
            found = found - (param * gradient).reshape((*self._batch_shape, -1)).sum(-1)
        return found

    def _normalizer_and_gradients(self) -> tuple[list[Tensor], Tensor, tuple[Tensor, ...]]:
        params = [param.detach().requires_grad_() for param in self._natural_params]
        normalizer = self._log_normalizer(*params)
        gradients = torch.autograd.grad(normalizer.sum(), params, create_graph=True)
        return params, normalizer, gradients
