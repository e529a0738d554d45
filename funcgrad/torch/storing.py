"""Results stored where the caller says: `out=`, and random numbers drawn into a tensor."""

import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache, wraps
from typing import Any

import numpy as np

from funcgrad.engine import Op, Storage, Variable, grad_mode, local
from funcgrad.torch import sampling
from funcgrad.torch.calling import check_castable, check_no_repeats, in_place, writable
from funcgrad.torch.conversions import copy_, to
from funcgrad.torch.resizing import resize
from funcgrad.torch.tensor import Tensor, place
from funcgrad.torch.view_storage import ViewStorage, aval_of, shared
from funcgrad.torch.view_tensor import geometry
from funcgrad.torch.wrapping import check_drawn_in_place, of_batches


def store(name: str, out: Tensor, tensors: Iterable[Any], compute: Callable[[], Tensor]) -> Tensor:
    """Put a result in a tensor, which takes its shape.

    Args:
        name: the op's, for the complaints.
        out: where it goes.
        tensors: the arguments.
        compute: gives the result.

    Raises:
        RuntimeError: a gradient is wanted, or the result's dtype cannot be stored.
    """
    if local.recorder.grad_enabled and any(
        isinstance(each, Tensor) and each.requires_grad for each in (out, *tensors)
    ):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad."
        )
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    with grad_mode(False):
        result = compute()
        check_castable(result.dtype, out.dtype)
        if out.shape == result.shape:
            if type(out.storage) is ViewStorage:
                check_no_repeats(out.storage)
            return copy_(out, result)
        if out.numel():
            warnings.warn(
                f"An output with one or more elements was resized since it had shape {list(out.shape)}, which does not "
                f"match the required output shape {list(result.shape)}. This behavior is deprecated, and in a future "
                "PyTorch release outputs will not be resized unless they have zero elements. You can explicitly reuse "
                "an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
                UserWarning,
                stacklevel=3,
            )
        if resize(out, tuple(result.shape)):
            return copy_(out, result)
        if out._is_view():
            raise RuntimeError(
                f"{name}(): a view cannot grow to the shape {list(result.shape)} here, since JAX's arrays do not grow"
            )
        out.storage.version += 1
        out.move_to(shared(out.storage, to(result, out.dtype).storage))
    return out


def with_out(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes `out=` too."""

    @wraps(function)
    def wrapper(*args: Any, out: Tensor | None = None, **kwargs: Any) -> Any:
        if out is None:
            return function(*args, **kwargs)
        tensors = [
            each for arg in args for each in (arg if isinstance(arg, (tuple, list)) else (arg,))
        ]
        return store(name, out, tensors, lambda: function(*args, **kwargs))

    return wrapper


@lru_cache(maxsize=64)
def _replace(label: str) -> Op:
    return Op("draw", lambda _, new: new, label=label, counted=1)


def _drawing(name: str, label: str, draw: Callable[..., np.ndarray]) -> Callable[..., Tensor]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        writable(self)
        aval = aval_of(self.storage)
        of = geometry(self)
        # Numbers are drawn in the order of the elements in memory.
        order = sorted(range(len(of.size)), key=lambda k: (-of.stride[k], k))
        batches = check_drawn_in_place(self) if local.recorder.levels else ()
        shape = (*batches, *[of.size[k] for k in order])
        drawn = draw(shape, *args, dtype=self.dtype, **kwargs)
        back = [*range(len(batches)), *[len(batches) + order.index(k) for k in range(len(order))]]
        value = place(np.transpose(drawn, back).astype(aval.dtype))
        if local.recorder.levels:
            value = of_batches(value)
        return in_place(_replace(label), self, Variable(Storage(value)))

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"Fill the tensor with random numbers, as `Tensor.{name}_`."
    return method


def _random(shape: Any, *bounds: int, dtype: Any, generator: Any = None) -> np.ndarray:
    if not bounds:
        return sampling.random(shape, dtype=dtype, generator=generator)
    low, high = bounds if len(bounds) == 2 else (0, bounds[0])
    return sampling.randint(shape, low, high, dtype=dtype, generator=generator)


FUNCTIONS: dict[str, Any] = {}
METHODS: dict[str, Any] = {
    "bernoulli_": _drawing(
        "bernoulli",
        "BernoulliBackward2",
        lambda shape, p=0.5, **more: sampling.bernoulli(shape, p, **more),
    ),
    "cauchy_": _drawing("cauchy", "CauchyBackward0", sampling.cauchy),
    "exponential_": _drawing("exponential", "ExponentialBackward0", sampling.exponential),
    "geometric_": _drawing("geometric", "GeometricBackward0", sampling.geometric),
    "log_normal_": _drawing("log_normal", "LogNormalBackward0", sampling.log_normal),
    "normal_": _drawing("normal", "NormalBackward0", sampling.normal),
    "random_": _drawing("random", "RandomBackward2", _random),
    "uniform_": _drawing("uniform", "UniformBackward0", sampling.uniform),
}
