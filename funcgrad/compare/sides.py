"""A side of a comparison: a function, and how it is run with its library, values and derivatives.

Every side takes NumPy arrays and gives NumPy arrays back, whatever it computes with in between.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.compare.devices import pytorch_name
from funcgrad.compare.errors import OptionError
from funcgrad.compare.inputs import Inputs, is_floating, to_numpy
from funcgrad.compare.referring import JAX, PYTORCH, SHIM

Quantities = Mapping[str, Any]
"""A side's results: an array or a Python number for each leaf of the value and of its derivatives, by name."""

_MODULES = {PYTORCH: "torch", SHIM: "funcgrad.torch"}


class FindingError(Exception):
    """A side left nothing to compare; the message says which side, and what to do."""


class Derivatives(NamedTuple):
    """Which derivatives to take, and in which directions.

    Attributes:
        order: 0 for the value alone, 1 with the gradient, 2 with Hessian-vector products.
        directions: how many of these products.
        seed: the cotangents and the directions come from it.
    """

    order: int = 1
    directions: int = 2
    seed: int = 0


@dataclass
class Side:
    """One side of a comparison.

    Attributes:
        role: "reference" or "candidate".
        kind: the library that it runs with.
        function: takes that library's arrays.
        device: where it runs.
        notes: what a reader should know about its results; it grows as the side runs.
        may_change: whether it may change its inputs in place.
    """

    role: str
    kind: str
    function: Callable[..., Any]
    device: jax.Device
    notes: list[str]
    may_change: bool = False

    @property
    def name(self) -> str:
        """Its function's name and its library's."""
        return f"{_name_of(self.function)} ({self.kind})"

    def quantities(self, inputs: Inputs, derivatives: Derivatives) -> Quantities:
        """Compute the value, and the derivatives asked for.

        Raises:
            FindingError: the function raises an error, changes an input in place, or has no gradient.
        """
        try:
            with _precision(inputs, self.kind):
                run = _with_jax if self.kind == JAX else _with_tensors
                return run(self, inputs, derivatives)
        except (FindingError, MemoryError):
            raise
        except Exception as error:
            if is_memory_error(error):
                raise MemoryError(str(error)) from error
            told = f"{self.role} raises {_told(error)}"
            if "leaf Variable that requires grad" in str(error):
                told = (
                    f"{told.rstrip('.')}: the inputs of a comparison require grad. Let it work on a copy, such as "
                    "x.clone(), and return the new elements"
                )
            raise FindingError(told) from error

    def call(self, inputs: Inputs) -> Callable[[], Any]:
        """Return a call of the function alone, to be timed. Each call is given tensors of its own, which it may change."""
        with _precision(inputs, self.kind):
            leaves = _arguments(self, inputs)

        def run() -> Any:
            given = list(leaves)
            if self.kind != JAX:
                for k in inputs.wanted:
                    given[k] = leaves[k].detach().clone().requires_grad_()
            with _precision(inputs, self.kind):
                return self.function(*jax.tree.unflatten(inputs.tree, given))

        return run


def tensors(kind: str, inputs: Inputs) -> list[Any]:
    """Return the leaves of inputs as tensors of a library, which require grad where they are floating; as arrays for JAX.

    Raises:
        OptionError: it is PyTorch, which is not installed.
    """
    if kind == JAX:
        return list(inputs.leaves)
    if kind == PYTORCH and find_spec("torch") is None:
        raise OptionError("the function needs PyTorch, which is not installed (pip install 'funcgrad[compare]')")  # fmt: skip
    made = [_tensor(import_module(_MODULES[kind]), leaf, "cpu") for leaf in inputs.leaves]
    for k in inputs.wanted:
        made[k].requires_grad_()
    return made


def is_memory_error(error: BaseException) -> bool:
    """Whether an error says that memory is used up; each library has its own way to say it."""
    told = f"{type(error).__name__} {error}".lower()
    return isinstance(error, MemoryError) or any(
        sign in told
        for sign in ("outofmemory", "out of memory", "resource_exhausted", "can't allocate memory")
    )


def _name_of(function: Any) -> str:
    inner = getattr(function, "func", function)  # of a partial
    return str(getattr(inner, "__name__", type(inner).__name__))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


