"""PyTorch's own table of optimizers, `optim_db`: every configuration trains on PyTorch and on the shim.

    python -m tests.against_pytorch.optim_db [--names Adam,SGD] [--dtypes float64]

prints how many configurations agree: parameters after each of ten steps, the state after the last, and the steps that follow
when each side takes the other's state. Then how many of the table's refused inputs are refused in the same words.
"""

import argparse
import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.against_pytorch.module_db import ROUNDING, apart, converted, flat
from tests.both_sides import ours, theirs

# One step of LBFGS is twenty, each divides by differences of gradients, and a threshold decides which differences count.
STEPS, LBFGS_STEPS, LBFGS_ROUNDING = 10, 3, 50


def infos(names: set[str] | None = None) -> list[Any]:
    """The entries of the table whose optimizer the shim has, for gradients that are not sparse."""
    from torch.testing._internal.common_optimizers import optim_db  # takes seconds to load

    return [
        info
        for info in optim_db
        if hasattr(ours.optim, info.name)
        and not info.only_supports_sparse_grads
        and (names is None or info.name in names)
    ]


def configurations(info: Any) -> Iterator[dict[str, Any]]:
    """The options of an optimizer that PyTorch's tests run on a CPU, its flags included."""
    from torch.testing._internal.common_optimizers import (
        _get_optim_inputs_including_global_cliquey_kwargs as inputs,
    )

    for each in inputs("cpu", theirs.float32, info):
        # One is refused on a CPU, and one for leaves.
        if not each.kwargs.get("capturable") and not each.kwargs.get("differentiable"):
            yield each.kwargs


def problem(torch: Any, dtype: str) -> tuple[list[Any], Any]:
    """Parameters of several shapes, and a closure: the loss of a small net, and its gradients."""
    rng = np.random.default_rng(3)
    kind = getattr(torch, dtype)
    shapes = (3, 4), (4,), (4, 2), ()
    parameters = [torch.tensor(rng.normal(size=s)).to(kind).requires_grad_() for s in shapes]
    x, y = (torch.tensor(rng.normal(size=s)).to(kind) for s in ((6, 3), (6, 2)))

    def loss() -> Any:
        w, b, v, c = parameters
        for each in parameters:
            each.grad = None
        out = ((torch.tanh(x @ w + b) @ v + c - y) ** 2).mean()
        out.backward()
        return out

    return parameters, loss


class Run:
    """Ten steps on one side.

    Attributes:
        trajectory: the loss and the parameters after each step, as a vector.
        state: the state dict after the last.
    """

    def __init__(self, torch: Any, name: str, options: dict[str, Any], dtype: str) -> None:
        self.parameters, self.loss = problem(torch, dtype)
        trained = [each for each in self.parameters if name != "Muon" or each.ndim == 2]
        self.optimizer = getattr(torch.optim, name)(trained, **options)
        self.trajectory = self.steps()
        self.state = copy.deepcopy(self.optimizer.state_dict())

    def steps(self) -> list[np.ndarray]:
        """Take the steps."""
        seen = []
        for _ in range(LBFGS_STEPS if type(self.optimizer).__name__ == "LBFGS" else STEPS):
            now = [self.optimizer.step(self.loss), *self.parameters]
            seen.append(np.concatenate([each.detach().numpy().reshape(-1) for each in now]))
        return seen


