"""Random numbers drawn into a tensor: `normal_`, `uniform_` and the like."""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.engine import Op, Storage, Variable, local
from funcgrad.engine.values import META
from funcgrad.torch._levels.batches import check_drawn_in_place, of_batches
from funcgrad.torch._levels.refusals import NO_STORAGE
from funcgrad.torch._ops.row import named
from funcgrad.torch._ops.views.views import expand
from funcgrad.torch._random import distributions
from funcgrad.torch._random.generator import Generator, check_may_draw
from funcgrad.torch._random.keys import drawn_from_key
from funcgrad.torch._tensor.in_place import in_place, writable
from funcgrad.torch._tensor.operands import plain_number
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, concrete, place
from funcgrad.torch._tensor.view import geometry
from funcgrad.torch._types.numbers import kind_of


@lru_cache(maxsize=64)
def _replace(label: str) -> Op:
    return Op("draw", lambda _, new: new, label=label, counted=1)


# The probabilities are in the graph, and their gradient is zero.
_REPLACE_BY_PROBABILITY = Op("draw", lambda _, p, new: new, label="BernoulliBackward1", counted=2)


def _as(kind: type, name: str, argument: str, position: int, given: Any) -> Any:
    """An argument as a Python number.

    Raises:
        TypeError: it is none.
    """
    given = plain_number(given, f"{name}_", argument, position, kind.__name__)
    try:
        if isinstance(given, str):
            raise TypeError
        return float(given) if kind is float else given.__index__()
    except (TypeError, AttributeError):
        raise TypeError(
            f"{name}_(): argument '{argument}' (position {position}) must be {kind.__name__}, not {kind_of(given)}"
        ) from None


def _drawing(
    name: str,
    label: str,
    draw: Callable[..., np.ndarray],
    parameters: dict[str, Any],
    kind: type = float,
) -> Callable[..., Tensor]:
    """A method that fills a tensor.

    Args:
        name: without the underscore.
        label: of its node.
        draw: gives numbers for a shape and the parameters.
        parameters: their names and what they are if not given; `...` where they have to be.
        kind: of the parameters.
    """

    def method(self: Tensor, *args: Any, generator: Generator | None = None, **more: Any) -> Tensor:
        given = _arguments(name, parameters, args, more)
        writable(self)
        if name == "bernoulli" and isinstance(given["p"], Tensor):
            return _drawn_by_probability(self, given["p"], generator)
        if self._storage.aval.device is META:
            return self
        values = [
            value if value is None else _as(kind, name, argument, k, value)
            for k, (argument, value) in enumerate(given.items(), start=1)
        ]
        aval = self._storage.aval
        of_key = drawn_from_key(name, aval.shape, aval.dtype, *values)
        if of_key is not None and generator is None:
            return in_place(_replace(label), self, Variable(Storage(place(of_key))))
        facts = {"one_by_one": not geometry(self).is_contiguous} if name == "normal" else {}
        new = _drawn(
            self,
            lambda shape, _: draw(shape, *values, dtype=self.dtype, generator=generator, **facts),
        )
        return in_place(_replace(label), self, new)

    keywords = inspect.Parameter.POSITIONAL_OR_KEYWORD
    method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY),
            # `from` is a keyword of Python's and no name for a parameter: PyTorch's stubs call it this, too.
            *[
                inspect.Parameter(
                    "from_" if each == "from" else each,
                    keywords,
                    default=inspect.Parameter.empty if value is ... else value,
                    annotation=kind | None if value is None else kind,
                )
                for each, value in parameters.items()
            ],
            inspect.Parameter(
                "generator",
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Generator | None,
            ),
        ],
        return_annotation=Tensor,
    )
    return publish(
        named(method, f"{name}_", f"Fill the tensor with random numbers, as `Tensor.{name}_`."),
        function=False,
    )


