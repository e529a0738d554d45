"""PyTorch's own sample inputs, run on both sides: `python -m tests.against_pytorch.op_db` prints how many agree.

PyTorch's wheel carries inputs for about 600 ops (`op_db`), with inputs that must be refused. For each op that the shim has,
each sample runs on PyTorch and on the shim. A sample agrees if values, dtypes, shapes and gradients are the same, and the
method and the in-place form where there is one; or if both sides raise errors of one type.
"""

import argparse
import contextlib
import copy
import itertools
import json
import types
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad import engine
from tests import environment  # noqa: F401 (it is imported before JAX)
from tests.both_sides import ours, theirs

DTYPES = ("float32", "float64", "int64", "bool", "complex64")
# How far elements may be apart, relative to the largest one of the tensor. Both sides compute in the same dtype, so float64
# shows whether a formula is right, and float32 may lose what a sum in another order loses.
RELATIVE = {"float32": 2e-4, "complex64": 2e-4, "float64": 1e-7, "complex128": 1e-7}
# Kinds of tensor or of machine that the shim does not have at all, and PyTorch's internals, which nobody calls.
EXCLUDED = ("sparse.", "jiterator_", "torch.ops", "torch._", "to_sparse", "_", "masked.")
# The elements depend on memory that nobody wrote.
UNWRITTEN = {
    "empty",
    "empty_like",
    "empty_strided",
    "empty_permuted",
    "new_empty",
    "new_empty_strided",
    "resize_",
    "resize_as_",
}


def infos() -> list[Any]:
    """PyTorch's descriptions of its ops."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return [
        each for each in op_db if not each.name.startswith(EXCLUDED) or each.name.startswith("__")
    ]


def title(info: Any) -> str:
    """An op's name, with its variant."""
    return f"{info.name}.{info.variant_test_name}" if info.variant_test_name else info.name


# ------------------------------------------------------------------------------------------- the other side


def at(space: Any, path: str) -> Any:
    """The thing at a dotted path; None if there is none."""
    for part in path.split("."):
        try:
            space = getattr(space, part)
        except AttributeError:
            return None
    return space


def mine_of(info: Any) -> Callable[..., Any] | None:
    """The shim's function for an op; None if it has none."""
    given = info.op
    if isinstance(given, types.FunctionType) and given.__module__.startswith("torch.testing"):
        return rebound(given) if has(info) else None
    found = at(ours, info.name)
    # `torch.cdouble` is a dtype, and the op is a method.
    return found if callable(found) else at(ours.Tensor, info.name)


def has(info: Any) -> bool:
    """Whether the shim has a function or a method of the op's name, in place too."""
    names = (info.name, f"Tensor.{info.name}", f"Tensor.{info.name}_")
    return any(at(ours, name) is not None for name in names)


def rebound(function: Any) -> Any:
    """A function of PyTorch's tests with the shim in place of PyTorch."""
    if not isinstance(function, types.FunctionType):
        return function
    scope = {**function.__globals__, "torch": ours, "wrapper_set_seed": seeded}
    cells = function.__closure__ and tuple(
        types.CellType(to_mine(each.cell_contents)) for each in function.__closure__
    )
    made = types.FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, cells
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def seeded(function: Any, *args: Any, **kwargs: Any) -> Any:
    """`wrapper_set_seed` of PyTorch's tests."""
    ours.manual_seed(42)
    return function(*args, **kwargs)


_PLAIN = {"dtype": theirs.dtype, "memory_format": theirs.memory_format, "layout": theirs.layout}


def to_mine(thing: Any) -> Any:
    """A thing of PyTorch's as the shim's."""
    if isinstance(thing, theirs.Tensor):
        made = ours.tensor(thing.detach().resolve_conj().resolve_neg().numpy(force=True).copy())
        return made.requires_grad_() if thing.requires_grad else made
    if isinstance(thing, tuple(_PLAIN.values())):
        return getattr(ours, str(thing).removeprefix("torch."))
    if isinstance(thing, theirs.device):
        return ours.device(str(thing))
    if isinstance(thing, theirs.Generator):
        return ours.Generator().manual_seed(thing.initial_seed())
    if isinstance(thing, (list, tuple)) and type(thing) in (list, tuple, theirs.Size):
        return (list if type(thing) is list else tuple)(map(to_mine, thing))
    if isinstance(thing, dict):
        return {key: to_mine(value) for key, value in thing.items()}
    if isinstance(thing, theirs.nn.Module):  # a distance
        return at(ours.nn, type(thing).__name__)()
    if isinstance(thing, types.BuiltinFunctionType | types.MethodDescriptorType):
        return at(ours, thing.__name__) or thing
    return thing