@contextlib.contextmanager
def _precision(inputs: Inputs, kind: str) -> Iterator[None]:
    """Make double precision the default if the inputs have it, so that `zeros(3)` in the code follows them."""
    wide = any(is_floating(leaf) and leaf.dtype.itemsize >= 8 and leaf.dtype != np.complex64 for leaf in inputs.leaves)  # fmt: skip
    with jax.enable_x64(True) if wide and kind == JAX else contextlib.nullcontext():
        if kind == JAX or not wide:
            yield
            return
        torch = import_module(_MODULES[kind])
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def _arguments(side: Side, inputs: Inputs) -> list[Any]:
    """The leaves of the inputs as the side's library has them, on its device; tensors to differentiate by require grad."""
    if side.kind == JAX:
        return [
            jax.device_put(leaf, side.device) if isinstance(leaf, np.ndarray) else leaf
            for leaf in inputs.leaves
        ]
    torch, device = import_module(_MODULES[side.kind]), pytorch_name(side.device) or "cpu"
    leaves = [_tensor(torch, leaf, device) for leaf in inputs.leaves]
    for k in inputs.wanted:
        leaves[k].requires_grad_()
    return leaves


def _flat(output: Any, tensor: Any = ()) -> dict[str, Any]:
    """The leaves of a result by name; a list and a tuple of the same are alike."""

    def is_leaf(leaf: Any) -> bool:
        return bool(tensor) and isinstance(leaf, tensor)

    def plain(node: Any) -> Any:
        """PyTorch's named results, such as that of `max`, as plain tuples: JAX does not know the named ones."""
        structseq = (
            isinstance(node, tuple) and type(node) is not tuple and hasattr(node, "n_fields")
        )
        return tuple(node) if structseq else node

    output = jax.tree.map(plain, plain(output), is_leaf=lambda node: is_leaf(node) or hasattr(node, "n_fields"))  # fmt: skip
    named, _ = jax.tree_util.tree_flatten_with_path(output, is_leaf=is_leaf)
    return {jax.tree_util.keystr(path): leaf for path, leaf in named}


def _checked(side: Side, flat: dict[str, Any]) -> dict[str, Any]:
    """The leaves of a result as NumPy arrays, or as Python numbers, which have no dtype of their own."""
    found = {}
    for name, leaf in flat.items():
        array = to_numpy(leaf)
        number = isinstance(array, (bool, int, float, complex))
        if not number and (not isinstance(array, np.ndarray) or array.dtype == object):
            raise FindingError(
                f"{side.role} returns {leaf!r:.100} at {name or 'its result'}: results are arrays, or pytrees of them"
            )
        found[f"value{name}"] = array
    if not found:
        raise FindingError(f"{side.role} returns nothing to compare: its result has no arrays")
    return found


def cotangents(values: Quantities, derivatives: Derivatives) -> dict[str, np.ndarray]:
    """Return a weight for each floating leaf of a result: their weighted sum is one number, whose gradient is taken.

    A single number is weighed with 1; any other result with numbers drawn from the seed, which are
    exact in float32, so that a wider run has the same.
    """
    floating = {name: each for name, each in values.items() if is_floating(each)}
    if len(floating) == 1 and all(each.ndim == 0 for each in floating.values()):
        return {name: np.ones((), each.dtype) for name, each in floating.items()}
    random = np.random.default_rng(derivatives.seed)
    return {
        name: random.standard_normal(each.shape).astype(np.float16).astype(each.dtype)
        for name, each in sorted(floating.items())
    }


def _directions(inputs: Inputs, derivatives: Derivatives) -> Iterator[tuple[str, list[np.ndarray]]]:
    random = np.random.default_rng(derivatives.seed + 1)
    for k in range(derivatives.directions if derivatives.order > 1 else 0):
        drawn = [
            random.standard_normal(inputs.leaves[at].shape).astype(np.float16).astype(inputs.leaves[at].dtype)
            for at in inputs.wanted
        ]  # fmt: skip
        yield f"Hessian product {k + 1}", drawn


# -- tensors ----------------------------------------------------------------------------------------------------------


def _with_tensors(side: Side, inputs: Inputs, derivatives: Derivatives) -> Quantities:
    torch = import_module(_MODULES[side.kind])
    device = pytorch_name(side.device) or "cpu"
    leaves = _arguments(side, inputs)
    wanted = [leaves[k] for k in inputs.wanted]
    flat = _flat(side.function(*jax.tree.unflatten(inputs.tree, leaves)), torch.Tensor)
    values = _checked(side, flat)
    if not side.may_change:
        _refuse_in_place(side, inputs, leaves)
    if derivatives.order == 0:
        return values
    weights = cotangents(values, derivatives)
    graphs = []
    for name, tensor in flat.items():
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
            weighed = (
                tensor * _tensor(torch, np.asarray(np.conj(weights[f"value{name}"])), device)
            ).sum()
            graphs.append(weighed.real if np.iscomplexobj(weights[f"value{name}"]) else weighed)
    if not graphs:
        raise FindingError(
            f"{side.role} gives a result without a gradient: it was detached, computed under no_grad, or no input is "
            "floating. Return the loss itself, or compare values alone with order=0"
        )
    total = functools.reduce(lambda a, b: a + b, graphs)
    twice = derivatives.order > 1
    found = _named("gradient by", side, inputs, _gradients(torch, total, wanted, twice))
    values |= {key: to_numpy(each) for key, each in found.items()}
    for name, drawn in _directions(inputs, derivatives):
        pairs = zip(found.values(), drawn, strict=True)
        along = [(g * _tensor(torch, v, device)).sum() for g, v in pairs if g.requires_grad]
        # Where no gradient depends on an input, the Hessian is zero.
        products = (
            _gradients(torch, functools.reduce(lambda a, b: a + b, along), wanted, True)
            if along
            else [None] * len(wanted)
        )
        named = _named(f"{name} by", side, inputs, products)
        values |= {key: to_numpy(each) for key, each in named.items()}
    return values


