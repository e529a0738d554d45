"""The one rule of dtypes, and the JAX settings that the package's own work runs under.

The rule: the dtype of the arrays given, NumPy's or JAX's, is the dtype computed in.

- NumPy's float64 is computed in float64. `jax.enable_x64` is on around the work; no global setting changes.
- NumPy's integers and booleans become the floating dtype that holds them: float32 up to 16 bits, float64
  above. Integers beyond 2**53, which float64 does not hold, are refused; so are long doubles.
- Lists are read as NumPy reads them. Python's numbers take the dtype of the arrays beside them.
- JAX's arrays are promoted as JAX promotes them. If some are tracers, their dtype decides: the trace has it already.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import lru_cache, wraps
from itertools import pairwise
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding
from jaxtyping import PyTree

from funcgrad.strictness import SETTINGS, changes, together

P = ParamSpec("P")
R = TypeVar("R")

_WIDE = frozenset(map(np.dtype, (np.float64, np.complex128, np.int64, np.uint64)))
_LARGEST_INTEGER = 1 << 53

# The settings of `strictness` that apply while a function is traced.
_TRACED = ("jax_numpy_rank_promotion", "jax_numpy_dtype_promotion")


def own_work(*, float64: bool = True) -> AbstractContextManager[Any]:
    """Run the package's own work: under no strictness of the user's, with float64 where asked for."""
    found = changes()
    if float64 and not float64_is_on():
        found.append(jax.enable_x64(True))
    return together(found)


def by_values(name: str, function: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """Call a function whose way depends on values, also where JAX traces another one: in a thread of its own then.

    Raises:
        TypeError: an argument is traced; the message names the function.
    """
    if any(map(_is_traced, jax.tree.leaves((args, options)))):
        raise TypeError(
            f"{name} decides by values, which jax.jit, grad and vmap do not tell: call it outside of them, and give "
            "them its answer"
        )
    if not is_tracing():
        return function(*args, **options)
    with ThreadPoolExecutor(1) as untraced:
        return untraced.submit(function, *args, **options).result()


def is_tracing() -> bool:
    """Return whether JAX traces a function now: an array made of a constant is a tracer then."""
    return _is_traced(on_device(np.zeros(())))


def float64_is_on() -> bool:
    """Return whether JAX keeps 64-bit types here."""
    name = "jax_enable_x64"  # an attribute that its annotations leave out
    return bool(getattr(jax.config, name))


def as_set_by_user(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of the user's that keeps the settings it has now when `own_work` calls it.

    The same function and settings give the same function again, which programs are kept by.
    """
    strict = tuple(
        (name, getattr(jax.config, name))
        for name, lenient, _ in SETTINGS
        if name in _TRACED and getattr(jax.config, name) not in lenient
    )
    if not strict:
        return function
    try:
        return _under(function, strict)
    except TypeError:  # a callable object that cannot be hashed
        return _under.__wrapped__(function, strict)


@lru_cache(maxsize=64)
def _under(function: Any, strict: tuple[tuple[str, Any], ...]) -> Any:
    settings = {name: setting for name, _, setting in SETTINGS}

    @wraps(function)
    def wrapped(*args: Any) -> Any:
        with together([settings[name](value) for name, value in strict]):
            return function(*args)

    return wrapped


def computing_in(*arrays: PyTree) -> AbstractContextManager[Any]:
    """Return `own_work` in the dtype of the arrays, which is float64 where one of them needs it."""
    return own_work(float64=needs_float64(arrays))


def needs_float64(arrays: PyTree) -> bool:
    """Return whether an array's dtype is lost unless JAX's 64-bit types are on."""
    leaves = jax.tree.leaves(arrays)
    wide = [leaf for leaf in leaves if getattr(leaf, "dtype", None) in _WIDE]
    if not wide:
        return False
    return any(map(_is_traced, wide)) or not any(map(_is_traced, leaves))


def _is_traced(leaf: Any) -> bool:
    return isinstance(leaf, jax.core.Tracer)