def to_theirs(thing: Any) -> Any:
    """A copy of PyTorch's own, so that no run changes the sample."""
    if isinstance(thing, theirs.Tensor):
        with theirs.no_grad():
            made = thing.detach().clone()
        return made.requires_grad_() if thing.requires_grad else made
    if isinstance(thing, (list, tuple)) and type(thing) in (list, tuple):
        return type(thing)(map(to_theirs, thing))
    if isinstance(thing, dict):
        return {key: to_theirs(value) for key, value in thing.items()}
    return copy.copy(thing) if isinstance(thing, theirs.Generator) else thing


# ------------------------------------------------------------------------------------------- one sample


def flat(torch: Any, thing: Any) -> list[Any]:
    """The tensors and numbers in nested results, in order."""
    if isinstance(thing, torch.Tensor) or not isinstance(thing, (list, tuple, dict)):
        return [thing]
    inside = thing.values() if isinstance(thing, dict) else thing
    return [each for part in inside for each in flat(torch, part)]


def weights_of(torch: Any, tensor: Any) -> Any:
    """A cotangent of a result, the same on both sides."""
    numbers = np.cos(np.arange(1.0, tensor.numel() + 1)).reshape(tuple(tensor.shape))
    if tensor.dtype.is_complex:
        numbers = numbers + 1j * np.sin(numbers)
    return torch.tensor(numbers, dtype=tensor.dtype)


def outcome(
    torch: Any, call: Callable[..., Any], sample: tuple[Any, ...], process: Any, backward: bool
) -> list[Any]:
    """The result's tensors and numbers, then the gradients; or the error that the call raised."""
    try:
        args, kwargs = (to_mine if torch is ours else to_theirs)(sample)
        torch.manual_seed(0)
        found = call(*args, **kwargs)
        result = flat(torch, found)
        for each in result:
            if isinstance(each, ours.Tensor):
                each.detach().numpy()  # an error that waits would be another sample's
    except Exception as error:
        return [error]
    seen = list(result)
    inputs = [
        each
        for each in flat(torch, (args, kwargs))
        if isinstance(each, torch.Tensor) and each.requires_grad and each.is_leaf
    ]
    if process is not None:
        try:
            seen = result = flat(torch, process(found))
        except Exception as error:
            return [*seen, error]
    roots = [each for each in result if isinstance(each, torch.Tensor) and each.requires_grad]
    if not (backward and inputs and roots):
        return seen
    try:
        gradients = torch.autograd.grad(
            roots, inputs, [weights_of(torch, each) for each in roots], allow_unused=True
        )
        for each in gradients:
            if isinstance(each, ours.Tensor):
                each.numpy()
    except Exception as error:
        return [*seen, error]
    return [*seen, *gradients]


def difference(name: str, mine: list[Any], expected: list[Any]) -> str:
    """How two outcomes differ; empty if they are the same."""
    if len(mine) != len(expected):
        return f"{len(mine)} results, PyTorch's {len(expected)}: {brief(mine)} against {brief(expected)}"
    for k, (one, other) in enumerate(zip(mine, expected, strict=True)):
        wrong = difference_of(name, one, other)
        if wrong:
            return f"[{k}] {wrong}"
    return ""


def brief(things: list[Any]) -> str:
    """Errors by type and words, anything else by its type."""
    return ", ".join(
        f"{type(e).__name__}: {str(e)[:120]}" if isinstance(e, Exception) else type(e).__name__
        for e in things
    )


