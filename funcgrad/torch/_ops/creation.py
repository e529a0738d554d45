"""Making tensors: from data, filled with a number, or with random numbers from PyTorch's own stream."""

import warnings
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import jax
import numpy as np

from funcgrad.engine.values import Wrapped
from funcgrad.torch._levels.batches import as_batched, drawn_for_batches, lifted, of_batches
from funcgrad.torch._levels.refusals import ITEM, NO_STORAGE
from funcgrad.torch._ops.conversions import to
from funcgrad.torch._random import distributions
from funcgrad.torch._random.generator import Generator, default_generator
from funcgrad.torch._tensor.operands import NUMBERS, laid_out
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor, concrete, place, tensor_of
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.dtypes import (
    bool_,
    dtype,
    from_numpy_dtype,
    get_default_dtype,
    int64,
    promote_types,
)
from funcgrad.torch._types.numbers import check_fits

Where = device | str | None


def tensor(
    data: Any, *, dtype: dtype | None = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of the given elements, copied.

    Args:
        data: a number, nested sequences of numbers, a NumPy or JAX array, or a tensor (the copy has no history).
        dtype: the elements' dtype; inferred as in PyTorch if None.
        device: the elements' device; JAX's default device if None.
        requires_grad: whether the tensor gathers a gradient.

    Raises:
        ValueError: the nested sequences are ragged.
        TypeError: an element is not a number.
        RuntimeError: a gradient is asked for and the dtype has none.

    >>> import funcgrad.torch as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        if isinstance(data._storage.value, Wrapped):
            copied: Any = data.detach()
            copied = copied.clone() if dtype is None else copied.to(dtype)
            return copied.requires_grad_() if requires_grad else copied
        data = data._array()
    return _wrap(_elements(data, dtype), device, requires_grad)


def _elements(data: Any, wanted: dtype | None) -> Any:
    """The elements as an array of the wanted dtype; of the dtype that PyTorch infers if None."""
    if isinstance(data, jax.Array):
        with jax.enable_x64(True):
            return data if wanted is None else data.astype(wanted.numpy_dtype)
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        inferred = from_numpy_dtype(array.dtype)
    else:
        _check_nesting(data)
        tensors: list[Tensor] = []
        array = np.asarray(_plain(data, tensors))
        if tensors:
            kinds = (each.dtype for each in tensors)
            inferred = reduce(promote_types, kinds, _kind_of_numbers(data))
        elif (array.size == 0 and array.dtype == np.float64) or array.dtype.kind == "f":
            inferred = get_default_dtype()
        elif array.dtype.kind == "c":
            inferred = get_default_dtype().to_complex()
        elif array.dtype.kind in "iu":
            inferred = int64
        else:
            inferred = from_numpy_dtype(array.dtype)
    return array.astype((wanted or inferred).numpy_dtype)


def _plain(data: Any, tensors: list[Tensor]) -> Any:
    """The nested sequences with each one-element tensor replaced by its number; `tensors` collects these tensors."""
    if isinstance(data, Tensor):
        if data.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        tensors.append(data)
        return np.asarray(concrete(data._array(), NO_STORAGE if data.ndim else ITEM)).item()
    return [_plain(each, tensors) for each in data] if isinstance(data, (list, tuple)) else data


def _kind_of_numbers(data: Any) -> dtype:
    """The dtype that PyTorch infers from the numbers in nested sequences; bool, the lowest one, if there are none."""
    if isinstance(data, (list, tuple)):
        return reduce(promote_types, map(_kind_of_numbers, data), bool_)
    return bool_ if isinstance(data, Tensor) else from_numpy_dtype(_elements(data, None).dtype)


def _check_nesting(data: Any) -> None:
    """Check that nested sequences are rectangular and hold numbers."""
    shape: list[int] = []
    first = data
    while isinstance(first, (list, tuple)):
        shape.append(len(first))
        first = first[0] if first else 0.0

    def check(part: Any, depth: int) -> None:
        if depth < len(shape):
            if not isinstance(part, (list, tuple)) and not isinstance(part, (Tensor, np.ndarray)):
                raise TypeError(f"not a sequence at dim {depth}")
            if isinstance(part, Tensor):
                return  # a tensor of one element stands for a number
            if len(part) != shape[depth]:
                raise ValueError(
                    f"expected sequence of length {shape[depth]} at dim {depth} (got {len(part)})"
                )
            if isinstance(part, (list, tuple)):
                for each in part:
                    check(each, depth + 1)
        elif isinstance(part, (list, tuple)):
            raise ValueError(
                f"too many dimensions at dim {depth}: expected a number, got a {type(part).__name__}"
            )
        elif not isinstance(part, (*NUMBERS, Tensor, np.ndarray)):
            raise TypeError(f"new(): invalid data type '{type(part).__name__}'")

    check(data, 0)


def _wrap(array: Any, where: Where, requires_grad: bool) -> Tensor:
    made = tensor_of(lifted(place(array, where)))
    return made if requires_grad is False else asked(made, requires_grad)


def asked(made: Tensor, requires_grad: bool) -> Tensor:
    """Set `requires_grad` of a new tensor.

    Raises:
        TypeError: `requires_grad` is not a bool.
        RuntimeError: the dtype has no gradients.
    """
    if not isinstance(requires_grad, bool):
        raise TypeError(
            f"argument 'requires_grad' must be bool, not {type(requires_grad).__name__}"
        )
    if requires_grad and not made._storage.value.aval.inexact:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    made.requires_grad = requires_grad
    return made


def _drawn(
    draw: Callable[[tuple[int, ...]], np.ndarray],
    shape: tuple[int, ...],
    where: Where,
    requires_grad: bool,
    one_by_one: bool = False,
) -> Tensor:
    """A tensor of random numbers; inside `vmap` with different randomness, one for each example of the batch."""
    batches = drawn_for_batches()
    if batches is None:
        return _wrap(draw(shape), where, requires_grad)
    if one_by_one and batches:
        # PyTorch draws along the innermost batch one by one, and each time for all outer batches.
        parts = [draw(shape) for _ in range(int(np.prod(batches)))]
        numbers = np.reshape(parts, (*reversed(batches), *shape))
        order = (*reversed(range(len(batches))), *range(len(batches), numbers.ndim))
        numbers = numbers.transpose(order)
    else:
        numbers = draw((*batches, *shape))
    return tensor_of(of_batches(place(numbers, where)))


def as_tensor(data: Any, *, dtype: dtype | None = None, device: Where = None) -> Tensor:
    """`data` itself if it is already a tensor of this dtype and device, else a tensor made of it."""
    if isinstance(data, Tensor):
        return to(data, dtype=dtype, device=device)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array: np.ndarray) -> Tensor:
    """A copy of a NumPy array as a tensor. PyTorch shares the memory; JAX's arrays are immutable, so here it is a copy.

    Raises:
        TypeError: `array` is not a NumPy array, or PyTorch does not have its dtype.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    return tensor(array)


def _shape(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape from sizes given one by one or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], Sequence):
        sizes = tuple(sizes[0])
    shape = tuple(int(size) for size in sizes)
    if any(size < 0 for size in shape):
        bad = next(size for size in shape if size < 0)
        raise RuntimeError(f"Trying to create tensor with negative dimension {bad}: {list(shape)}")
    return shape


def full(
    size: Sequence[int],
    fill_value: Any,
    *,
    dtype: dtype | None = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor filled with one number; `dtype` follows the number if None."""
    wanted = dtype or from_numpy_dtype(_elements(fill_value, None).dtype)
    check_fits(fill_value, wanted.numpy_dtype)
    return _wrap(
        np.full(_shape(tuple(size)), fill_value, wanted.numpy_dtype), device, requires_grad
    )


