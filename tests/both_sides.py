"""One program on PyTorch and on the shim: `assert_same(program)` compares everything that it saw.

A program is a function of `torch`, one of the two sides, and of `see`, which notes down what it is given as it is at that
moment: tensors with their elements and everything else that a user can ask of them, nodes by their names, errors by their
type and words. The warnings and the error that ends a program are seen too. `source(text)` makes a program of Python source.
"""

import contextlib
import importlib
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad.torch as ours

try:
    import torch as theirs

    with warnings.catch_warnings():
        # It is loaded with the first derivative in forward mode, and uses what PyTorch deprecates.
        warnings.simplefilter("ignore")
        importlib.import_module("torch._decomp.decompositions_for_jvp")
except ImportError:

    class _Missing:
        """Stands for PyTorch where it is not installed: the test or module that uses it is skipped."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):  # asked by pytest and doctest of all that a module holds
                raise AttributeError(name)
            pytest.skip("PyTorch is not installed", allow_module_level=True)

    theirs: Any = _Missing()  # type: ignore[no-redef]

SIDES = (ours, theirs)
DTYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
)

Program = Callable[[Any, Callable[..., None]], None]

# Faults of a test itself, which would be the same on both sides.
MISTAKES = (NameError, SyntaxError)
# Types that are compared as they are. Any other counts as its type's name, since each side has its own classes.
PLAIN = (bool, int, float, complex, str, bytes, set, frozenset, range, slice, np.generic)

# Programs that are source begin with these tensors.
START = """
l = torch.arange(1.0, 25.0).reshape(2, 3, 4).clone().requires_grad_()
w = torch.tensor([0.5, -1.5, 2.0], requires_grad=True)
x = l * 1
n = torch.arange(24.0).reshape(2, 3, 4).clone()
i = torch.tensor([1, 0])
m = torch.tensor([[True, False, True], [False, True, False]])
"""


def assert_same(program: Program | str, rtol: float = 1e-6, atol: float = 0.0) -> None:
    """The program sees the same on both sides: a tensor's elements to rounding, all else exactly.

    Args:
        program: a function of `torch` and `see`; or source, after whose end all tensors that it left behind are seen.
        rtol: how far elements may be apart, relative to PyTorch's.
        atol: how far they may be apart besides, where they come of larger numbers.
    """
    function = source(program) if isinstance(program, str) else program
    with every_warning():
        expected = seen(theirs, function)
    mine = seen(ours, function)
    assert_alike(mine, expected, rtol, atol)


@contextlib.contextmanager
def every_warning() -> Iterator[None]:
    """PyTorch gives some warnings once a process; here it gives them every time."""
    before = theirs.is_warn_always_enabled()
    theirs.set_warn_always(True)
    try:
        yield
    finally:
        theirs.set_warn_always(before)


def seen(torch: Any, program: Program) -> list[Any]:
    """All that a program saw on one side, then the error that ended it, if one did, and its warnings."""
    things: list[Any] = []

    def see(*more: Any) -> None:
        things.extend(described(torch, thing) for thing in more)

    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        see(attempt(program, torch, see))
    for warning in caught:
        # PyTorch names the line of its own source, and the stack has each side's own lines.
        text = str(warning.message).split(" (Triggered internally")[0].split("\n  File")[0]
        # Of PyTorch's own loading, when a program is the first to need a part of it.
        if not text.startswith("`torch.jit.script` is deprecated"):
            things.append((warning.category.__name__, text))
    return things


def attempt(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A call's result, or the error that it raises."""
    try:
        return call(*args, **kwargs)
    except MISTAKES:
        raise
    except Exception as error:
        return error


# How a tensor is described.
QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "shape": lambda tensor: tuple(tensor.shape),
    "dtype": lambda tensor: str(tensor.dtype),
    "requires_grad": lambda tensor: tensor.requires_grad,
    "is_leaf": lambda tensor: tensor.is_leaf,
    "node": lambda tensor: name_of(tensor.grad_fn),
    "elements": lambda tensor: elements(tensor),
}
# Where its elements lie, which programs that are source see as well.
MEMORY: dict[str, Callable[[Any], Any]] = {
    "stride": lambda tensor: tensor.stride(),
    "storage_offset": lambda tensor: tensor.storage_offset(),
    "is_contiguous": lambda tensor: tensor.is_contiguous(),
    "version": lambda tensor: tensor._version,
    "is_view": lambda tensor: tensor._is_view(),
}


def name_of(node: Any) -> Any:
    """Both names of a graph node."""
    return None if node is None else (type(node).__name__, node.name())


def elements(tensor: Any) -> np.ndarray:
    """A copy of a tensor's elements; NumPy knows no bfloat16."""
    tensor = tensor.float() if "bfloat16" in str(tensor.dtype) else tensor
    return tensor.numpy(force=True).copy()