def difference_of(name: str, mine: Any, expected: Any) -> str:
    """How two things differ; empty if they are the same."""
    if isinstance(expected, Exception) or isinstance(mine, Exception):
        same = type(mine).__mro__[0].__name__ == type(expected).__name__
        return "" if same else f"{brief([mine])} against {brief([expected])}"
    if not isinstance(expected, theirs.Tensor):
        if isinstance(expected, (theirs.dtype, theirs.device)):
            return "" if str(mine) == str(expected) else f"{mine} against {expected}"
        if isinstance(mine, ours.Tensor):
            return f"a tensor against {expected!r}"
        close = mine == expected or (
            isinstance(expected, (float, complex)) and np.isclose(mine, expected, equal_nan=True)
        )
        return "" if close else f"{mine!r} against {expected!r}"
    if not isinstance(mine, ours.Tensor):
        return f"{type(mine).__name__} against a tensor"
    dtype = str(expected.dtype).removeprefix("torch.")
    if mine.dtype.name != dtype:
        return f"{mine.dtype.name} against {dtype}"
    if tuple(mine.shape) != tuple(expected.shape):
        return f"shape {tuple(mine.shape)} against {tuple(expected.shape)}"
    if name in UNWRITTEN:
        return ""
    if dtype == "bfloat16":  # NumPy has no such numbers
        mine, expected = mine.float(), expected.float()
    one = mine.detach().numpy()
    other = expected.detach().resolve_conj().resolve_neg().numpy(force=True)
    finite = np.abs(other[np.isfinite(other)]) if other.size else other
    scale = float(finite.max()) if finite.size and other.dtype.kind in "fc" else 0.0
    relative = RELATIVE.get(dtype, 0.0)
    with np.errstate(all="ignore"):
        close = np.isclose(one, other, relative, relative * max(scale, 1e-3), equal_nan=True)
    if close.all():
        return ""
    worst = np.argwhere(~close)[0]
    at_worst = tuple(worst.tolist())
    return f"{int((~close).sum())} of {close.size} elements: {one[at_worst]!r} against {other[at_worst]!r} at {at_worst}"


# ------------------------------------------------------------------------------------------- the tally


@dataclass
class Tally:
    """The samples of one op."""

    samples: int = 0
    agree: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, difference: str) -> None:
        """Count a sample."""
        self.samples += 1
        self.agree += not difference
        if difference:
            self.wrong.append(f"{what}: {difference}")


def described(sample: tuple[Any, ...]) -> str:
    """A sample's arguments, short."""

    def one(thing: Any) -> str:
        if isinstance(thing, theirs.Tensor):
            return f"T{list(thing.shape)}"
        if isinstance(thing, (list, tuple)):
            return f"({', '.join(map(one, thing))})"
        return repr(thing)

    args, kwargs = sample
    return ", ".join([*map(one, args), *[f"{key}={one(value)}" for key, value in kwargs.items()]])[
        :160
    ]


def forms(info: Any, call: Callable[..., Any]) -> Iterator[tuple[str, Any, Any]]:
    """The op as a function, and its in-place form: its name, PyTorch's and the shim's."""
    yield "", info.op, call
    inplace = info.inplace_variant
    if inplace is not None and isinstance(inplace, types.MethodDescriptorType):
        yield f" {inplace.__name__}", inplace, at(ours.Tensor, inplace.__name__) or missing(inplace)
    method = info.method_variant
    if method is not None and isinstance(method, types.MethodDescriptorType):
        yield (
            f" method {method.__name__}",
            method,
            at(ours.Tensor, method.__name__) or missing(method),
        )


def missing(of: Any) -> Callable[..., Any]:
    """Stands for a method that the shim has not."""

    def call(*_: Any, **__: Any) -> None:
        raise LookupError(f"Tensor.{of.__name__} is missing")

    return call


def in_place(method: Callable[..., Any], clone: bool) -> Callable[..., Any]:
    """A method that changes its first argument, called on a copy."""
    return lambda first, *args, **kwargs: method(first.clone() if clone else first, *args, **kwargs)


