"""How an op of the tables is called: operands made variables, dtypes promoted as PyTorch does, results written in place.

The ops themselves are in the tables; the tensor class is in `tensor`.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Constant, Leaf, Op, Storage, Value, Variable, local, record
from funcgrad.engine.levels import duals
from funcgrad.engine.nodes import Packed
from funcgrad.engine.values import Wrapped
from funcgrad.torch.dtypes import bool_, dtype, from_numpy_dtype, result_dtype
from funcgrad.torch.inference import InferenceStorage
from funcgrad.torch.inference import enabled as inferring
from funcgrad.torch.scalars import as_scalar, check_fits
from funcgrad.torch.tensor import Tensor, rebase, tensor_of
from funcgrad.torch.view_storage import ViewStorage, aval_of, geometry_of, memory_of, result_storage
from funcgrad.torch.view_tensor import ViewTensor, as_it_was, keep_apart
from funcgrad.torch.wrapping import check_not_batched, check_transformed, rewritten, still_dual

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
        OverflowError, RuntimeError: see `as_scalar`.
    """
    known = _numbers.get((aval, value))
    if known is not None:
        held = known.storage.value
        if not isinstance(held.array, jax.Array):
            # Met again, so likely to be met often: on the device it costs less with every call.
            with jax.enable_x64(True), jax.ensure_compile_time_eval():
                held.array = jnp.asarray(held.array)
        return known
    made = Variable(Constant(Value(as_scalar(value, aval.dtype), aval)))
    if value != 0:  # 0.0 and -0.0 are equal, and are not the same number
        remember(_numbers, (aval, value), made)
    return made


def stored_number(value: Any, aval: Aval) -> Variable:
    """`number` of one that is stored as it is, so that it has to fit.

    Raises:
        OverflowError, RuntimeError: it does not.
    """
    check_fits(value, aval.dtype)
    return number(value, aval)


def remember(cache: dict, key: Any, entry: Any, limit: int = 1024) -> Any:
    """Put `entry` in a cache, which starts anew rather than grow past `limit`; returns it."""
    if len(cache) >= limit:
        cache.clear()
    cache[key] = entry
    return entry


def promoted(operands: tuple[Any, ...]) -> dtype:
    """The dtype in which PyTorch computes on these tensors and Python numbers."""
    avals = [aval_of(each.storage) for each in operands if isinstance(each, Variable)]
    return result_dtype(
        [from_numpy_dtype(aval.dtype) for aval in avals if aval.shape],
        [from_numpy_dtype(aval.dtype) for aval in avals if not aval.shape],
        [type(operand) for operand in operands if not isinstance(operand, Variable)],
    )


def laid_out(result: Tensor, *operands: Variable) -> Tensor:
    """The result of an op that works element by element, its elements in memory in the order of the operands' elements.

    Only views can be in another order than that of their indices.
    """
    # Not one of inference mode or of `vmap`.
    plain = type(result.storage) is Storage and type(result.storage.value) is Value
    if plain and any(type(each.storage) is ViewStorage for each in operands):
        storage = result_storage(result.storage.value, operands)
        if storage is not None:
            result.storage = storage
    return result


def in_place(
    op: Op,
    target: Tensor,
    *others: Variable,
    saves_result: bool = False,
    saves_arguments: bool = False,
) -> Tensor:
    """Record `op` on a tensor and others and store its result in the tensor. `writable` comes first.

    PyTorch's derivative needs the result if `saves_result`, then also the arguments if `saves_arguments`; see `watch`.
    """
    if type(target) is ViewTensor:
        node = target.write_in_place(op, others)
    else:
        result = record(op, (as_it_was(target), *others))
        node = result[1]
        write(target, result)
    if saves_result:
        watch(node, target.storage, arguments=saves_arguments)
    return target


def write(target: Tensor, result: tuple[Value, Any, int]) -> Tensor:
    """Put a recorded result in a tensor's storage: the end of an in-place op. `writable` comes first."""
    value, node, nr = result
    if type(target) is ViewTensor:
        target.write_in_place(_REPLACE, (Variable(Storage(value), node, nr),))
        return target
    storage = target.storage
    if isinstance(value, Wrapped):
        check_not_batched(target, value)
        if not local.recorder.grad_enabled:
            value = rewritten(storage.value, value, tangents=False)
    elif duals:
        value = still_dual(storage.value, value)
    keep_apart(node)
    storage.value = value
    storage.version += 1
    if node is not None:
        rebase(target, node, nr)
    return target


