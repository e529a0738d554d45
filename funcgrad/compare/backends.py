"""The backends that can be compared: one row each."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

import jax

from funcgrad.compare import functional, imperative
from funcgrad.compare.devices import pytorch_name
from funcgrad.compare.problem import Problem
from funcgrad.compare.session import Session


class Backend(NamedTuple):
    """One way of training the regression.

    Attributes:
        name: what a user asks for.
        unavailable: why it cannot run on a device, or None where it can.
        prepare: places a problem on its device.
    """

    name: str
    unavailable: Callable[[jax.Device], str | None]
    prepare: Callable[[Problem], Session]


def _always(device: jax.Device) -> None:
    return None


def _without_pytorch(device: jax.Device) -> str | None:
    if find_spec("torch") is None:
        return "PyTorch is not installed (pip install 'funcgrad[compare]')"
    name = pytorch_name(device)
    if name is None:
        return f"PyTorch does not compute on {device.platform}"
    try:
        torch = import_module("torch")
    except (ImportError, OSError) as error:  # OSError: a shared library that it needs is missing
        return f"PyTorch is installed, but cannot be imported ({error})"
    if device.platform == "gpu" and not torch.cuda.is_available():
        return f"this PyTorch ({torch.__version__}) sees no GPU"
    return None


def _pytorch(problem: Problem) -> Session:
    name = pytorch_name(problem.device)
    assert name is not None, "_without_pytorch has said so"
    return imperative.prepare(import_module("torch"), name, problem)


def _shim(problem: Problem) -> Session:
    name = pytorch_name(problem.device) or problem.device.platform
    return imperative.prepare(import_module("funcgrad.torch"), name, problem)


BACKENDS = {
    row.name: row
    for row in [
        Backend("pytorch", _without_pytorch, _pytorch),
        Backend("shim", _always, _shim),
        Backend("jax", _always, functional.prepare_steps),
        Backend("jax-loop", _always, functional.prepare_loop),
    ]
}
"""In the order in which they are shown; the first that can run is the reference."""