def tally_of(
    info: Any, dtypes: tuple[str, ...] = DTYPES, most: int | None = None, errors: bool = True
) -> Tally:
    """Run the samples of one op on both sides.

    Args:
        info: PyTorch's description of the op.
        dtypes: the dtypes of the samples.
        most: how many samples of each dtype at most; None for all.
        errors: whether to run the inputs that must be refused.
    """
    call, found = mine_of(info), Tally()
    if call is None:
        return found
    for name in dtypes:
        dtype = getattr(theirs, name)
        if dtype not in info.dtypes:
            continue
        inexact = dtype.is_floating_point or dtype.is_complex
        backward = bool(info.supports_autograd and inexact and dtype in info.backward_dtypes)
        theirs.manual_seed(0)
        samples = itertools.islice(info.sample_inputs("cpu", dtype, requires_grad=backward), most)
        for sample in samples:
            given = ((sample.input, *sample.args), sample.kwargs)
            process = sample.output_process_fn_grad
            said = f"{name} ({described(given)})"
            wrong = ""
            for label, reference, mine in forms(info, call):
                writes = bool(label) and not label.startswith(" method")
                if writes:
                    if sample.broadcasts_input or not isinstance(sample.input, theirs.Tensor):
                        continue
                    reference, mine = in_place(reference, True), in_place(mine, True)
                expected = outcome(theirs, reference, given, process, backward and not label)
                got = outcome(ours, mine, given, rebound(process), backward and not label)
                wrong = difference(info.name, got, expected)
                if wrong:
                    wrong = f"{label.strip()} {wrong}".strip()
                    break
            found.add(said, wrong)
    if errors and info.error_inputs_func is not None:
        for each in itertools.islice(info.error_inputs("cpu"), most):
            sample = each.sample_input
            given = ((sample.input, *sample.args), sample.kwargs)
            said = f"refused ({described(given)})"
            expected = outcome(theirs, info.op, given, None, False)
            tensors = [t for t in flat(theirs, given) if isinstance(t, theirs.Tensor)]
            if any(each.ndim > 64 for each in tensors):  # which no NumPy array has
                continue
            of_method = info.name.startswith("__") and not isinstance(sample.input, theirs.Tensor)
            if of_method or not isinstance(expected[-1], Exception):
                continue
            got = outcome(ours, call, given, None, False)
            found.add(said, difference(info.name, got, expected))
    return found


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings, and the engine's core: results are compared here, and each sample has another shape to compile for."""
    with warnings.catch_warnings(), engine.mode("eager"):
        warnings.simplefilter("ignore")
        yield


def main() -> None:
    """Print the tally."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="ops, all if none is given; a prefix ends in *")
    parser.add_argument("--samples", type=int, default=None, help="of each op and dtype at most")
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES))
    parser.add_argument("--part", default="1/1", help="k/n: every n-th op, from the k-th on")
    parser.add_argument("--save", help="a file for the results, as JSON")
    parser.add_argument("--wrong", type=int, default=3, help="differences to print of each op")
    given = parser.parse_args()
    k, n = map(int, given.part.split("/"))
    wanted = [each for each in infos() if matches(each.name, given.names)][k - 1 :: n]
    tallies: dict[str, Tally] = {}
    absent = defaultdict(list)
    with quiet():
        for info in wanted:
            if mine_of(info) is None:
                absent[info.name.split(".")[0] if "." in info.name else "torch"].append(title(info))
                continue
            made = tally_of(info, tuple(given.dtypes), given.samples)
            tallies[title(info)] = made
            if made.wrong:
                print(f"{title(info)}: {made.agree} of {made.samples}", flush=True)
                for line in made.wrong[: given.wrong]:
                    print(f"    {line}", flush=True)
            if given.save:
                with open(given.save, "w") as file:
                    json.dump(
                        {name: (each.agree, each.samples) for name, each in tallies.items()}, file
                    )
    for space, names in absent.items():
        print(f"not here, {space}: {' '.join(names)}")
    samples = sum(each.samples for each in tallies.values())
    agree = sum(each.agree for each in tallies.values())
    whole = sum(not each.wrong for each in tallies.values())
    print(
        f"{len(tallies)} ops offered ({whole} of them agree wholly), of {len(wanted)}; {agree} of {samples} samples agree"
        f" ({agree / max(samples, 1):.2%})"
    )


def matches(name: str, wanted: list[str]) -> bool:
    """Whether an op is asked for."""
    return not wanted or any(
        name == each or (each.endswith("*") and name.startswith(each[:-1])) for each in wanted
    )


if __name__ == "__main__":
    main()
