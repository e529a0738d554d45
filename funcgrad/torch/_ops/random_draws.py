"""Random numbers drawn by the elements of tensors: `bernoulli`, `normal`, `multinomial`, `poisson`, `binomial`."""

from typing import Any

import jax
import numpy as np

from funcgrad.engine import local
from funcgrad.torch._memory.formats import contiguous_format
from funcgrad.torch._ops.creation import asked
from funcgrad.torch._ops.out import store
from funcgrad.torch._ops.random_fills import drawn_by
from funcgrad.torch._ops.row import Array, Index, op
from funcgrad.torch._ops.undifferentiable import without_derivative
from funcgrad.torch._random import distributions, gamma
from funcgrad.torch._random.generator import Generator, default_generator
from funcgrad.torch._tensor.operands import check_broadcast, plain_number
from funcgrad.torch._tensor.registry import FUNCTIONS, METHODS, publish
from funcgrad.torch._tensor.tensor import Tensor, place, tensor_of
from funcgrad.torch._types.dtypes import as_dtype, get_default_dtype

# The parameters are in the graph, and their gradient is zero.


def _constant(name: str, node: str) -> Any:
    @op(name, node)
    def drawn(input: Array, numbers: Index) -> Any:
        return numbers

    return drawn


_BERNOULLI, _BINOMIAL, _POISSON = (
    _constant("bernoulli.drawn", "BernoulliBackward0"),
    _constant("binomial.drawn", "BinomialBackward0"),
    _constant("poisson.drawn", "PoissonBackward0"),
)


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None, out: Any = None
) -> Tensor:
    """Zeros and ones: one with the probability that the element says, or `p`."""
    if out is not None:
        return store("bernoulli", out, (input,), lambda: bernoulli(input, p, generator=generator))
    empty = FUNCTIONS["empty_like"](input.detach(), memory_format=contiguous_format)
    if p is not None:
        return without_derivative(
            "bernoulli", lambda: METHODS["bernoulli_"](empty, p, generator=generator), input
        )
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"bernoulli_tensor_cpu_p_\" not implemented for '{input.dtype.scalar_type}'"
        )
    return _BERNOULLI(input, METHODS["bernoulli_"](empty, input.detach(), generator=generator))


