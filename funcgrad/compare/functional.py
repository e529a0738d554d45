"""The regression as pure JAX functions: step by step from Python, and the whole loop on the device."""

import warnings
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
    """Return what trains by one compiled program a step, called from a Python loop."""
    optimizer, x, y = _prepare(problem)

    @jax.jit
    def step(params: Any, state: Any, x: Any, y: Any) -> tuple[Any, Any]:
        grads = jax.grad(regression.loss)(params, x, y)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def train(steps: int) -> Parameters:
        with _precision(problem):
            params = _placed(problem.initial, problem)
            state = optimizer.init(params)
            for _ in range(steps):
                params, state = step(params, state, x, y)
            return _numpy(params)

    return Session(train, _value_and_grad(problem, x, y))


def prepare_loop(problem: Problem) -> Session:
    """Return what trains by one compiled program, the loop included."""
    optimizer, x, y = _prepare(problem)

    def train(steps: int) -> Parameters:
        with _precision(problem), warnings.catch_warnings():
            warnings.simplefilter("ignore", DivergenceWarning)  # it becomes the error below
            params = _placed(problem.initial, problem)
            result = fit(regression.loss, params, x, y, optimizer=optimizer, steps=steps)
            if result.diverged:
                raise divergence(problem)
            return _numpy(result.params)

    return Session(train, _value_and_grad(problem, x, y))


def _prepare(problem: Problem) -> tuple[optax.GradientTransformation, jax.Array, jax.Array]:
    with _precision(problem):
        x, y = jax.device_put((problem.x, problem.y), problem.device)
    row = problem.optimizer
    return row.optax(problem.learning_rate, **row.constants), x, y


def _value_and_grad(problem: Problem, x: jax.Array, y: jax.Array) -> Any:
    compiled = jax.jit(regression.value_and_grad)

    def value_and_grad(params: Parameters) -> tuple[float, Parameters]:
        with _precision(problem):
            value, grads = compiled(_placed(params, problem), x, y)
            return float(value), _numpy(grads)

    return value_and_grad


def _precision(problem: Problem) -> Any:
    """JAX knows float64 only within this context; outside it the user's own setting stands."""
    return jax.enable_x64(problem.dtype == np.float64)


def _placed(params: Parameters, problem: Problem) -> Linear:
    return Linear(*jax.device_put(tuple(params), problem.device))


def _numpy(params: Any) -> Parameters:
    return Parameters(*map(np.asarray, params))
