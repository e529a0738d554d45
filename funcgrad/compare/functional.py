"""The regression as pure JAX functions: step by step from Python, and the whole loop on the device."""

import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import islice
from typing import Any

import jax
import numpy as np
import optax

from funcgrad import regression
from funcgrad.compare.problem import Parameters, Problem, divergence
from funcgrad.compare.session import Session
from funcgrad.regression import Linear
from funcgrad.training import DivergenceWarning, fit


def prepare_steps(problem: Problem) -> Session:
    """Return a session that compiles one step, and calls it from a Python loop."""
    x, y = _data(problem)
    make = _maker(problem)
    step = _step(make)

    def walk() -> Iterator[Any]:
        """The parameters after each step, without end."""
        params = _placed(problem.initial, problem)
        state = make(problem.learning_rate).init(params)
        while True:
            params, state = step(params, state, x, y, problem.learning_rate)
            yield params

    def train(steps: int) -> Parameters:
        with _precision(problem):
            return _numpy(next(islice(walk(), steps - 1, None)))

    def along(every: int, count: int) -> list[Parameters]:
        with _precision(problem):
            return [_numpy(each) for each in islice(walk(), every - 1, every * count, every)]

    return Session(train, _value_and_grad(problem, x, y), along)


def prepare_loop(problem: Problem) -> Session:
    """Return a session that compiles the whole training, the loop included."""
    x, y = _data(problem)
    make = _maker(problem)

    def trained(steps: int, **watched: Any) -> Parameters:
        with _precision(problem), warnings.catch_warnings():
            warnings.simplefilter("ignore", DivergenceWarning)  # it becomes the error below
            result = fit(
                regression.loss,
                _placed(problem.initial, problem),
                x,
                y,
                optimizer=make,
                learning_rate=problem.learning_rate,
                steps=steps,
                **watched,
            )
            if result.diverged:
                raise divergence(problem)
            return _numpy(result.params)

    def along(every: int, count: int) -> list[Parameters]:
        found: list[Parameters] = []
        trained(
            every * count,
            callback=lambda reached: found.append(_numpy(reached.params)),
            progress_every=every,
        )
        return found

    return Session(trained, _value_and_grad(problem, x, y), along)


Maker = Callable[[Any], optax.GradientTransformation]
"""Makes an optimizer from a learning rate."""


def _maker(problem: Problem) -> Maker:
    row = problem.optimizer
    return _with_constants(row.optax, tuple(row.constants.items()))


# A problem is prepared again with moved numbers: what was compiled for it serves these too.
@cache
def _with_constants(
    make: Callable[..., optax.GradientTransformation], constants: tuple[tuple[str, Any], ...]
) -> Maker:
    return partial(make, **dict(constants))


@cache
def _step(make: Maker) -> Any:
    @jax.jit
    def step(params: Any, state: Any, x: Any, y: Any, rate: Any) -> tuple[Any, Any]:
        grads = jax.grad(regression.loss)(params, x, y)
        updates, state = make(rate).update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step


_compiled_value_and_grad = jax.jit(regression.value_and_grad)


def _data(problem: Problem) -> tuple[jax.Array, jax.Array]:
    with _precision(problem):
        return jax.device_put((problem.x, problem.y), problem.device)


def _value_and_grad(problem: Problem, x: jax.Array, y: jax.Array) -> Any:
    def value_and_grad(params: Parameters) -> tuple[float, Parameters]:
        with _precision(problem):
            value, grads = _compiled_value_and_grad(_placed(params, problem), x, y)
            return float(value), _numpy(grads)

    return value_and_grad


def _precision(problem: Problem) -> Any:
    """JAX knows float64 only within this context; outside it the user's own setting stands."""
    return jax.enable_x64(problem.dtype == np.float64)


def _placed(params: Parameters, problem: Problem) -> Linear:
    return Linear(*jax.device_put(tuple(params), problem.device))


def _numpy(params: Any) -> Parameters:
    return Parameters(*map(np.asarray, params))
