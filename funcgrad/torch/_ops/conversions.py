"""Copies of a tensor in another dtype or on another device, and filling one with a number."""

from functools import cache, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Constant, Op, Value, Variable, local, record
from funcgrad.engine.compiling import copied
from funcgrad.engine.values import META, Absent
from funcgrad.torch._memory.formats import (
    RANKS,
    check_format,
    contiguous_format,
    geometry_in,
    memory_format,
    preserve_format,
    strided,
    suggested_format,
)
from funcgrad.torch._memory.storages import geometry_of
from funcgrad.torch._tensor.in_place import in_place, writable
from funcgrad.torch._tensor.operands import (
    NUMBERS,
    check_broadcast,
    check_result_fits,
    in_format,
    number,
    stored_number,
)
from funcgrad.torch._tensor.rebasing import CLONE
from funcgrad.torch._tensor.registry import publish, published
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._tensor.view import geometry
from funcgrad.torch._types import dtypes
from funcgrad.torch._types.accelerators import count
from funcgrad.torch._types.devices import device as device_of
from funcgrad.torch._types.dtypes import as_dtype, dtype
from funcgrad.torch._types.numbers import check_fits, kind_of
from funcgrad.torch._types.warning import warn


@cache
def _cast(wanted: np.dtype, where: Any) -> Op:
    def convert(x: Any) -> Any:
        return _as(x, wanted) if where is None else jax.device_put(_as(x, wanted), where)

    return Op(f"to {wanted.name}", convert, label="ToCopyBackward0")


@lru_cache(maxsize=1024)
def _fill(aval: Aval, label: str) -> Op:
    return Op(
        "fill",
        lambda _, value: jnp.broadcast_to(_as(value, aval.dtype), aval.shape),
        label=label,
        counted=1 if label.endswith("2") else None,
    )


def _as(x: Any, wanted: np.dtype) -> Any:
    """Elements in a dtype: the real parts where that is real, and where it is bool whether they are not zero.

    A float that an integer type of 32 or 64 bits cannot hold is the smallest one, as PyTorch has it on most processors;
    shorter integers are the last bits of one of 32.
    """
    if x.dtype.kind == "c" and wanted.kind not in "cb":
        x = x.real
    if wanted.kind not in "iu" or x.dtype.kind in "iub":
        return jnp.astype(x, wanted)
    wide = jnp.int64 if wanted.name == "int64" else jnp.int32
    bound = -float(jnp.iinfo(wide).min)
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    held = jnp.where((x >= -bound) & (x < bound), x, -bound).astype(wide)
    return jnp.astype(held, wanted)


@lru_cache(maxsize=1024)
def _zero(aval: Aval) -> Op:
    return Op("zero", lambda _: jnp.zeros(aval.shape, aval.dtype), label="ZeroBackward0")


@lru_cache(maxsize=1024)
def _copy(aval: Aval) -> Op:
    def copy(_: Any, source: Any) -> Any:
        return _as(jnp.broadcast_to(source, aval.shape), aval.dtype)

    return Op("copy", copy, label="CopyBackwards")


def copy_of(source: Tensor) -> Tensor:
    """A differentiable copy, recorded as `copy_` into an empty tensor."""
    empty = Constant(source._storage.read())  # never read, so any value of this type will do
    return tensor_of(*record(_copy(source._storage.aval), (Variable(empty), source)))


@published()
def clone(input: Tensor, *, memory_format: memory_format | None = None) -> Tensor:
    """A differentiable copy."""
    check_format("clone", memory_format)
    return in_format(tensor_of(*record(CLONE, (input,))), memory_format, input)


@published(function=False)
def contiguous(input: Tensor, memory_format: memory_format = contiguous_format) -> Tensor:
    """The tensor itself if its elements lie in memory in order, else a copy."""
    check_format("contiguous", memory_format)
    if memory_format is preserve_format:
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    return (
        input if is_contiguous(input, memory_format) else clone(input, memory_format=memory_format)
    )


@published(function=False)
def is_contiguous(self: Tensor, memory_format: memory_format = contiguous_format) -> bool:
    """Whether the elements lie one after another in memory, in the order of a format."""
    check_format("is_contiguous", memory_format)
    of = geometry(self)
    ranked = len(of.size) == RANKS.get(memory_format)
    wanted = geometry_in(memory_format, of.size) if ranked else None
    if memory_format in RANKS:
        return wanted is not None and of.same_places(wanted)
    return of.is_contiguous


