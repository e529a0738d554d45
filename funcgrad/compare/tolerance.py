"""How far two correct backends may differ: what rounding in a dtype does to this very problem.

Rounding depends on the order in which a backend adds, which none promises. So the allowance is
computed, not chosen: one evaluation of the gradient is bounded by the analysis of rounding in inner
products, and what a whole training makes of such errors is found by training again in float64 with
errors of that size put in, for any optimizer.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

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


def training_allowance(problem: Problem) -> float:
    """Bound the difference of two trainings' final parameters.

    The training is repeated in float64, once exactly and `TRAININGS` times with errors of random
    sign and as large as rounding makes them: in every gradient (as in `allowance`, with λ = 1), in
    every updated parameter, and once in the learning rate. The last stands for the optimizer's own
    arithmetic, where 1 - decay magnifies the rounding of a decay: 0.999 in float32 leaves 1 - 0.999
    with an error of 1 part in 100,000. The allowance is `SAFETY` times the largest change of any
    parameter. (Repeating a computation with random errors of the size of rounding, to see what
    rounding does to it: D. S. Parker, "Monte Carlo Arithmetic", UCLA report CSD-970002, 1997.)

    The cost does not depend on the rows: the gradient needs only their sums of products.
    """
    with on_host(), jax.enable_x64(True):
        exact, *disturbed = _trainings(problem)
        return SAFETY * max(float(np.abs(params - exact).max()) for params in disturbed)


def _trainings(problem: Problem) -> Float[np.ndarray, "trainings parameters"]:
    """Return the final parameters of the exact training, then of those with errors put in."""
    design, y = problem.design, problem.y.astype(np.float64)
    rows, width = design.shape
    gram, moment = design.T @ design, design.T @ y
    gram_size, moment_size = np.abs(design).T @ np.abs(design), np.abs(design).T @ np.abs(y)
    unit = np.finfo(problem.dtype).eps / 2
    summing = unit * (math.sqrt(rows) + math.sqrt(width))
    row = problem.optimizer
    rate_error = unit * (1 + sum(1 / (1 - decay) for decay in row.constants.values()))

    def train(size: Array, key: Array) -> Array:
        def disturbed(values: Array, error: Array, key: Array) -> Array:
            return values + size * error * jax.random.rademacher(key, values.shape, values.dtype)

        key, key_rate = jax.random.split(key)
        rate = jnp.asarray(problem.learning_rate)
        optimizer = row.optax(disturbed(rate, rate_error * rate, key_rate), **row.constants)

        def step(carry: Any, key: Array) -> tuple[Any, None]:
            params, state = carry
            key_grads, key_params = jax.random.split(key)
            terms = gram_size @ jnp.abs(params) + moment_size
            grads = 2 / rows * disturbed(gram @ params - moment, summing * terms, key_grads)
            updates, state = optimizer.update(grads, state)
            params = optax.apply_updates(params, updates)
            return (disturbed(params, unit * jnp.abs(params), key_params), state), None

        start = jnp.asarray(problem.initial.vector)
        first = start, optimizer.init(start)
        (params, _), _ = jax.lax.scan(step, first, jax.random.split(key, problem.steps))
        return params

    sizes = jnp.ones(1 + TRAININGS).at[0].set(0)
    keys = jax.random.split(jax.random.key(0), 1 + TRAININGS)
    return np.asarray(jax.jit(jax.vmap(train))(sizes, keys))
