"""The optimizers that can be compared: one row each, in PyTorch's definition and as optax's equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import optax


class Optimizer(NamedTuple):
    """One algorithm in two spellings.

    Attributes:
        name: what a user asks for.
        constants: its further numbers, by optax's names.
        pytorch: makes it from the `torch` module, the parameters and the learning rate.
        optax: makes it from the learning rate and the constants.
        stable: the learning rate below which it converges on the regression, from the loss's
            largest curvature; None if no such rate is known.
        automatic: the learning rate used unless one is asked for, from that curvature, the largest
            distance a parameter has to travel, and the number of steps.
    """

    name: str
    constants: Mapping[str, float]
    pytorch: Callable[[Any, list[Any], float], Any]
    optax: Callable[..., optax.GradientTransformation]
    stable: Callable[[float], float] | None
    automatic: Callable[[float, float, int], float]


MOMENTUM = 0.9

OPTIMIZERS = {
    row.name: row
    for row in [
        Optimizer(
            "sgd",
            {},
            lambda torch, params, rate: torch.optim.SGD(params, lr=rate),
            optax.sgd,
            stable=lambda curvature: 2 / curvature,
            automatic=lambda curvature, distance, steps: 1 / curvature,
        ),
        # Stability of heavy-ball descent: B. T. Polyak, "Introduction to Optimization" (1987), 3.2.1.
        Optimizer(
            "momentum",
            {"momentum": MOMENTUM},
            lambda torch, params, rate: torch.optim.SGD(params, lr=rate, momentum=MOMENTUM),
            optax.sgd,
            stable=lambda curvature: 2 * (1 + MOMENTUM) / curvature,
            automatic=lambda curvature, distance, steps: 1 / curvature,
        ),
        # Adam moves a parameter by about its rate a step, so the farthest one arrives in a tenth of
        # the steps and the others settle in the rest.
        Optimizer(
            "adam",
            {"b1": 0.9, "b2": 0.999},
            lambda torch, params, rate: torch.optim.Adam(params, lr=rate),
            optax.adam,
            stable=None,
            automatic=lambda curvature, distance, steps: max(1e-3, 10 * distance / steps),
        ),
    ]
}
