"""PyTorch's own table of modules, `module_db`: every sample is run on PyTorch and on the shim.

    python -m tests.against_pytorch.module_db [--names Linear,ReLU] [--dtypes float64]

prints how many samples of how many modules agree: results, gradients of inputs and of parameters, printed form, the state
before and after, in training and in evaluation. In float64 two sides that compute the same differ by rounding alone, so a
fault cannot hide behind float32's. In float32 a difference counts unless the shim is as near as PyTorch to PyTorch's float64.
"""

import argparse
import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.both_sides import ours, theirs


def _infos() -> list[Any]:
    from torch.testing._internal.common_modules import module_db  # takes seconds to load

    return module_db


def converted(thing: Any) -> Any:
    """The same thing of the shim: tensors, modules and dtypes by their parts, anything else as it is."""
    if isinstance(thing, theirs.Tensor):
        made = ours.tensor(thing.detach().numpy(), dtype=converted(thing.dtype))
        if isinstance(thing, theirs.nn.Parameter):
            return ours.nn.Parameter(made, thing.requires_grad)
        return made.requires_grad_(thing.requires_grad)
    if isinstance(thing, theirs.dtype):
        return getattr(ours, str(thing).split(".")[1])
    if isinstance(thing, theirs.device):
        return ours.device(str(thing))
    if isinstance(thing, (list, tuple)) and type(thing) in (list, tuple):
        return type(thing)([converted(each) for each in thing])
    if isinstance(thing, dict):
        return {key: converted(each) for key, each in thing.items()}
    if isinstance(thing, theirs.nn.Module):
        return _converted_module(thing)
    return _FUNCTIONS.get(thing, thing) if callable(thing) else thing


_FUNCTIONS = {theirs.nn.functional.gelu: ours.nn.functional.gelu}


def _converted_module(module: Any) -> Any:
    """A transformer's layer of the shim with the same options and state."""
    layer: Any = ours.nn.TransformerEncoderLayer
    sizes = module.linear1.in_features, module.self_attn.num_heads, module.linear1.out_features
    made = layer(
        *sizes,
        module.dropout.p,
        _FUNCTIONS.get(module.activation, ours.nn.functional.relu),
        batch_first=module.self_attn.batch_first,
        norm_first=module.norm_first,
        bias=module.linear1.bias is not None,
    )
    made.to(converted(module.linear1.weight.dtype))
    made.load_state_dict(converted(dict(module.state_dict())))
    return made


class _Side:
    """One sample on one side.

    Attributes:
        module: the module.
        results: what its call returned, flat.
        gradients: of the inputs and parameters.
        final: the state after the call.
        float32: whether it was computed in single precision.
    """

    def __init__(self, torch: Any, kind: Any, sample: Any, give: Any, training: bool) -> None:
        made, given = sample.constructor_input, sample.forward_input
        torch.manual_seed(0)
        options = give(copy.deepcopy(made.kwargs))
        self.module = kind(*give(copy.deepcopy(made.args)), **options)
        self.initial = _state(self.module)
        tensors = [
            each for each in flat([given.args, given.kwargs]) if isinstance(each, theirs.Tensor)
        ]
        wide = any(each.dtype is theirs.float64 for each in tensors)
        wide |= give is _doubled
        self.float32 = not wide
        self.module.train(training).to(torch.float64 if wide else torch.float32)
        args, kwargs = leaves(give, given.args), leaves(give, given.kwargs)
        result = self.module(*args, **kwargs)
        self.results = [each for each in flat(result) if isinstance(each, torch.Tensor)]
        wanting = [each for each in self.results if each.requires_grad]
        if wanting:
            # Weighted: the sum of the squares of normalised elements has a gradient of rounding alone.
            total = sum((each * each * _weights(torch, each)).sum() for each in wanting)
            (total.real if total.is_complex() else total).backward()
        tensors = [each for each in flat([args, kwargs]) if isinstance(each, torch.Tensor) and each.is_leaf]  # fmt: skip
        self.gradients = [each.grad for each in [*tensors, *self.module.parameters()]]
        self.final = list(self.module.state_dict().values())


def _weights(torch: Any, like: Any) -> Any:
    numbers = np.cos(np.arange(1.0, like.numel() + 1)).reshape(tuple(like.shape))
    return torch.tensor(numbers).to(like.dtype)


def _state(module: Any) -> dict[str, np.ndarray]:
    lazy = getattr(module, "has_uninitialized_params", bool)()
    return (
        {}
        if lazy
        else {name: each.detach().numpy().copy() for name, each in module.state_dict().items()}
    )


def leaves(give: Any, thing: Any) -> Any:
    """Arguments of one side, with results of ops as leaves."""
    if isinstance(thing, theirs.Tensor):
        return give(thing.detach().clone().requires_grad_(thing.requires_grad))
    if type(thing) in (list, tuple):
        return type(thing)([leaves(give, each) for each in thing])
    if isinstance(thing, dict):
        return {key: leaves(give, each) for key, each in thing.items()}
    return give(thing)


def flat(thing: Any) -> Iterator[Any]:
    """The leaves of nested lists, tuples and dictionaries."""
    if isinstance(thing, dict):
        thing = list(thing.values())
    if isinstance(thing, (list, tuple)):
        for each in thing:
            yield from flat(each)
    else:
        yield thing