def _bernoulli_method(
    self: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Zeros and ones: one with the probability that the element says, or `p`."""
    return bernoulli(self, p, generator=generator)


publish(bernoulli, method=False)
publish(_bernoulli_method, "bernoulli", function=False)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Indices drawn in proportion to the weights of each row.

    Args:
        input: weights, of one dimension, or of two for several rows.
        num_samples: how many indices for each row.
        replacement: whether an index may be drawn again.
        generator: the source of random numbers.
        out: the tensor to store in.
    """
    if out is not None:
        words = f"multinomial expects Long tensor out, got: {out.dtype.scalar_type}"
        return store(
            "multinomial",
            out,
            (),
            lambda: multinomial(input.detach(), num_samples, replacement, generator=generator),
            words,
        )
    drawn = distributions.multinomial(
        drawn_by(input), num_samples, replacement, generator=generator
    )
    return tensor_of(place(drawn))


publish(multinomial)


@op("normal.scaled", "NormalBackward3")
def _scaled(mean: Array, std: Array, numbers: Index) -> Any:
    return numbers


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normally distributed numbers.

    Args:
        mean, std: tensors, whose elements are the means and the standard deviations; or, with `size`, numbers.
        size: the shape, for two numbers.
        generator: the source of random numbers.
        out: the tensor to store in.
        dtype, layout, device, pin_memory, requires_grad: as for `torch.zeros`, with `size`.
    """
    if out is not None:
        return store(
            "normal",
            out,
            (mean, std),
            lambda: normal(mean, std, size, generator=generator, dtype=dtype or out.dtype),
        )
    if size is not None:
        mean = plain_number(mean, "normal", "mean", 1, "float")
        std = plain_number(std, "normal", "std", 2, "float")
    tensors = [each for each in (mean, std) if isinstance(each, Tensor)]
    if not isinstance(std, Tensor) and std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if not tensors:
        if size is None:
            raise TypeError(
                "normal() received an invalid combination of arguments - got (float, float), but expected one of:\n"
                " * (Tensor mean, Tensor std, *, torch.Generator generator = None, Tensor out = None)\n"
                " * (Tensor mean, float std = 1, *, torch.Generator generator = None, Tensor out = None)\n"
                " * (float mean, Tensor std, *, torch.Generator generator = None, Tensor out = None)\n"
                " * (float mean, float std, tuple of ints size, *, torch.Generator generator = None, Tensor out = None, "
                "torch.dtype dtype = None, torch.layout layout = None, torch.device device = None, bool pin_memory = False, "
                "bool requires_grad = False)\n"
            )
        wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
        empty = FUNCTIONS["empty"](size, dtype=wanted, device=device)
        return asked(METHODS["normal_"](empty, mean, std, generator=generator), requires_grad)
    if len(tensors) == 2:
        check_broadcast(mean._storage.aval, std._storage.aval)
    shape = np.broadcast_shapes(*[tuple(each.shape) for each in tensors])
    given = tensors[0].dtype
    if not (given.is_floating_point or given.is_complex):
        raise NotImplementedError(
            f"\"normal_kernel_cpu\" not implemented for '{given.scalar_type}'"
        )
    if isinstance(std, Tensor):
        if std.dtype.is_complex:
            raise RuntimeError("normal expects standard deviation to be non-complex")
        spreads: Any = std.detach()
        if std.numel() and bool((spreads < 0).any()):
            raise RuntimeError("normal expects all elements of std >= 0.0")
    drawn: Any = METHODS["normal_"](FUNCTIONS["empty"](shape, dtype=given), generator=generator)
    spread, centre = (each.detach() if isinstance(each, Tensor) else each for each in (std, mean))
    numbers = drawn * spread + centre
    return _scaled(
        *[each if isinstance(each, Tensor) else tensors[0].detach() for each in (mean, std)],
        numbers,
    )


publish(normal, method=False)


def _parameters(name: str, *tensors: Tensor) -> list[np.ndarray]:
    for each in tensors:
        if not each.dtype.is_floating_point:
            raise NotImplementedError(
                f"\"{name}_cpu\" not implemented for '{each.dtype.scalar_type}'"
            )
    return list(map(drawn_by, tensors))


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of events, drawn with the rates that the elements say."""
    (rates,) = _parameters("poisson", input)
    if (rates < 0).any():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    return _POISSON(input, tensor_of(place(distributions.poisson(rates, generator=generator))))


def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of successes in `count` trials, each with probability `prob`.

    Raises:
        ValueError: a dtype is not floating point.
        RuntimeError: the dtypes differ, or the shapes do not broadcast.
    """
    for name, each in (("count", count), ("prob", prob)):
        if not each.dtype.is_floating_point:
            raise ValueError(
                f"binomial only supports floating-point dtypes for {name}, got: {each.dtype.scalar_type}"
            )
    check_broadcast(count._storage.aval, prob._storage.aval)
    if count.dtype is not prob.dtype:
        raise RuntimeError(
            f"expected count and prob to have one dtype, but got {count.dtype} and {prob.dtype}"
        )
    counts, probs = np.broadcast_arrays(*_parameters("binomial", count, prob))
    numbers = tensor_of(place(distributions.binomial(counts, probs, generator=generator)))
    return _BINOMIAL(prob if prob.requires_grad else count, numbers)


publish(poisson, method=False)
publish(binomial, method=False)


@op("standard_gamma.drawn", "StandardGammaBackward0")
def _shifted(input: Array, numbers: Index, slopes: Index) -> Any:
    return numbers + (input - jax.lax.stop_gradient(input)) * slopes


def _standard_gamma(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Gamma draws of rate one; the elements are the shapes. The gradient is that of the draw at a fixed quantile.

    Source of the gradient: M. Figurnov, S. Mohamed, A. Mnih, "Implicit reparameterization gradients", 2018.
    """
    (shapes,) = _parameters("gamma", input)
    numbers = gamma.standard_gamma(shapes, generator=generator)
    drawn = tensor_of(place(numbers))
    if not (input.requires_grad and local.recorder.grad_enabled):
        return drawn
    slopes = np.asarray(jax.lax.random_gamma_grad(shapes, numbers))
    return _shifted(input, drawn, tensor_of(place(slopes.astype(shapes.dtype))))


def _sample_dirichlet(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Vectors of sum one; the elements are the concentrations, along the last dimension.

    Raises:
        NotImplementedError: `input` requires grad.
    """
    (concentrations,) = _parameters("dirichlet", input)
    if input.requires_grad and local.recorder.grad_enabled:
        raise NotImplementedError(
            "funcgrad has no derivative of Dirichlet and Beta draws by their concentrations: use sample() with log_prob(), or "
            "normalised Gamma draws"
        )
    return tensor_of(place(gamma.dirichlet(concentrations, generator=generator)))


publish(_standard_gamma, method=False)
publish(_sample_dirichlet, method=False)


def _get_state(self: Generator) -> Tensor:
    """The stream's position, as bytes in PyTorch's format."""
    return tensor_of(place(self.position()))


def _set_state(self: Generator, new_state: Tensor) -> Generator:
    """Go to a position that `get_state` returned, here or in PyTorch.

    Raises:
        TypeError: `new_state` is not a tensor of uint8.
        RuntimeError: the bytes are not a state.
    """
    if not isinstance(new_state, Tensor):
        raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
    self.go_to(np.asarray(new_state._array()))
    return self


for _name, _method in (("get_state", _get_state), ("set_state", _set_state)):
    _method.__name__, _method.__qualname__ = _name, f"Generator.{_name}"
    setattr(Generator, _name, _method)


def get_rng_state() -> Tensor:
    """The position of the default stream of random numbers, as bytes in PyTorch's format."""
    return _get_state(default_generator)


def set_rng_state(new_state: Tensor) -> None:
    """Go to a position that `get_rng_state` returned."""
    _set_state(default_generator, new_state)


def seed() -> int:
    """Start the default stream from an unpredictable seed, and return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that started the default stream."""
    return default_generator.initial_seed()


for _each in (get_rng_state, set_rng_state, seed, initial_seed):
    publish(_each, method=False)
