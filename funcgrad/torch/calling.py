"""How an op of the tables is called: operands made variables, dtypes promoted as PyTorch does, results written in place.

The ops themselves are in the tables; the tensor class is in `tensor`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Leaf, Op, Storage, Value, Variable, local, record
from funcgrad.engine.nodes import Packed
from funcgrad.torch.dtypes import bool_, dtype, from_numpy_dtype, result_dtype
from funcgrad.torch.inference import InferenceStorage
from funcgrad.torch.inference import enabled as inferring
from funcgrad.torch.tensor import Tensor, move_retained, tensor_of

NUMBERS = (bool, int, float, complex, np.number, np.bool_)


def call(op: Op, *tensors: Variable) -> Any:
    """Record an op; returns its tensor, or a tuple of them where it has several outputs."""
    result = record(op, tensors)
    if type(result) is tuple:
        return tensor_of(*result)
    return tuple([tensor_of(*each) for each in result])


_numbers: dict[tuple[Aval, Any], Variable] = {}


def number(value: Any, aval: Aval) -> Variable:
    """A Python number as a 0-d variable. Numbers are inputs of a program, not part of it: a new one compiles nothing.

    Args:
        value: the number.
        aval: the 0-d type that it takes.

    Raises:
        RuntimeError: the type cannot hold the number.
    """
    known = _numbers.get((aval, value))
    if known is not None:
        held = known.storage.value
        if not isinstance(held.array, jax.Array):
            # Met again, so likely to be met often: on the device it costs less with every call.
            with jax.enable_x64(True), jax.ensure_compile_time_eval():
                held.array = jnp.asarray(held.array)
        return known
    try:
        array = aval.dtype.type(value)
    except OverflowError:
        name = from_numpy_dtype(aval.dtype).name
        raise RuntimeError(f"value cannot be converted to type {name} without overflow") from None
    made = Variable(Storage(Value(array, aval)))
    if value != 0:  # 0.0 and -0.0 are equal, and are not the same number
        remember(_numbers, (aval, value), made)
    return made


def remember(cache: dict, key: Any, entry: Any, limit: int = 1024) -> Any:
    """Put `entry` in a cache, which starts anew rather than grow past `limit`; returns it."""
    if len(cache) >= limit:
        cache.clear()
    cache[key] = entry
    return entry


def promoted(operands: tuple[Any, ...]) -> dtype:
    """The dtype in which PyTorch computes on these tensors and Python numbers."""
    tensors = [operand for operand in operands if isinstance(operand, Variable)]
    return result_dtype(
        [
            from_numpy_dtype(t.storage.value.aval.dtype)
            for t in tensors
            if t.storage.value.aval.shape
        ],
        [
            from_numpy_dtype(t.storage.value.aval.dtype)
            for t in tensors
            if not t.storage.value.aval.shape
        ],
        [type(operand) for operand in operands if not isinstance(operand, Variable)],
    )


def write(target: Tensor, result: tuple[Value, Any, int]) -> Tensor:
    """Put a recorded result in a tensor's storage: the end of every in-place op. `writable` comes first."""
    value, node, nr = result
    storage = target.storage
    if node is not None and node.saved:
        # What the op needs of the target as it was is kept apart, as PyTorch keeps a copy.
        node.saved = tuple(
            [
                (value, Storage(value), 0, value) if where is storage else (value, where, *rest)
                for value, where, *rest in node.saved
            ]
        )
    storage.value = value
    storage.version += 1
    if node is not None:
        target.node, target.nr = node, nr
        if target._retained is not None:
            move_retained(target)
    return target


def watch_result(result: Tensor) -> None:
    """Let the node of an op's result watch the result in place of the arguments.

    PyTorch takes some derivatives from the result (that of `exp` is `exp` itself), and so it is the result that must not
    be changed in place before `backward()`, while the argument may be.
    """
    storage, node = result.storage, result.node
    if any(type(value) is Packed for value, *_ in node.saved):
        return  # hooks keep what was saved, whatever happens to the storage
    node.saved = tuple(
        [(value, storage, storage.version, storage.value) for value, *_ in node.saved]
    )


def writable(target: Tensor) -> None:
    """Check that an in-place op may change a tensor.

    Raises:
        RuntimeError: it is a leaf that gathers a gradient, and grad mode is on; or it was made in inference mode,
            and that is off.
    """
    if type(target.storage) is InferenceStorage and not inferring():
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a "
            "normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )
    if isinstance(target.node, Leaf) and local.recorder.grad_enabled:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )


def check_castable(result: dtype, target: dtype) -> None:
    """Check that PyTorch would let an in-place op store its result dtype in the target's.

    Raises:
        RuntimeError: it would lose the category (complex, floating point, integer, bool).
    """
    if (
        (result.is_complex and not target.is_complex)
        or (result.is_floating_point and not (target.is_floating_point or target.is_complex))
        or (result is not bool_ and target is bool_)
    ):
        raise RuntimeError(
            f"result type {result.scalar_type} can't be cast to the desired output type {target.scalar_type}"
        )
