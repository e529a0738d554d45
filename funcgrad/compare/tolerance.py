"""How far two correct backends may differ: what rounding in a dtype does to this very problem.

Rounding depends on the order in which a backend adds, which none promises. So the allowance is
computed, not chosen: one evaluation of the gradient is bounded by the analysis of rounding in inner
products, and what a whole training makes of such errors is found by training again in float64 with
errors of that size put in, for any optimizer.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from funcgrad.compare.devices import on_host
from funcgrad.compare.problem import Parameters, Problem

SAFETY = 4.0
"""λ, in standard deviations: rounding errors are taken to stay within so many."""

TRAININGS = 16
"""How many times the training is repeated with errors put in."""


class Allowance(NamedTuple):
    """The largest difference that rounding explains, of any one element."""

    loss: float
    gradient: float


def allowance(problem: Problem, params: Parameters) -> Allowance:
    """Bound the difference of two evaluations of the loss, and of its gradient, at params.

    With u the unit roundoff, D the design matrix with its column of ones, p the parameters and
    r = Dp - y, a sum of n rounded terms is off by at most λ√n u times the sum of their sizes,
    except with probability 2 exp(-λ²/2). So a residual is off by λ√d u (|D||p| + |y|), and

        loss:      1/n Σ (2|r| + |δr|) |δr| + λ√n u loss
        gradient:  2/n (|D|ᵀ |δr| + λ√n u |D|ᵀ|r|)

    and the difference of two evaluations by twice that. (N. J. Higham, T. Mary, "A New Approach to
    Probabilistic Rounding Error Analysis", SIAM J. Sci. Comput. 41 (2019), A2815-A2835, theorem 3.1.)

    >>> import numpy as np
    >>> from funcgrad.compare.problem import make_problem
    >>> problem = make_problem(np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 3.0, 5.0]))
    >>> 1e-7 < allowance(problem, problem.initial).gradient < 1e-4
    True
    """
    design, y = problem.design, problem.y.astype(np.float64)
    vector = params.vector
    rows, width = design.shape
    roundoff = SAFETY * np.finfo(problem.dtype).eps / 2
    residual = np.abs(design @ vector - y)
    error = roundoff * math.sqrt(width) * (np.abs(design) @ np.abs(vector) + np.abs(y))
    summing = roundoff * math.sqrt(rows)
    loss = np.mean((2 * residual + error) * error) + summing * np.mean(residual**2)
    gradient = 2 / rows * np.abs(design).T @ (error + summing * residual)
    return Allowance(2 * float(loss), 2 * float(gradient.max()))


def training_allowance(problem: Problem, steps: int) -> float:
    """Bound the difference of the parameters that two trainings reach after so many steps.

    The training is repeated in float64, once exactly and `TRAININGS` times with errors of random
    sign and as large as rounding makes them: in every gradient (as in `allowance`, with λ = 1), in
    every updated parameter, and once in the learning rate. The last stands for the optimizer's own
    arithmetic, where 1 - decay magnifies the rounding of a decay: 0.999 in float32 leaves 1 - 0.999
    with an error of 1 part in 100,000. The allowance is `SAFETY` times the largest change of any
    parameter. (Repeating a computation with random errors of the size of rounding, to see what
    rounding does to it: D. S. Parker, "Monte Carlo Arithmetic", UCLA report CSD-970002, 1997.)

    The cost does not depend on the rows: the gradient needs only their sums of products.
    """
    design, y = problem.design, problem.y.astype(np.float64)
    rows, width = design.shape
    unit = float(np.finfo(problem.dtype).eps) / 2
    sums = _Sums(
        gram=2 / rows * design.T @ design,
        moment=2 / rows * design.T @ y,
        gram_size=2 / rows * np.abs(design).T @ np.abs(design),
        moment_size=2 / rows * np.abs(design).T @ np.abs(y),
    )
    row = problem.optimizer
    magnified = sum(1 / (1 - decay) for decay in row.constants.values())
    errors = _Errors(
        rate=unit * (1 + magnified),
        gradient=unit * (math.sqrt(rows) + math.sqrt(width)),
        parameter=unit,
    )
    with on_host(), jax.enable_x64(True):
        sizes = jnp.ones(1 + TRAININGS).at[0].set(0)
        keys = jax.random.split(jax.random.key(0), 1 + TRAININGS)
        exact, *disturbed = np.asarray(
            _trainings(
                row.optax,
                tuple(row.constants.items()),
                problem.learning_rate,
                problem.initial.vector,
                steps,
                sums,
                errors,
                sizes,
                keys,
            )
        )
    return SAFETY * max(float(np.abs(params - exact).max()) for params in disturbed)


class _Sums(NamedTuple):
    """The loss's Hessian and minus its gradient at zero, from the data and from its absolute values."""

    gram: Any
    moment: Any
    gram_size: Any
    moment_size: Any


class _Errors(NamedTuple):
    """The size of rounding's error, relative to what is rounded or summed."""

    rate: Any
    gradient: Any
    parameter: Any


@partial(jax.jit, static_argnums=(0, 1))
def _trainings(
    make_optimizer: Callable[..., optax.GradientTransformation],
    constants: tuple[tuple[str, float], ...],
    learning_rate: Array,
    start: Float[Array, " parameters"],
    steps: Array,
    sums: _Sums,
    errors: _Errors,
    sizes: Float[Array, " trainings"],
    keys: PRNGKeyArray,
) -> Float[Array, "trainings parameters"]:
    """Return the final parameters of one training for each key, with its size of errors put in."""

    def train(size: Array, key: Array) -> Array:
        def disturbed(values: Array, error: Array, key: Array) -> Array:
            return values + size * error * jax.random.rademacher(key, values.shape, values.dtype)

        rate = disturbed(learning_rate, errors.rate * learning_rate, key)
        optimizer = make_optimizer(rate, **dict(constants))

        def step(at: Array, carry: Any) -> Any:
            params, state = carry
            key_grads, key_params = jax.random.split(jax.random.fold_in(key, at))
            terms = sums.gram_size @ jnp.abs(params) + sums.moment_size
            grads = sums.gram @ params - sums.moment
            updates, state = optimizer.update(
                disturbed(grads, errors.gradient * terms, key_grads), state
            )
            params = optax.apply_updates(params, updates)
            return disturbed(params, errors.parameter * jnp.abs(params), key_params), state

        return jax.lax.fori_loop(0, steps, step, (start, optimizer.init(start)))[0]

    return jax.vmap(train)(sizes, keys)