def _beside(made: Tensor, other: Tensor, requires_grad: bool) -> Tensor:
    """Put a new tensor on the device of `other`, and inside `vmap` into the batches of `other`."""
    value = other._storage.value
    if isinstance(value, Wrapped):
        return tensor_of(as_batched(made._storage.value, value))
    return made if value.aval.device is None else _wrap(made._array(), other.device, requires_grad)


def _filled(name: str, number: int) -> Callable[..., Tensor]:
    def fill(
        *size: Any, dtype: dtype | None = None, device: Where = None, requires_grad: bool = False
    ) -> Tensor:
        array = np.full(_shape(size), number, (dtype or get_default_dtype()).numpy_dtype)
        return _wrap(array, device, requires_grad)

    def fill_like(
        input: Tensor, *, dtype: dtype | None = None, requires_grad: bool = False
    ) -> Tensor:
        made = fill(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)
        return laid_out(_beside(made, input, requires_grad), input)

    fill.__name__ = fill.__qualname__ = name
    fill.__doc__ = (
        f"A tensor of {number}s; zeros too for `empty`, whose elements nobody may rely on."
    )
    FUNCTIONS[name] = fill
    fill_like.__name__ = fill_like.__qualname__ = f"{name}_like"
    fill_like.__doc__ = f"As `{name}`, with the shape, dtype and device of another tensor."
    FUNCTIONS[f"{name}_like"] = fill_like
    return fill