def differences(kind: str, sample: Any, training: bool) -> list[str]:
    """How the two sides differ on a sample; empty if they agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = _Side(theirs, getattr(theirs.nn, kind), sample, copy.deepcopy, training)
        try:
            mine = _Side(ours, getattr(ours.nn, kind), sample, converted, training)
        except Exception as error:
            return [f"{type(error).__name__}: {error}"]
    found = []
    if repr(mine.module).replace("funcgrad.torch", "torch") != repr(expected.module):
        found.append(f"printed as {mine.module!r}, not {expected.module!r}")
    if list(mine.initial) != list(expected.initial):
        found.append(f"state keys {list(mine.initial)}")
    else:
        found += [
            f"initial {name}"
            for name, each in expected.initial.items()
            if not np.array_equal(each, mine.initial[name], equal_nan=True)
        ]
    parts = ("results", "gradients", "final")
    apart = [_apart(what, getattr(mine, what), getattr(expected, what)) for what in parts]
    if any(apart) and expected.float32:
        exact = _Side(theirs, getattr(theirs.nn, kind), sample, _doubled, training)
        apart = [
            _apart(what, getattr(mine, what), getattr(expected, what), getattr(exact, what))
            for what in parts
        ]
    return [*found, *(each for part in apart for each in part)]


def _doubled(thing: Any) -> Any:
    """The same thing in double precision."""
    if isinstance(thing, theirs.Tensor):
        made = thing.detach().clone()
        return (made.double() if made.dtype is theirs.float32 else made).requires_grad_(thing.requires_grad)  # fmt: skip
    if type(thing) in (list, tuple):
        return type(thing)(_doubled(each) for each in thing)
    if isinstance(thing, dict):
        return {key: _doubled(each) for key, each in thing.items()}
    return copy.deepcopy(thing)


def _apart(
    what: str, mine: list[Any], expected: list[Any], exact: list[Any] | None = None
) -> list[str]:
    """How two sides differ by more than rounding; with `exact`, the shim may be as far from it as PyTorch."""
    if len(mine) != len(expected):
        return [f"{len(mine)} {what}, not {len(expected)}"]
    found = []
    sizes = [each.detach().abs().double().numpy() for each in expected if each is not None]
    largest = max([each[np.isfinite(each)].max(initial=0) for each in sizes], default=0)
    for k, (one, other) in enumerate(zip(mine, expected, strict=True)):
        if one is None or other is None:
            if one is not other:
                found.append(f"{what}[{k}] is {one}, not {other}")
            continue
        a, b = (each.detach().numpy() for each in (one, other))
        if a.dtype != b.dtype or a.shape != b.shape:
            found.append(f"{what}[{k}] is {a.dtype}{a.shape}, not {b.dtype}{b.shape}")
        elif (distance := apart(a, b, largest)) > ROUNDING.get(a.dtype.name, 0):
            if exact is not None:
                right = exact[k].detach().numpy()
                if apart(a, right, largest) <= apart(b, right, largest):
                    continue
            found.append(f"{what}[{k}] differs by {distance:.1e}")
    return found


# How far elements may be apart, as a share of the largest of a sample's results, gradients or state.
ROUNDING = {"float32": 2e-5, "float64": 1e-12, "complex64": 2e-5, "complex128": 1e-12}


def apart(mine: np.ndarray, expected: np.ndarray, largest: float) -> float:
    """The largest difference of two elements, as a share of `largest`; infinite where one is not finite."""
    whole = np.isfinite(expected)
    if not np.array_equal(mine[~whole], expected[~whole], equal_nan=True):
        return float("inf")
    wide = np.result_type(expected, np.float64)
    differences = np.abs(mine[whole].astype(wide) - expected[whole].astype(wide))
    return float(differences.max(initial=0) / (largest or 1.0))


def cases(names: set[str] | None, dtype: Any) -> Iterator[tuple[str, Any, bool]]:
    """Every module, with each sample of a dtype, in training and in evaluation."""
    for info in _infos():
        kind = info.module_cls.__name__
        if info.module_cls.__module__.startswith("torch.nn.modules") and (
            names is None or kind in names
        ):
            for training in (True, False):
                theirs.manual_seed(1)
                samples = info.module_inputs_func(
                    info, device="cpu", dtype=dtype, requires_grad=True, training=training
                )
                for sample in samples:
                    yield kind, sample, training


def main() -> None:
    """Print the tally."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--names", help="modules, with commas; all without")
    parser.add_argument("--dtypes", default="float32,float64")
    options = parser.parse_args()
    names = set(options.names.split(",")) if options.names else None
    for dtype in options.dtypes.split(","):
        print(f"{dtype}: {tally(names, getattr(theirs, dtype))}")


def tally(names: set[str] | None, dtype: Any) -> str:
    """Print each sample of a dtype that differs; how many agree, in words."""
    offered: dict[str, list[int]] = {}
    lacking = set()
    for kind, sample, training in cases(names, dtype):
        if not hasattr(ours.nn, kind):
            lacking.add(kind)
            continue
        if sample.forward_input is None:
            continue
        count = offered.setdefault(kind, [0, 0])
        count[0] += 1
        found = differences(kind, sample, training)
        count[1] += not found
        if found:
            print(
                kind,
                sample.constructor_input.args,
                sample.constructor_input.kwargs,
                found,
                flush=True,
            )
    agree, samples = (sum(each[k] for each in offered.values()) for k in (1, 0))
    return (
        f"{len(offered)} modules, {samples} samples, {agree} agree; not offered: {sorted(lacking)}"
    )


if __name__ == "__main__":
    main()