_REPLACE = Op("write", lambda _, new: new)


def watch(node: Any, *watched: Storage, arguments: bool = False) -> None:
    """Let the node of an op watch other storages than those of the arguments that its derivative needs.

    PyTorch takes some derivatives from the result (that of `exp` is `exp` itself), and so it is the result that must not
    be changed in place before `backward()`, while the argument may be. Of some it saves both.

    Args:
        node: the op's node; None where there is none.
        watched: what must not be changed: results, or what indices were made from.
        arguments: whether the arguments must not be changed either.
    """
    if node is None or not node.saved:
        return
    for entry in node.saved:
        if type(entry[0]) is Packed:
            return  # hooks keep what was saved, whatever happens to the storage
    if arguments:
        (value, argument, _, held), *rest = node.saved
        both = Watched((argument, *watched))
        node.saved = ((value, both, both.version, held), *rest)
        return
    storage = watched[0] if len(watched) == 1 else Watched(watched)
    version, held = storage.version, storage.value
    node.saved = tuple([(value, storage, version, held) for value, *_ in node.saved])


class Watched(Storage):
    """Several storages, none of which may be changed: what a node saved of the first goes on with its value."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Storage]) -> None:
        self.parts = parts

    @property
    def value(self) -> Value:  # type: ignore[override]
        """What the first holds."""
        return self.parts[0].value

    @property
    def version(self) -> Any:  # type: ignore[override]
        """The versions of all."""
        return tuple([part.version for part in self.parts])

    def changed(self, version: Any) -> tuple[Storage, int, bool]:
        """The first of them that was changed."""
        k = next(k for k, part in enumerate(self.parts) if part.version != version[k])
        return self.parts[k], version[k], k > 0


def writable(target: Tensor, *others: Variable, repeats: bool = False, name: str = "") -> None:
    """Check that an in-place op of a tensor and others may change the tensor; `name` is the op's method.

    Raises:
        RuntimeError: it is a leaf that gathers a gradient, or a view of one, and grad mode is on; or its elements share
            places in memory, with one another or with those of another operand; or it was made in inference mode, and
            that is off.
    """
    kind = type(target.storage)
    if kind is ViewStorage:
        kind = type(memory_of(target.storage))
    if kind is InferenceStorage and not inferring():
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a "
            "normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )
    if local.recorder.grad_enabled:
        if type(target) is ViewTensor:
            target.check_writable(others)
        elif isinstance(target.node, Leaf):
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
    if local.recorder.levels or duals:
        check_transformed(target, others, name)

    viewed = type(target.storage) is ViewStorage
    for other in others:
        if viewed or type(other.storage) is ViewStorage:
            check_no_overlap(target, other)
    if viewed and not repeats:
        check_no_repeats(target.storage)


def check_no_repeats(storage: Any) -> None:
    """Check that a storage's elements are places of their own.

    Raises:
        RuntimeError: several are one place, as `expand` makes them.
    """
    if geometry_of(storage).repeats:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )


def check_no_overlap(target: Variable, other: Variable, whole: bool = False) -> None:
    """Check that what is written is all of what an operand has of the same memory, or none of it; with `whole`, none.

    Raises:
        RuntimeError: it is some of it; with `whole`, also where it is all of it.
    """
    if target is other:
        overlap = whole
    elif memory_of(target.storage) is not memory_of(other.storage):
        return
    else:
        a, b = geometry_of(target.storage), geometry_of(other.storage)
        same = (a.stride, a.offset, a.end) == (b.stride, b.offset, b.end)
        some = 0 not in a.size and 0 not in b.size and a.is_dense and b.is_dense
        overlap = some and a.offset < b.end and b.offset < a.end and (whole or not same)
    if overlap:
        raise RuntimeError(
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
            "memory location. Please clone() the tensor before performing the operation."
        )


def check_broadcast(*avals: Aval) -> None:
    """Check that shapes broadcast.

    Raises:
        RuntimeError: two lengths differ and neither is 1.
    """
    a, b = avals[0].shape, avals[-1].shape
    for back in range(1, min(len(a), len(b)) + 1):
        if a[-back] != b[-back] and 1 not in (a[-back], b[-back]):
            raise RuntimeError(
                f"The size of tensor a ({a[-back]}) must match the size of tensor b ({b[-back]}) "
                f"at non-singleton dimension {max(len(a), len(b)) - back}"
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