def _random(name: str, draw: Callable[..., np.ndarray]) -> None:
    def sample(
        *size: Any,
        generator: Generator | None = None,
        dtype: dtype | None = None,
        device: Where = None,
        requires_grad: bool = False,
    ) -> Tensor:
        return _drawn(
            lambda shape: draw(shape, dtype=dtype, generator=generator),
            _shape(size),
            device,
            requires_grad,
        )

    def sample_like(
        input: Tensor, *, dtype: dtype | None = None, requires_grad: bool = False
    ) -> Tensor:
        made = laid_out(sample(input.shape, dtype=dtype or input.dtype), input)
        return asked(made, requires_grad)

    sample.__name__ = sample.__qualname__ = name
    sample.__doc__ = f"Random numbers as `torch.{name}` gives for the same seed."
    FUNCTIONS[name] = sample
    sample_like.__name__ = sample_like.__qualname__ = f"{name}_like"
    sample_like.__doc__ = f"As `{name}`, with the shape and dtype of another tensor."
    FUNCTIONS[f"{name}_like"] = sample_like


def randint(
    low: int,
    high: Any,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random integers in [low, high), as `torch.randint(low=0, high, size)`."""
    if size is None:
        low, high, size = 0, low, high
    return _drawn(
        lambda shape: distributions.randint(
            shape, low, high, dtype=dtype or int64, generator=generator
        ),
        _shape((size,)),
        device,
        requires_grad,
    )


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """The integers from 0 to n - 1 in random order."""

    def draw(_: tuple[int, ...]) -> np.ndarray:
        return distributions.randperm(n, dtype=dtype or int64, generator=generator)

    return _drawn(draw, (n,), device, requires_grad, one_by_one=True)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: dtype | None = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from `start` (0 if only one is given) to `end`, `step` apart, `end` not included."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    inferred = (
        int64 if all(isinstance(each, int) for each in (start, end, step)) else get_default_dtype()
    )
    made = np.arange(start, end, step).astype((dtype or inferred).numpy_dtype)
    return _wrap(made, device, requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: dtype | None = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included, equally far apart."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    stored = (dtype or get_default_dtype()).numpy_dtype
    # As in PyTorch: computed from either end to the middle, in the dtype itself.
    step = stored.type((end - start) / max(steps - 1, 1))
    places = np.arange(steps)
    up = stored.type(start) + step * places.astype(stored)
    down = stored.type(end) - step * (steps - 1 - places).astype(stored)
    made = np.where(places < steps / 2, up, down).astype(stored)
    return _wrap(made if steps != 1 else np.full(1, start, stored), device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: dtype | None = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    stored = (dtype or get_default_dtype()).numpy_dtype
    return _wrap(np.eye(n, m).astype(stored), device, requires_grad)


def _new(make: str) -> Callable[..., Tensor]:
    def method(
        self: Tensor,
        *args: Any,
        dtype: dtype | None = None,
        device: Where = None,
        requires_grad: bool = False,
    ) -> Tensor:
        made = FUNCTIONS[make](*args, dtype=dtype or self.dtype, device=device)
        if device is None:
            made = _beside(made, self, False)
        return asked(made, requires_grad)

    method.__name__ = method.__qualname__ = f"new_{make}"
    method.__doc__ = f"As `torch.{make}`, with the dtype and device of this tensor."
    return method


def manual_seed(seed: int) -> Generator:
    """Seed the default stream of random numbers; returns the generator."""
    return default_generator.manual_seed(seed)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "arange": arange,
    "as_tensor": as_tensor,
    "eye": eye,
    "from_numpy": from_numpy,
    "full": full,
    "linspace": linspace,
    "manual_seed": manual_seed,
    "randint": randint,
    "randperm": randperm,
    "tensor": tensor,
}
for _name, _number in (("zeros", 0), ("ones", 1), ("empty", 0)):
    _filled(_name, _number)
for _name, _draw in (("rand", distributions.uniform), ("randn", distributions.normal)):
    _random(_name, _draw)
publish_all(
    FUNCTIONS, {f"new_{make}": _new(make) for make in ("empty", "full", "ones", "tensor", "zeros")}
)