def _arguments(
    name: str, parameters: dict[str, Any], args: tuple[Any, ...], more: dict[str, Any]
) -> dict[str, Any]:
    """The parameters as they were given, in their order.

    Raises:
        TypeError: they are others.
    """
    names = list(parameters)
    if len(args) > len(names):
        raise TypeError(
            f"{name}_() takes {len(names)} positional arguments but {len(args)} were given"
        )
    if name == "random" and len(args) == 1 and not more:
        names = ["to"]
    given = dict(zip(names, args, strict=False))
    for each, value in more.items():
        if each in given or each not in parameters:
            raise TypeError(f"{name}_() got an unexpected keyword argument '{each}'")
        given[each] = value
    given = {each: given.get(each, default) for each, default in parameters.items()}
    for each, value in given.items():
        if value is ...:
            raise TypeError(f'{name}_() missing 1 required positional arguments: "{each}"')
    return given


def _drawn(self: Tensor, draw: Callable[[tuple[int, ...], list[int]], np.ndarray]) -> Variable:
    """Random numbers for a tensor, drawn in the order of its elements in memory.

    Args:
        self: the tensor.
        draw: gives them for the shape in that order, and the dimensions' order.
    """
    aval = self._storage.aval
    of = geometry(self)
    order = sorted(range(len(of.size)), key=lambda k: (-of.stride[k], k))
    batches = check_drawn_in_place(self) if local.recorder.levels else ()
    drawn = draw((*batches, *[of.size[k] for k in order]), order)
    back = [*range(len(batches)), *[len(batches) + order.index(k) for k in range(len(order))]]
    value = place(np.transpose(drawn, back).astype(aval.dtype))
    if local.recorder.levels:
        value = of_batches(value)
    return Variable(Storage(value))


def drawn_by(tensor: Tensor) -> np.ndarray:
    """The elements of a tensor that numbers are drawn by: rates, weights, probabilities.

    Raises:
        RuntimeError: no numbers may be drawn now, or nobody knows the elements.
    """
    check_may_draw()
    return np.asarray(concrete(tensor.detach()._array(), NO_STORAGE))


def _drawn_by_probability(self: Tensor, p: Tensor, generator: Generator | None) -> Tensor:
    """`bernoulli_` with a probability for each element.

    Raises:
        NotImplementedError: the probabilities are no floating-point numbers.
        RuntimeError: they do not broadcast, or lie outside [0, 1].
    """
    if not p.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"bernoulli_tensor_cpu_p_\" not implemented for '{p.dtype.scalar_type}'"
        )
    p = expand(p, *self.shape)
    chances = drawn_by(p)

    def draw(shape: tuple[int, ...], order: list[int]) -> np.ndarray:
        each = chances.transpose(order)
        return distributions.bernoulli(shape, each, dtype=self.dtype, generator=generator)

    return in_place(_REPLACE_BY_PROBABILITY, self, p, _drawn(self, draw))


def _random(shape: Any, low: int | None, high: int | None, *, dtype: Any, generator: Any) -> Any:
    if low is None and high is None:
        return distributions.random(shape, dtype=dtype, generator=generator)
    return distributions.randint(shape, low or 0, high, dtype=dtype, generator=generator)


_drawing("bernoulli", "BernoulliBackward2", distributions.bernoulli, {"p": 0.5})
_drawing("cauchy", "CauchyBackward0", distributions.cauchy, {"median": 0, "sigma": 1})
_drawing("exponential", "ExponentialBackward0", distributions.exponential, {"lambd": 1})
_drawing("geometric", "GeometricBackward0", distributions.geometric, {"p": ...})
_drawing("log_normal", "LogNormalBackward0", distributions.log_normal, {"mean": 1, "std": 2})
_drawing("normal", "NormalBackward0", distributions.normal, {"mean": 0, "std": 1})
_drawing("random", "RandomBackward2", _random, {"from": None, "to": None}, int)
_drawing("uniform", "UniformBackward0", distributions.uniform, {"from": 0, "to": 1})