def described(torch: Any, thing: Any, questions: Iterable[str] = QUESTIONS) -> Any:
    """A thing as both sides can have it in common, and as it is now."""
    if isinstance(thing, torch.Tensor):
        answers = attempt(lambda: {name: QUESTIONS[name](thing) for name in questions})
        return described(torch, answers)
    if isinstance(thing, BaseException):
        return (type(thing).__name__, str(thing))
    if isinstance(thing, (list, tuple)):
        return (type(thing).__name__, [described(torch, each, questions) for each in thing])
    if isinstance(thing, dict):
        each = {key: described(torch, value, questions) for key, value in thing.items()}
        return (type(thing).__name__, each)
    if isinstance(thing, np.ndarray):
        return thing.copy()
    if isinstance(thing, torch.dtype):
        return str(thing)
    if thing is None or isinstance(thing, PLAIN):
        return thing
    return type(thing).__name__


def assert_alike(mine: Any, expected: Any, rtol: float, atol: float, where: str = "seen") -> None:
    """Two descriptions are the same, elements to rounding."""
    assert type(mine) is type(expected), f"{where}: {mine!r} is not {expected!r}"
    if isinstance(expected, np.ndarray):
        assert mine.dtype == expected.dtype, where
        assert mine.shape == expected.shape, where
        np.testing.assert_allclose(mine, expected, rtol, atol, err_msg=where)
    elif isinstance(expected, dict):
        assert list(mine) == list(expected), where
        for name in expected:
            assert_alike(mine[name], expected[name], rtol, atol, f"{where}[{name!r}]")
    elif isinstance(expected, (list, tuple)):
        assert len(mine) == len(expected), f"{where}: {mine!r} is not {expected!r}"
        for k in range(len(expected)):
            assert_alike(mine[k], expected[k], rtol, atol, f"{where}[{k}]")
    elif expected == expected:  # not NaN
        assert mine == expected, f"{where}: {mine!r} is not {expected!r}"
    else:
        assert mine != mine, where


def result_of(call: Callable[..., Any], *places: str) -> Program:
    """A program that sees what `call` returns, given `torch` and what lies at these places in it ("autograd.functional").

    Warnings and the names of graph nodes are left out: a transformation takes other ops than PyTorch's.
    """

    def program(torch: Any, see: Callable[..., None]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = call(torch, *(operator.attrgetter(place)(torch) for place in places))
        see(described(torch, result, [name for name in QUESTIONS if name != "node"]))

    return program


def source(text: str) -> Program:
    """A program that executes source after `START`, and sees its error, every tensor and the gradients of `START`'s."""

    def program(torch: Any, see: Callable[..., None]) -> None:
        scope: dict[str, Any] = {"torch": torch, "np": np}
        exec(START, scope)
        known = [name for name, value in scope.items() if isinstance(value, torch.Tensor)]
        see(attempt(exec, text, scope))
        named = tensors_of(torch, scope)
        for name, tensor in named.items():
            base = attempt(getattr, tensor, "_base")
            see(name, tensor, [other for other, each in named.items() if each is base])
            see(base is None, {what: attempt(ask, tensor) for what, ask in MEMORY.items()})
        roots, weights = [], []
        for name, tensor in named.items():
            node = attempt(getattr, tensor, "grad_fn")
            if isinstance(node, Exception):
                see(name, node)  # a view that must not be used
            elif node is not None and name != "l":
                numbers = np.arange(1.0, tensor.numel() + 1).reshape(tuple(tensor.shape))
                roots.append(tensor)
                weights.append(torch.tensor(numbers, dtype=tensor.dtype))
        if roots:
            see(attempt(torch.autograd.backward, roots, weights))
        see({name: scope[name].grad for name in known if scope[name].is_leaf})

    return program


def tensors_of(torch: Any, scope: dict[str, Any]) -> dict[str, Any]:
    """The tensors in a scope, then those in its lists and tuples, by name."""
    named = {name: value for name, value in scope.items() if isinstance(value, torch.Tensor)}
    for name, value in scope.items():
        if isinstance(value, (tuple, list)):
            inside = {f"{name}[{k}]": each for k, each in enumerate(value)}
            named |= {key: each for key, each in inside.items() if isinstance(each, torch.Tensor)}
    return named


def outcome(call: Callable[..., Any], *side: Any) -> Any:
    """A call's result, or the type and words of its error; its warnings are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = attempt(call, *side)
    return (type(found), str(found)) if isinstance(found, Exception) else found


def assert_alike_results(mine: Any, expected: Any) -> None:
    """One thing of each side: the same nesting, types, shapes, dtypes, requires_grad and elements."""
    asked = ["shape", "dtype", "requires_grad", "elements"]
    assert_alike(described(ours, mine, asked), described(theirs, expected, asked), 1e-6, 1e-7)