def parsed_target(args: tuple[Any, ...], more: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `Tensor.to`, of its three forms: (device, dtype), (dtype), (other); non_blocking, copy.

    Raises:
        TypeError: they are of no form.
    """
    known = {"device", "dtype", "non_blocking", "copy", "memory_format"}
    first, rest = args[:1], args[1:]
    given: dict[str, Any] = {}
    if first and isinstance(first[0], Tensor):
        given = {"dtype": first[0].dtype, "device": first[0].device}
    elif first and (isinstance(first[0], dtypes.dtype) or first[0] in _PYTHON):
        given = {"dtype": as_dtype(first[0])}
    elif first:
        given = {"device": first[0]}
        if rest and (rest[0] is None or isinstance(rest[0], dtypes.dtype) or rest[0] in _PYTHON):
            given["dtype"], rest = rest[0], rest[1:]
    named = dict(zip(("non_blocking", "copy"), rest, strict=False))
    where = given.get("device")
    if (
        len(rest) > 2
        or not more.keys() <= known
        or (more.keys() & (given.keys() | named.keys()))
        or not all(isinstance(each, bool) for each in rest)
        or isinstance(where, bool)
        or not isinstance(where, (str, int, device_of, type(None)))
    ):
        listed = [_kind(each) for each in args] + [
            f"{name}={_kind(each)}" for name, each in more.items()
        ]
        raise TypeError(
            f"to() received an invalid combination of arguments - got ({', '.join(listed)}), but expected one of:\n"
            " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, bool copy = False, *, "
            "torch.memory_format memory_format = None)\n"
            " * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = "
            "None)\n"
            " * (Tensor tensor, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = "
            "None)\n"
        )
    return given | named | more


_PYTHON = (bool, int, float, complex)


def _kind(of: Any) -> str:
    kind = type(of)
    return repr(kind.__name__)[1:-1] if kind is not dtypes.dtype else "torch.dtype"


@published(function=False)
def to(self: Tensor, *args: Any, **more: Any) -> Tensor:
    """The tensor in another dtype, on another device, or with those of another tensor; itself if nothing changes.

    Args:
        args: `dtype`, `device` with or without `dtype`, or a tensor; then `non_blocking` and `copy`.
        more: the same by name, and `memory_format`. JAX copies without blocking in any case.

    Raises:
        TypeError: the arguments are of no form.
    """
    given = parsed_target(args, more)
    check_format("to", given.get("memory_format"))
    where, wanted = given.get("device"), given.get("dtype")
    wanted = self.dtype if wanted is None else as_dtype(wanted, "to")
    warn_of_lost_parts(self, wanted)
    return converted(
        self,
        wanted,
        where,
        copy=bool(given.get("copy")),
        memory_format=given.get("memory_format"),
    )


def warn_of_lost_parts(self: Tensor, wanted: dtype) -> None:
    """Warn that complex elements become real."""
    if self.dtype.is_complex and not (wanted.is_complex or wanted is dtypes.bool_):
        warn("Casting complex values to real discards the imaginary part")


def converted(
    self: Tensor,
    wanted: dtype,
    where: Any = None,
    *,
    copy: bool = False,
    memory_format: memory_format | None = None,
) -> Tensor:
    """The tensor in a dtype and on a device; itself if it has both already and `copy` is not set."""
    if where is not None and device_of(where) != self.device:
        target = device_of(where).jax_device()
        if self._storage.aval.device is META:
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        moved = tensor_of(*record(_cast(wanted.numpy_dtype, None), (self,)))
        if target is META:
            moved._storage.write(copied(Absent(moved._storage.aval), META))
        else:
            moved._storage.write(Value.of(jax.device_put(moved._jax_array(), target)))
        if local.recorder.watch is not None:
            local.recorder.watch.applied([moved._storage.read()])
        return in_format(moved, memory_format)
    if wanted is not self.dtype:
        made = tensor_of(*record(_cast(wanted.numpy_dtype, None), (self,)))
        return in_format(made, memory_format, self)
    kept = memory_format in (None, preserve_format)
    if copy or not (kept or suggested_format(geometry(self)) is memory_format):
        return clone(self, memory_format=memory_format)
    return self


@published("type", function=False)
def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type; or the tensor converted to another type.

    Args:
        dtype: a dtype, a type such as `torch.LongTensor`, or the name of one.
        non_blocking: JAX copies without blocking in any case.

    Raises:
        ValueError: there is no type of this name.
        TypeError: it is no type.
    """
    if dtype is None:
        return type_name(self)
    if isinstance(dtype, dtypes.dtype):
        return converted(self, dtype)
    of_class = getattr(dtype, "dtype", None)  # of `torch.LongTensor` and the like
    if isinstance(dtype, type) and isinstance(of_class, dtypes.dtype):
        name = f"{'torch.cuda' if getattr(dtype, 'is_cuda', False) else 'torch'}.{dtype.__name__}"
    elif isinstance(dtype, (str, type)):
        name = dtype if isinstance(dtype, str) else f"{dtype.__module__}.{dtype.__name__}"
    else:
        raise TypeError("dtype must be a type, str, or dtype object")
    if isinstance(dtype, type) and issubclass(dtype, Tensor):
        name = f"torch.{dtypes.get_default_dtype().scalar_type}Tensor"
    wanted = TYPES.get(name.replace("torch.cuda.", "torch."))
    if wanted is None:
        raise ValueError(f"invalid type: '{name.removeprefix('builtins.')}'")
    return converted(self, wanted, gpu_of_type(name) if name.startswith("torch.cuda.") else None)


def gpu_of_type(name: str) -> device_of:
    """The GPU, where tensors of a type such as `torch.cuda.FloatTensor` lie.

    Raises:
        TypeError: there is none.
    """
    if not count("cuda"):
        raise TypeError(f"type {name} not available. Torch not compiled with CUDA enabled.")
    return device_of("cuda")


TYPES = {f"torch.{each.scalar_type}Tensor": each for each in dtypes.ALL_DTYPES}


def type_name(of: Tensor) -> str:
    """PyTorch's old name for a tensor's type, such as `torch.FloatTensor`."""
    where = "" if of.device.type == "cpu" else f"{of.device.type}."
    return f"torch.{where}{of.dtype.scalar_type}Tensor"


@published(function=False)
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype and on the device of another."""
    if not isinstance(other, Tensor):
        raise TypeError(
            f"type_as(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}"
        )
    return converted(self, other.dtype, other.device)


@published(function=False)
def fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element to a number or to a 0-d tensor."""
    aval = self._storage.aval
    if isinstance(value, Tensor):
        if value._storage.memory is self._storage.memory:
            value = clone(value)
        writable(self, value, name="fill_")
        if value.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions."
            )
        return in_place(_fill(aval, "FillBackward3"), self, value)
    if not isinstance(value, NUMBERS):
        what = kind_of(value)
        wrong = f"didn't match because some of the arguments have invalid types: (!{what}!)"
        raise TypeError(
            f"fill_() received an invalid combination of arguments - got ({what}), but expected one of:\n"
            f" * (Tensor value)\n      {wrong}\n * (Number value)\n      {wrong}\n"
        )
    writable(self, repeats=True)
    if aval.dtype.kind in "iu":
        check_fits(value, aval.dtype)
        value = int(value.real)
    stored = stored_number(value, Aval((), aval.dtype))
    return in_place(_fill(aval, "FillBackward2"), self, stored)


