"""`torch._foreach_*`: an op on each tensor of a list. Public optimizers use them; here they are loops over the list."""

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.torch._ops.row import named
from funcgrad.torch._tensor.registry import FUNCTIONS, publish_all
from funcgrad.torch._tensor.tensor import Tensor

_ONE = (
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round rsqrt "
    "sigmoid sign sin sinh sqrt tan tanh trunc"
)
_MORE = "add addcdiv addcmul clamp_max clamp_min div lerp maximum minimum mul pow sub"
# Ops of these names and no others: both forms exist for the rest.
_IN_PLACE_ALONE, _APART_ALONE = "copy zero", "clone max norm"
# An argument of these may be a list of numbers, or a tensor of them.
_SCALED = ("addcdiv", "addcmul")


def _each(name: str, in_place: bool) -> Callable[..., Any]:
    full = f"_foreach_{name}_" if in_place else f"_foreach_{name}"
    method = f"{name}_" if in_place else name

    def function(self: Any, *args: Any, **kwargs: Any) -> Any:
        if name == "pow" and not isinstance(self, (list, tuple)):  # a number to several powers
            (powers,) = args
            return tuple([FUNCTIONS["pow"](self, each) for each in powers])
        if not self:
            raise RuntimeError("Tensor list must have at least one tensor.")
        if name in _SCALED:
            kwargs = _value(args[2:], kwargs)
            args = args[:2]
        _check_lengths(self, [*args, *kwargs.values()])
        made = [
            _call(
                tensor,
                method,
                [_of(arg, k) for arg in args],
                {key: _of(arg, k) for key, arg in kwargs.items()},
            )
            for k, tensor in enumerate(self)
        ]
        return list(self) if in_place else tuple(made)

    return named(
        function,
        full,
        f"`{method}` of each tensor of a list; other lists give an argument for each.",
    )


def _value(rest: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword `value` of `addcmul` and `addcdiv`, which is called `scalars` where it is a list."""
    given = [*rest, *kwargs.values()]
    value: Any = given[0] if given else 1
    return {"value": value.tolist() if isinstance(value, Tensor) else value}


def _check_lengths(tensors: Sequence[Any], args: Sequence[Any]) -> None:
    for arg in args:
        if isinstance(arg, (list, tuple)) and len(arg) != len(tensors):
            if arg and isinstance(arg[0], Tensor):
                raise RuntimeError(
                    f"Tensor lists must have the same number of tensors, got {len(tensors)} and {len(arg)}"
                )
            raise RuntimeError("Tensor list must have same number of elements as scalar list.")


def _of(arg: Any, k: int) -> Any:
    return arg[k] if isinstance(arg, (list, tuple)) else arg


def _call(tensor: Tensor, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    name = {
        "maximum": "clamp_min",
        "minimum": "clamp_max",
        "maximum_": "clamp_min_",
        "minimum_": "clamp_max_",
    }.get(method, method)
    if name == "norm":
        return FUNCTIONS["norm"](tensor, *(args or [2.0]), **kwargs)
    return getattr(tensor, name)(*args, **kwargs)


publish_all(
    {
        f"_foreach_{name}{'_' if in_place else ''}": _each(name, in_place)
        for in_place, names in (
            (False, f"{_ONE} {_MORE} {_APART_ALONE}"),
            (True, f"{_ONE} {_MORE} {_IN_PLACE_ALONE}"),
        )
        for name in names.split()
    },
    {},
)
