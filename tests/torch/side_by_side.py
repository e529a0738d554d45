"""Running one source on PyTorch and on the shim, and comparing all that it saw."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad.torch as ours

Program = Callable[[Any, Callable[..., None]], None]


def outcome(torch: Any, program: Program) -> list[Any]:
    """What a program saw: all it handed to `see`, what it warned of, and the error that ended it, if one did."""
    seen: list[Any] = []

    def see(*things: Any) -> None:
        seen.extend(described(torch, thing) for thing in things)

    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            program(torch, see)
        except Exception as error:
            seen.append((type(error).__name__, str(error)))
    for warning in caught:
        # PyTorch names the line of its own source, and the stack has each side's own lines.
        text = str(warning.message).split(" (Triggered internally")[0].split("\n  File")[0]
        if (
            "create_graph=True will create a reference cycle" not in text
        ):  # PyTorch warns once a process
            seen.append((warning.category.__name__, text))
    return seen


def attempt(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call returns, or the error it raises."""
    try:
        return call(*args, **kwargs)
    except Exception as error:
        return error


def described(torch: Any, thing: Any) -> Any:
    """A thing that the two sides have in common: tensors as their elements and flags, nodes as their names."""
    if isinstance(thing, torch.Tensor):
        node = None if thing.grad_fn is None else type(thing.grad_fn).__name__
        elements = thing.detach().numpy()
        return ("tensor", str(thing.dtype), thing.requires_grad, node, elements.tolist())
    if isinstance(thing, (list, tuple)):
        return [described(torch, each) for each in thing]
    if thing is None or isinstance(thing, (bool, int, float, complex, str)):
        return thing
    if isinstance(thing, Exception):
        return (type(thing).__name__, str(thing))
    if isinstance(thing, dict):
        return {key: described(torch, each) for key, each in thing.items()}
    return type(thing).__name__


def assert_same(program: Program) -> None:
    """The program sees the same on both sides, elements to float rounding. Skips the test where PyTorch is not there."""
    theirs = pytest.importorskip("torch")
    expected, mine = outcome(theirs, program), outcome(ours, program)
    assert_close(mine, expected)


def assert_close(mine: Any, expected: Any) -> None:
    """Two descriptions are the same, numbers to float rounding."""
    if isinstance(expected, (list, tuple)):
        assert isinstance(mine, (list, tuple)), f"{mine} is not {expected}"
        assert len(mine) == len(expected), f"{mine} is not {expected}"
        for a, b in zip(mine, expected, strict=True):
            assert_close(a, b)
    elif isinstance(expected, dict):
        assert isinstance(mine, dict), f"{mine} is not {expected}"
        assert list(mine) == list(expected)
        assert_close(list(mine.values()), list(expected.values()))
    elif isinstance(expected, float):
        assert mine == pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True)
    else:
        assert mine == expected