def numbers(name: str, value: Any) -> Any:
    """Return data as an array of a floating dtype, or as JAX's array that it is already.

    Args:
        name: its name in a message.
        value: an array, or anything that NumPy makes one of; None stays None.

    Raises:
        TypeError: if it does not hold numbers, or a long double.
        ValueError: if it holds an integer that float64 does not, or masked values.
    """
    if value is None or isinstance(value, jax.Array | int | float | complex):
        return value
    if hasattr(value, "__jax_array__"):
        return value
    if np.ma.is_masked(value):
        raise ValueError(
            f"{name} is masked in part, which a regression would not heed: fill it, or leave out those rows"
        )
    array = np.asarray(value)
    if array.dtype.kind in "OSUMm":
        raise TypeError(
            f"{name} must hold numbers, got an array of dtype {array.dtype}{_example(array)}"
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        raise TypeError(
            f"{name} is of dtype {array.dtype}, and the widest dtype computed in is float64: convert it"
        )
    if array.dtype.kind in "biu":
        _check_integers(name, array)
        return array.astype(np.promote_types(array.dtype, np.float32))
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def check_indices(**data: Any) -> None:
    """Refuse frames and series, each by its name, whose rows have the same labels in another order, or others.

    Raises:
        ValueError: their indices differ. Rows are paired by their places, so some would be paired wrongly.
    """
    indices = {name: getattr(each, "index", None) for name, each in data.items()}
    labelled: dict[str, Any] = {
        name: index
        for name, index in indices.items()
        if hasattr(index, "equals")  # a list has a method of the name `index`
    }
    for (first, labels), (name, others) in pairwise(labelled.items()):
        if len(labels) == len(others) and not labels.equals(others):
            raise ValueError(
                f"the rows of {first} and {name} have different labels: {name}.loc[{first}.index] puts them in one "
                "order, and .to_numpy() of both pairs them as they are"
            )


def on_device(array: Any) -> jax.Array:
    """Return an array as JAX's; NumPy's is copied, at once: `jnp.asarray` compiles a program for each shape of it."""
    if isinstance(array, np.ndarray | np.generic):
        return jax.device_put(np.asarray(array), may_alias=False)
    return jnp.asarray(array)


def on_device_as(dtype: Any, value: Any) -> jax.Array:
    """Return a number or an array as JAX's of a dtype; NumPy converts what is not JAX's, and compiles nothing."""
    if isinstance(value, np.ndarray | np.generic | int | float | complex):
        return on_device(np.asarray(value, dtype))
    return jnp.asarray(value, dtype)


def lie_on_one_cpu(arrays: list[jax.Array]) -> bool:
    """Return whether JAX's arrays all lie whole on the same CPU device."""
    where = {leaf.sharding for leaf in arrays}
    if not all(isinstance(each, SingleDeviceSharding) for each in where):
        return False
    devices: list[Any] = list({device for each in where for device in each.device_set})
    return len(devices) == 1 and devices[0].platform == "cpu"


def put_beside(arrays: list[jax.Array], tree: PyTree) -> PyTree:
    """Return NumPy's arrays as JAX's, on the device where those of `lie_on_one_cpu` lie; of none, the default one."""
    if not arrays:
        return jax.device_put(tree)
    (device,) = arrays[0].devices()
    if any(leaf.committed for leaf in arrays):
        return jax.device_put(tree, device)
    with jax.default_device(device):
        return jax.device_put(tree)


def are_readable(arrays: list[Any]) -> bool:
    """Return whether NumPy reads all arrays, its own and JAX's on one CPU, without a copy."""
    if any(map(_is_traced, arrays)):
        return False
    ours = [leaf for leaf in arrays if isinstance(leaf, jax.Array)]
    return lie_on_one_cpu(ours) if ours else jax.default_backend() == "cpu"


def called_at_once(function: Callable[..., PyTree], *trees: PyTree) -> PyTree | None:
    """Return the result of a function of NumPy's arrays, as JAX's; None where the arrays are not NumPy's to read.

    NumPy reads its own and JAX's on one CPU, without a copy. A program of so little work would be compiled for longer
    than it runs.
    """
    leaves = jax.tree.leaves(trees)
    if not are_readable(leaves):
        return None
    ours = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
    with np.errstate(all="ignore"):
        return put_beside(ours, function(*jax.tree.map(np.asarray, trees)))


def _example(array: np.ndarray) -> str:
    """Return the first value of an array of objects that is no number, for a message."""
    if array.dtype.kind != "O":
        return ""
    wrong = [value for value in array.flat if not isinstance(value, int | float | np.number)]
    if not wrong:
        return ": convert it, such as by .astype(float)"
    return f", with {wrong[0]!r} in it" if array.ndim else f", a {type(wrong[0]).__name__}"


def _check_integers(name: str, array: np.ndarray) -> None:
    if array.dtype.itemsize < 8 or not array.size:
        return
    largest = max(int(array.max()), int(array.min()), key=abs)
    if abs(largest) > _LARGEST_INTEGER:
        raise ValueError(
            f"{name} holds the integer {largest}: float64 holds every integer up to 2**53 only. "
            "Subtract an offset, or convert to float64 if rounding is meant"
        )


def integers_kept(value: Any) -> Any:
    """Return a leaf of data for any loss: NumPy's integers stay integers, 32-bit ones where they fit.

    A loss may use them as indices. JAX would cut those that do not fit into 32 bits.
    """
    if not isinstance(value, np.ndarray | np.generic) or value.dtype not in _WIDE:
        return value
    if value.dtype.kind not in "iu":
        return value
    narrow = np.dtype(np.int32 if value.dtype.kind == "i" else np.uint32)
    limits = np.iinfo(narrow)
    fits = value.size == 0 or (value.min() >= limits.min and value.max() <= limits.max)
    return value.astype(narrow) if fits else value


def starting(params: PyTree, *, float64: bool) -> PyTree:
    """Return params as arrays to train: none of Python's numbers among them, in float64 where that is due."""
    leaves = [leaf for leaf in jax.tree.leaves(params) if hasattr(leaf, "dtype")]
    floating = [leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def start(leaf: Any) -> jax.Array:
        # Naming the dtype strips weak types, which a step would not keep.
        dtype = jnp.result_type(leaf)
        if isinstance(leaf, float) and not isinstance(leaf, np.generic) and floating:
            dtype = jnp.result_type(*floating)
        if float64 and jnp.issubdtype(dtype, jnp.floating):
            dtype = np.dtype(np.float64)
        return on_device_as(dtype, leaf)

    return jax.tree.map(start, params)