def _tensor(torch: Any, leaf: Any, device: str) -> Any:
    if not isinstance(leaf, np.ndarray):
        return leaf
    if leaf.dtype.name == "bfloat16":
        return torch.tensor(leaf.astype(np.float32), device=device).to(torch.bfloat16)
    return torch.tensor(leaf, device=device)


def _gradients(torch: Any, total: Any, wanted: list[Any], graph: bool) -> Any:
    return torch.autograd.grad(
        total, wanted, create_graph=graph, retain_graph=True, allow_unused=True
    )


def _named(what: str, side: Side, inputs: Inputs, gradients: Any) -> dict[str, Any]:
    """Gradients by their inputs' names; an input without influence has a gradient of zeros."""
    found = {}
    for k, gradient in zip(inputs.wanted, gradients, strict=True):
        name = inputs.names[k]
        if gradient is None:
            note = (
                f"{side.name} does not use {name}: its gradient is None, and was compared as zeros"
            )
            if what == "gradient by" and note not in side.notes:
                side.notes.append(note)
            gradient = import_module(_MODULES[side.kind]).zeros_like(
                _tensor(import_module(_MODULES[side.kind]), inputs.leaves[k], "cpu")
            )
        found[f"{what} {name}"] = gradient
    return found


def _refuse_in_place(side: Side, inputs: Inputs, leaves: list[Any]) -> None:
    for name, before, leaf in zip(inputs.names, inputs.leaves, leaves, strict=True):
        if isinstance(before, np.ndarray) and not _same_bits(before, to_numpy(leaf)):
            raise FindingError(
                f"{side.role} changes its input {name!r} in place. Let it work on a copy ({name}.clone()), and return "
                "the new elements"
            )


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.all((a == b) | ((a != a) & (b != b))))


# -- JAX --------------------------------------------------------------------------------------------------------------


def _with_jax(side: Side, inputs: Inputs, derivatives: Derivatives) -> Quantities:
    leaves = _arguments(side, inputs)
    values = _checked(side, _flat(side.function(*jax.tree.unflatten(inputs.tree, leaves))))
    if derivatives.order == 0:
        return values
    weights = cotangents(values, derivatives)
    if not weights or not inputs.wanted:
        raise FindingError(
            f"{side.role} has no gradient: its result, or every input, is not floating. Compare values alone with "
            "order=0"
        )

    def weighed(wanted: list[Any]) -> dict[str, Any]:
        given = list(leaves)
        for k, leaf in zip(inputs.wanted, wanted, strict=True):
            given[k] = leaf
        flat = _flat(side.function(*jax.tree.unflatten(inputs.tree, given)))
        return {name: leaf for name, leaf in flat.items() if f"value{name}" in weights}

    def gradient(wanted: list[Any]) -> list[Any]:
        """Return that of the weighted sum, without its few primitives: each would be a program."""
        results, pull = jax.vjp(weighed, wanted)
        given = {
            name: np.conj(weights[f"value{name}"]).astype(jnp.result_type(leaf))
            for name, leaf in results.items()
        }
        return pull(given)[0]

    wanted = [leaves[k] for k in inputs.wanted]
    # For a complex input PyTorch's gradient is the conjugate of JAX's.
    found = {
        f"gradient by {inputs.names[k]}": np.conj(to_numpy(each))
        for k, each in zip(inputs.wanted, gradient(wanted), strict=True)
    }
    for name, drawn in _directions(inputs, derivatives):

        def along(wanted: list[Any], drawn: list[Any] = drawn) -> Any:
            pairs = zip(gradient(wanted), drawn, strict=True)
            return functools.reduce(lambda a, b: a + b, [jnp.sum(g * v) for g, v in pairs])

        for k, each in zip(inputs.wanted, jax.grad(along)(wanted), strict=True):
            found[f"{name} by {inputs.names[k]}"] = to_numpy(each)
    return values | found
