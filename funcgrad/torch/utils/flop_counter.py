"""`FlopCounterMode`: the floating-point operations of products of matrices, convolutions and attention inside a `with` block.

Calls are seen as a mode of `torch.overrides` sees them; a gradient that comes back through a call's result counts the products of
its derivative. Behaviour: `torch/utils/flop_counter.py` of PyTorch.
"""

import math
import warnings
import weakref
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.overrides import TorchFunctionMode

__all__ = ["FlopCounterMode"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


# Products as PyTorch computes them: the op's name, its operations, and the operands that may have a gradient.
_Count = tuple[str, int, tuple[Any, ...]]


def _added(name: str, out: Tensor, input: Tensor, a: Tensor, b: Tensor, **_: Any) -> _Count:
    """A product added to a tensor, which has a gradient without a product."""
    return name, _flops(out, a), (a, b)


def _flops(out: Tensor, a: Tensor) -> int:
    """A multiplication and an addition for each element of the result and each term of its sum."""
    return 2 * math.prod(out.shape) * a.shape[-1]


def _matmul(out: Tensor, a: Tensor, b: Tensor, **_: Any) -> _Count | None:
    """A product with a vector is none of matrices, but where a vector comes first."""
    if b.ndim < 2 or 0 in (a.ndim, b.ndim):
        return None
    return ("mm" if b.ndim == 2 else "bmm"), _flops(out, a), (a, b)


def _linear(out: Tensor, input: Tensor, weight: Tensor, bias: Any = None) -> _Count:
    return ("mm" if bias is None else "addmm"), _flops(out, input), (input, weight)


def _convolution(
    transposed: bool, out: Tensor, input: Tensor, weight: Tensor, *_: Any, **__: Any
) -> _Count:
    dims = weight.ndim - 2
    batch = input.shape[0] if input.ndim == weight.ndim else 1
    places = math.prod((input if transposed else out).shape[-dims:])
    return "convolution", 2 * places * batch * math.prod(weight.shape), (input, weight)


# The functions that are counted, by their names.
_COUNTED: dict[str, Callable[..., _Count | None]] = {
    "addmm": partial(_added, "addmm"),
    "baddbmm": partial(_added, "baddbmm"),
    "bmm": _matmul,
    "linear": _linear,
    "matmul": _matmul,
    "mm": _matmul,
    **{f"conv{n}d": partial(_convolution, False) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": partial(_convolution, True) for n in (1, 2, 3)},
}
# The op of a product's derivative.
_BACKWARD = {"addmm": "mm", "baddbmm": "bmm", "convolution": "convolution_backward"}


# One op each, of which nobody sees the products: to leave them out would give too small a number.
_HIDDEN = ("MultiheadAttention", "GRU", "GRUCell", "LSTMCell", "RNN", "RNNCell", "einsum")


def _refuse_hidden(name: str) -> None:
    if name in _HIDDEN:
        raise NotImplementedError(
            f"FlopCounterMode does not count {name}: it is one op here, which shows no products of matrices"
        )


class _Mode(TorchFunctionMode):
    """Counts the calls that it answers."""

    def __init__(self, counter: "FlopCounterMode") -> None:
        self._counter = counter

    def __torch_function__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The call's result; the calls inside a function that is not counted itself are."""
        given = kwargs or {}
        name = getattr(func, "__name__", "")
        _refuse_hidden(name)
        count = _COUNTED.get(name)
        inner = getattr(func, "__wrapped__", None)
        if count is None and inner is not None:
            with self:
                return inner(*args, **given)
        out = func(*args, **given)
        if count is not None and (found := count(out, *args, **given)) is not None:
            self._counter._count(out, *found)
        return out


class FlopCounterMode:
    """Counts floating-point operations inside a `with` block.

    Args:
        mods: not needed; each module that is called has its own count.
        depth: the depth of modules in the table.
        display: whether to print the table at the end.
        custom_mapping: not supported: None.

    >>> import funcgrad.torch as torch
    >>> with FlopCounterMode(display=False) as counted:
    ...     y = torch.ones(2, 3) @ torch.ones(3, 4)
    >>> counted.get_total_flops()
    48
    """

    def __init__(
        self, mods: Any = None, depth: int = 2, display: bool = True, custom_mapping: Any = None
    ) -> None:
        if mods is not None:
            warnings.warn(
                "mods argument is not needed anymore, you can stop passing it", stacklevel=2
            )
        if custom_mapping:
            raise NotImplementedError("custom_mapping names aten ops, which are not here")
        self.depth, self.display = depth, display
        self.flop_counts: dict[str, dict[Any, int]] = defaultdict(lambda: defaultdict(int))
        self._mode = _Mode(self)
        self._names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._inside = ["Global"]
        self._handles: list[Any] = []
        self._aten: Any = None

    def __enter__(self) -> "FlopCounterMode":
        # Both stand above.
        hooks = import_module("funcgrad.torch.nn.modules.module")
        self._aten = import_module("funcgrad.torch.ops").aten
        self.flop_counts.clear()
        self._handles = [
            hooks.register_module_forward_pre_hook(self._enters),
            hooks.register_module_forward_hook(self._leaves, always_call=True),
        ]
        self._mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._mode.__exit__(*error)
        for each in self._handles:
            each.remove()
        if self.display:
            print(self.get_table(self.depth))

    def _enters(self, module: Any, args: Any) -> None:
        for kind in type(module).__mro__:
            _refuse_hidden(kind.__name__)
        name = self._names.setdefault(module, type(module).__name__)
        for part, child in module.named_children():
            self._names.setdefault(child, f"{name}.{part}")
        self._inside.append(name)

    def _leaves(self, module: Any, args: Any, result: Any) -> None:
        self._inside.pop()

    def _count(self, out: Any, name: str, flops: int, operands: tuple[Any, ...]) -> None:
        """Count a product, and those of its derivative when a gradient arrives."""
        places = list(dict.fromkeys(self._inside))
        self._add(places, name, flops)
        wanted = sum(isinstance(each, Tensor) and each.requires_grad for each in operands)
        if wanted and out.requires_grad:
            back = _BACKWARD.get(name, name)
            out.register_hook(lambda gradient: self._add(places, back, wanted * flops))

    def _add(self, places: list[str], name: str, flops: int) -> None:
        op = getattr(self._aten, name)
        for place in places:
            self.flop_counts[place][op] += flops

    def get_flop_counts(self) -> dict[str, dict[Any, int]]:
        """The operations of each module, by op."""
        return {place: dict(counts) for place, counts in self.flop_counts.items()}

    def get_total_flops(self) -> int:
        """All operations."""
        return sum(self.flop_counts["Global"].values())

    def get_table(self, depth: int | None = None) -> str:
        """The operations of modules down to a depth, as text: one line a module, and one an op."""
        total = self.get_total_flops()
        level = max(0, min(len(_SUFFIXES) - 1, (len(str(total)) - 2) // 3))

        def row(label: str, flops: int) -> tuple[str, str, str]:
            share = f"{flops / total:.2%}" if total else "0%"
            return label, f"{flops / 1000**level:.3f}{_SUFFIXES[level]}", share

        rows = [("Module", "FLOP", "% Total")]
        for place in sorted(self.flop_counts, key=lambda place: (place != "Global", place)):
            below = place.count(".") + (place != "Global")
            if depth is None or below <= depth:
                counts = self.flop_counts[place]
                rows.append(row(" " * below + place, sum(counts.values())))
                rows += [row(f"{' ' * below} - {op}", flops) for op, flops in counts.items()]
        widths = [max(len(each[k]) for each in rows) for k in range(3)]
        rows.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]
        return "\n".join(
            f"{label:<{widths[0]}}  {flops:>{widths[1]}}  {share:>{widths[2]}}"
            for label, flops, share in rows
        )


_SUFFIXES = ("", "K", "M", "B", "T")
