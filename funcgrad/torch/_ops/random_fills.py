"""Random numbers drawn into a tensor: `normal_`, `uniform_` and the like."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.engine import Op, Storage, Variable, local
from funcgrad.torch._levels.batches import check_drawn_in_place, of_batches
from funcgrad.torch._memory.storages import aval_of
from funcgrad.torch._random import distributions
from funcgrad.torch._tensor.in_place import in_place, writable
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor, place
from funcgrad.torch._tensor.view import geometry


@lru_cache(maxsize=64)
def _replace(label: str) -> Op:
    return Op("draw", lambda _, new: new, label=label, counted=1)


def _drawing(name: str, label: str, draw: Callable[..., np.ndarray]) -> Callable[..., Tensor]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        writable(self)
        aval = aval_of(self._storage)
        of = geometry(self)
        # PyTorch draws the numbers in the order of the elements in memory.
        order = sorted(range(len(of.size)), key=lambda k: (-of.stride[k], k))
        batches = check_drawn_in_place(self) if local.recorder.levels else ()
        shape = (*batches, *[of.size[k] for k in order])
        drawn = draw(shape, *args, dtype=self.dtype, **kwargs)
        back = [*range(len(batches)), *[len(batches) + order.index(k) for k in range(len(order))]]
        value = place(np.transpose(drawn, back).astype(aval.dtype))
        if local.recorder.levels:
            value = of_batches(value)
        return in_place(_replace(label), self, Variable(Storage(value)))

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"Fill the tensor with random numbers, as `Tensor.{name}_`."
    return method


def _random(shape: Any, *bounds: int, dtype: Any, generator: Any = None) -> np.ndarray:
    if not bounds:
        return distributions.random(shape, dtype=dtype, generator=generator)
    low, high = bounds if len(bounds) == 2 else (0, bounds[0])
    return distributions.randint(shape, low, high, dtype=dtype, generator=generator)


publish_all(
    {},
    {
        "bernoulli_": _drawing(
            "bernoulli",
            "BernoulliBackward2",
            lambda shape, p=0.5, **more: distributions.bernoulli(shape, p, **more),
        ),
        "cauchy_": _drawing("cauchy", "CauchyBackward0", distributions.cauchy),
        "exponential_": _drawing("exponential", "ExponentialBackward0", distributions.exponential),
        "geometric_": _drawing("geometric", "GeometricBackward0", distributions.geometric),
        "log_normal_": _drawing("log_normal", "LogNormalBackward0", distributions.log_normal),
        "normal_": _drawing("normal", "NormalBackward0", distributions.normal),
        "random_": _drawing("random", "RandomBackward2", _random),
        "uniform_": _drawing("uniform", "UniformBackward0", distributions.uniform),
    },
)