def differences(name: str, options: dict[str, Any], dtype: str) -> list[str]:
    """How the two sides differ on a configuration; empty if they agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = Run(theirs, name, copy.deepcopy(options), dtype)
        try:
            mine = Run(ours, name, converted(copy.deepcopy(options)), dtype)
            rounding = LBFGS_ROUNDING if name == "LBFGS" else 1
            found = _apart("trajectory", mine.trajectory, expected.trajectory, rounding)
            # The differences that LBFGS keeps are of gradients near zero, and have few digits.
            found += _states(mine.state, expected.state, np.inf if name == "LBFGS" else rounding)
            mine.optimizer.load_state_dict(converted(expected.state))
            expected.optimizer.load_state_dict(_as_theirs(mine.state, expected.state))
            after = mine.steps(), expected.steps()
            found += _apart("trajectory with the other's state", *after, rounding)
        except Exception as error:
            return [f"{type(error).__name__}: {error}"]
    return found


def _apart(
    what: str, mine: list[np.ndarray], expected: list[np.ndarray], rounding: float
) -> list[str]:
    for k, (one, other) in enumerate(zip(mine, expected, strict=True)):
        if one.dtype != other.dtype or one.shape != other.shape:
            return [f"{what}[{k}] is {one.dtype}{one.shape}, not {other.dtype}{other.shape}"]
        if (distance := apart(one, other, np.abs(other).max(initial=0))) > rounding * ROUNDING[
            one.dtype.name
        ]:
            return [f"{what}[{k}] differs by {distance:.1e}"]
    return []


def _states(mine: Any, expected: Any, rounding: float) -> list[str]:
    if mine["param_groups"] != converted(expected["param_groups"]):
        return [f"groups {mine['param_groups']}, not {expected['param_groups']}"]
    sides = [
        {k: dict(sorted(each.items())) for k, each in side["state"].items()}
        for side in (mine, expected)
    ]
    names = [[(k, list(each)) for k, each in side.items()] for side in sides]
    if names[0] != names[1]:
        return [f"state {names[0]}, not {names[1]}"]
    pairs = zip(*map(flat, sides), strict=True)
    arrays = [[np.asarray(_plain(each)) for each in pair] for pair in pairs]
    return _apart("state", [a for a, _ in arrays], [b for _, b in arrays], rounding)


def _plain(thing: Any) -> Any:
    return thing.detach().numpy() if isinstance(thing, (theirs.Tensor, ours.Tensor)) else float(thing or 0)  # fmt: skip


def _as_theirs(thing: Any, like: Any) -> Any:
    """A state for PyTorch, laid out in memory as `like`: its fused kernels take it that buffers lie as gradients do."""
    if isinstance(thing, ours.Tensor):
        made = theirs.tensor(thing.detach().numpy())
        return like.detach().clone().copy_(made) if isinstance(like, theirs.Tensor) else made
    if isinstance(thing, (list, tuple)):
        return type(thing)(_as_theirs(a, b) for a, b in zip(thing, like, strict=True))
    if isinstance(thing, dict):
        return {key: _as_theirs(each, like[key]) for key, each in thing.items()}
    return thing


def refusals(info: Any) -> list[str]:
    """The refused inputs of an optimizer that the shim takes, or refuses in other words."""
    found = []
    for case in info.optim_error_inputs_func("cpu", theirs.float32):
        given = case.optimizer_error_input
        expected, mine = (
            _refusal(torch, info.name, give(given.params), give(given.kwargs))
            for torch, give in ((theirs, lambda thing: thing), (ours, _given))
        )
        if mine != expected:
            found.append(f"{given.desc}: {mine}, not {expected}")
    return found


def _given(thing: Any, known: dict[int, Any] | None = None) -> Any:
    """As `converted`, but the same parameter twice stays the same parameter, and gradients come along."""
    known = {} if known is None else known
    if isinstance(thing, theirs.Tensor):
        if id(thing) not in known:
            known[id(thing)] = converted(thing)
            if thing.grad is not None:
                known[id(thing)].grad = converted(thing.grad)
        return known[id(thing)]
    if isinstance(thing, (list, tuple)):
        return type(thing)(_given(each, known) for each in thing)
    if isinstance(thing, dict):
        return {key: _given(each, known) for key, each in thing.items()}
    return thing


def _refusal(torch: Any, name: str, parameters: Any, options: dict[str, Any]) -> Any:
    if parameters is None:
        parameters = [torch.nn.Parameter(torch.ones(1, 1))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            getattr(torch.optim, name)(parameters, **options).step()
        except Exception as error:
            return type(error).__name__, str(error).replace("funcgrad.torch", "torch")
    return None


def main() -> None:
    """Print the tally."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--names", help="optimizers, with commas; all without")
    parser.add_argument("--dtypes", default="float32,float64")
    options = parser.parse_args()
    chosen = infos(set(options.names.split(",")) if options.names else None)
    for dtype in options.dtypes.split(","):
        agree = samples = 0
        for info in chosen:
            for kwargs in configurations(info):
                found = differences(info.name, kwargs, dtype)
                samples, agree = samples + 1, agree + (not found)
                if found:
                    print(info.name, kwargs, found, flush=True)
        print(f"{dtype}: {len(chosen)} optimizers, {samples} configurations, {agree} agree")
    for info in chosen:
        for line in refusals(info):
            print(info.name, line)


if __name__ == "__main__":
    main()