@published(function=False)
def zero_(self: Tensor) -> Tensor:
    """Set every element to zero."""
    writable(self, repeats=True)
    return in_place(_zero(self._storage.aval), self)


def _same_elements(self: Tensor, other: Variable) -> bool:
    """Tell if two tensors have the same elements of one memory, in the same order."""
    a, b = self._storage, other._storage
    return a.memory is b.memory and geometry_of(a) == geometry_of(b)


@published(function=False)
def copy_(self: Tensor, other: Any, non_blocking: bool = False) -> Tensor:
    """Set the elements to those of another tensor, converted and broadcast."""
    aval = self._storage.aval
    if isinstance(other, NUMBERS):
        other = number(other, Aval((), aval.dtype))
    elif not isinstance(other, Tensor):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {kind_of(other)}"
        )
    writable(self, other, repeats=_same_elements(self, other), name="copy_")
    given = other._storage.aval
    if given.dtype.kind == "c" and aval.dtype.kind not in "cb":
        warn("Casting complex values to real discards the imaginary part")
    check_broadcast(aval, given)
    check_result_fits(aval.shape, np.broadcast_shapes(aval.shape, given.shape))
    return in_place(_copy(aval), self, other)


def _to(name: str, wanted: dtype) -> Any:
    def convert(self: Tensor, *, memory_format: memory_format = preserve_format) -> Tensor:
        check_format(name, memory_format)
        warn_of_lost_parts(self, wanted)
        return converted(self, wanted, memory_format=memory_format)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"The tensor as {wanted}."
    return convert


@published(function=False)
def cpu(self: Tensor, memory_format: memory_format = preserve_format) -> Tensor:
    """The tensor on the CPU."""
    check_format("cpu", memory_format)
    return converted(self, self.dtype, "cpu", memory_format=memory_format)


@published(function=False)
def cuda(
    self: Tensor,
    device: Any = None,
    non_blocking: bool = False,
    memory_format: memory_format = preserve_format,
) -> Tensor:
    """The tensor on a GPU: the first, or the one that `device` names.

    Raises:
        RuntimeError: JAX finds none, or `device` names no GPU.
    """
    check_format("cuda", memory_format)
    where = device_of(f"cuda:{device}" if isinstance(device, int) else device or "cuda")
    if where.type != "cuda":
        raise RuntimeError("Invalid device, must be cuda device")
    return converted(self, self.dtype, where, memory_format=memory_format)


@published(method=False)
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like another, filled with a number or the one element of a tensor."""
    return fill_(clone(input), value)


_NAMED = {
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "bfloat16": "bfloat16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "char": "int8",
    "byte": "uint8",
    "bool": "bool_",
    "cfloat": "complex64",
    "cdouble": "complex128",
}
for _name, _of in _NAMED.items():
    publish(_to(_name, getattr(dtypes, _of)), _name, function=False)
publish(property(lambda self: strided), "layout", function=False)
