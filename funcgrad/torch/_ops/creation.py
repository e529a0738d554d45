"""Making tensors: from data, filled with a number, or with random numbers from PyTorch's own stream."""

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Any

import numpy as np

from funcgrad.engine import local
from funcgrad.engine.values import Wrapped
from funcgrad.teaching import cured
from funcgrad.torch._levels.batches import as_batched, drawn_for_batches, lifted, of_batches
from funcgrad.torch._memory.formats import check_format, layout, memory_format, strided
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.inference import enabled as inferring
from funcgrad.torch._memory.mapped_files import mapped
from funcgrad.torch._memory.sharing import memory_of
from funcgrad.torch._memory.storages import view_of
from funcgrad.torch._ops.conversions import to
from funcgrad.torch._ops.elements import elements
from funcgrad.torch._ops.out import store
from funcgrad.torch._random import distributions
from funcgrad.torch._random.generator import Generator, apart, default_generator
from funcgrad.torch._random.keys import drawn_from_key
from funcgrad.torch._tensor.kinds import is_int, refusal
from funcgrad.torch._tensor.layout import UntypedStorage
from funcgrad.torch._tensor.operands import NUMBERS, in_format, is_pytorchs, plain_number
from funcgrad.torch._tensor.registry import publish_all, without_out
from funcgrad.torch._tensor.tensor import Tensor, place, tensor_of, without_history
from funcgrad.torch._types.devices import device, is_meta
from funcgrad.torch._types.dtypes import (
    C_NAMES,
    as_dtype,
    bool_,
    dtype,
    from_numpy_dtype,
    get_default_dtype,
    int64,
    scalar_category_dtype,
    uint8,
)
from funcgrad.torch._types.numbers import fitting, kind_of
from funcgrad.torch._types.warning import warn

Where = device | str | int | None


# ------------------------------------------------------------------------------------------- shared by all


def _wrap(array: Any, where: Where, requires_grad: bool | None, function: str = "tensor") -> Tensor:
    made = tensor_of(lifted(place(array, where)))
    return made if requires_grad is False else asked(made, requires_grad, function)


def asked(made: Tensor, requires_grad: bool | None, function: str = "") -> Tensor:
    """Set `requires_grad` of a new tensor.

    Raises:
        TypeError: `requires_grad` is not a bool.
        RuntimeError: the dtype has no gradients.
    """
    _check_bool(function, "requires_grad", requires_grad)
    if requires_grad and not made._storage.aval.inexact:
        raise cured(
            RuntimeError("Only Tensors of floating point and complex dtype can require gradients"),
            "integers",
        )
    made.requires_grad = bool(requires_grad)
    return made


def _check_bool(function: str, name: str, given: Any) -> None:
    if given is not None and not isinstance(given, bool):
        raise TypeError(f"{function}(): argument '{name}' must be bool, not {type(given).__name__}")


def check_storing(function: str, wanted: Any, pin_memory: Any) -> None:
    """Check the arguments `layout` and `pin_memory`.

    Raises:
        TypeError: they are something else.
        NotImplementedError: the layout is sparse.
        RuntimeError: pinned memory is asked for, which JAX does not show.
    """
    if wanted is not None and not isinstance(wanted, layout):
        raise TypeError(
            f"{function}(): argument 'layout' must be torch.layout, not {type(wanted).__name__}"
        )
    if wanted not in (None, strided):
        raise NotImplementedError(
            f"{function}(): {wanted} tensors; only torch.strided ones exist here"
        )
    _check_bool(function, "pin_memory", pin_memory)
    if pin_memory:
        raise RuntimeError(
            "pin_memory=True requires a CUDA or other accelerator backend; no pinned memory allocator is available on "
            "this system."
        )


FUNCTIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Any] = {}
_KEYWORDS: dict[str, Any] = {
    "out": None,
    "dtype": None,
    "layout": None,
    "device": None,
    "pin_memory": False,
    "requires_grad": False,
}


def _signature(make: Callable[..., Any], names: Sequence[str], keywords: Iterable[str]) -> Any:
    """The signature that users see.

    Args:
        make: the function, whose `dtype` is among the keywords.
        names: of the arguments that it takes as `*args` and `**more`; without them its own parameters stand.
        keywords: of the result.
    """
    positional, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    hidden = (inspect.Parameter.VAR_KEYWORD, *([inspect.Parameter.VAR_POSITIONAL] if names else []))
    return inspect.Signature(
        [
            *[inspect.Parameter(each, positional, default=None) for each in names],
            *[
                each.replace(annotation=inspect.Parameter.empty)
                for name, each in inspect.signature(make).parameters.items()
                if name != "dtype" and each.kind not in hidden
            ],
            *[inspect.Parameter(each, by_name, default=_KEYWORDS.get(each)) for each in keywords],
        ],
        return_annotation=Tensor,
    )


def factory(
    make: Callable[..., Any] | None = None,
    *,
    names: Sequence[str] = (),
    keywords: Sequence[str] = (),
    like: bool = False,
    new: bool = False,
    out: bool = True,
) -> Any:
    """Declare a function that makes tensors, with all of PyTorch's keywords; a decorator with or without arguments.

    Args:
        make: takes its own arguments and `dtype`, a dtype or None, and gives a NumPy array or a tensor.
        names: of the arguments that `make` takes as `*args`, for the signature.
        keywords: that `make` takes as `**more`, for the signature.
        like: whether there is a function `<name>_like`.
        new: whether there is a method `new_<name>`.
        out: whether it takes `out`.
    """
    if make is None:
        return functools.partial(
            factory, names=names, keywords=keywords, like=like, new=new, out=out
        )
    name, function = make.__name__, _with_keywords(make)
    if not out:
        function = without_out(function)
    function.__signature__ = _signature(make, names, (*_KEYWORDS, *keywords))  # type: ignore[attr-defined]
    FUNCTIONS[name] = function
    if like:
        FUNCTIONS[f"{name}_like"] = _like(name)
    if new:
        METHODS[f"new_{name}"] = _new(name)
    return function


def _with_keywords(make: Callable[..., Any]) -> Callable[..., Tensor]:
    name = make.__name__

    def function(
        *args: Any,
        out: Tensor | None = None,
        dtype: Any = None,
        layout: Any = None,
        device: Where = None,
        pin_memory: bool | None = False,
        requires_grad: bool | None = False,
        **more: Any,
    ) -> Tensor:
        wanted = None if dtype is None else as_dtype(dtype, name)
        check_storing(name, layout, pin_memory)
        if out is None:
            if is_meta(device):
                with apart():
                    made = make(*args, dtype=wanted, **more)
            else:
                made = make(*args, dtype=wanted, **more)
            if not isinstance(made, Tensor):
                return _wrap(made, device, requires_grad, name)
            return asked(to(made, device=device), requires_grad, name)
        if not isinstance(out, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
        if wanted not in (None, out.dtype):
            raise RuntimeError(
                f"dtype {wanted.scalar_type} does not match dtype of out parameter ({out.dtype.scalar_type})"
            )
        stored = store(f"aten::{name}", out, (), lambda: function(*args, dtype=out.dtype, **more))
        return stored if requires_grad is False else asked(stored, requires_grad, name)

    functools.update_wrapper(function, make)
    del function.__wrapped__  # type: ignore[attr-defined]
    return function


def _size(function: str, sizes: tuple[Any, ...], position: int = 1) -> tuple[int, ...]:
    """The shape from sizes given one by one or as one sequence.

    Raises:
        TypeError: they are no integers.
        RuntimeError: one is negative.
    """
    complaint = f"{function}(): argument 'size' (position {position}) must be tuple of ints, "
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (list, tuple)) else sizes
    shape = []
    for place_, each in enumerate(given):
        try:
            if isinstance(each, bool):
                raise TypeError
            shape.append(index(each))
        except TypeError:
            kind = kind_of(each)
            if given is sizes and not place_:
                raise TypeError(f"{complaint}not {kind}") from None
            raise TypeError(
                f"{complaint}but found element of type {kind} at pos {place_}"
            ) from None
    for each in shape:
        if each < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {each}: {shape}")
    return tuple(shape)


def _sizes(function: str, size: tuple[Any, ...], more: dict[str, Any]) -> tuple[int, ...]:
    """The sizes, given by position or by PyTorch's name.

    Raises:
        TypeError: there are none, or another name is given.
    """
    for name in more:
        if name != "size" or size:
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'")
    if "size" in more:
        return _size(
            function, (tuple(more["size"]),) if isinstance(more["size"], list) else (more["size"],)
        )
    if not size:
        raise TypeError(f'{function}() missing 1 required positional arguments: "size"')
    return _size(function, size)


def _number(function: str, name: str, position: int, given: Any) -> Any:
    """A number, or the one element of a 0-d tensor.

    Raises:
        TypeError: it is something else, or the tensor requires grad.
    """
    given = plain_number(given, function, name, position)
    if not isinstance(given, NUMBERS):
        raise TypeError(
            f"{function}(): argument '{name}' (position {position}) must be Number, not {kind_of(given)}"
        )
    return given.item() if isinstance(given, np.generic) else given


def integer(function: str, name: str, position: int, given: Any) -> int:
    """An argument as a Python integer.

    Raises:
        TypeError: it is none.
    """
    if not is_int(given):
        raise refusal(function, name, position, "int", given)
    return index(given)


def _beside(made: Tensor, other: Tensor, where: Where) -> Tensor:
    """Put a new tensor on the device of `other`, and inside `vmap` into the batches of `other`."""
    value = other._storage.read()
    if isinstance(value, Wrapped):
        return tensor_of(as_batched(made._storage.read(), value))
    if where is None and value.aval.device is not None:
        return tensor_of(lifted(place(made._array(), other.device)))
    return made


def _like(name: str) -> Callable[..., Tensor]:
    """`<name>_like`, for a factory whose first argument is the size."""

    def function(
        input: Tensor,
        *args: Any,
        dtype: Any = None,
        layout: Any = None,
        device: Where = None,
        pin_memory: bool | None = False,
        requires_grad: bool | None = False,
        memory_format: memory_format | None = None,
        **more: Any,
    ) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}_like(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
            )
        if "out" in more:
            raise TypeError(f"{name}_like() got an unexpected keyword argument 'out'")
        check_format(f"{name}_like", memory_format)
        check_storing(f"{name}_like", layout, pin_memory)
        wanted = input.dtype if dtype is None else as_dtype(dtype, f"{name}_like")
        shape = tuple(input.shape)
        given = (shape, *args) if name == "full" else (*args, shape)
        if name in _DRAWN and not local.recorder.levels:
            empty = FUNCTIONS["empty_like"](
                input, dtype=wanted, device=device, memory_format=memory_format
            )
            if not empty.is_contiguous():  # the numbers are drawn in the order of the memory
                return asked(_DRAWN[name](empty, *args, **more), requires_grad, f"{name}_like")
        made = FUNCTIONS[name](*given, dtype=wanted, device=device, **more)
        # Random numbers are already in the batches with different randomness.
        if name not in _DRAWN or not isinstance(input._storage.read(), Wrapped):
            made = _beside(made, input, device)
        return asked(in_format(made, memory_format, input), requires_grad, f"{name}_like")

    function.__name__ = function.__qualname__ = f"{name}_like"
    function.__doc__ = f"As `{name}`, with the shape, dtype and device of another tensor."
    own = inspect.signature(FUNCTIONS[name]).parameters.values()
    parameters = [
        inspect.Parameter("input", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        *[each for each in own if each.name not in ("size", "out", "memory_format")],
        inspect.Parameter("memory_format", inspect.Parameter.KEYWORD_ONLY, default=None),
    ]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


def _fill_with_integers(empty: Any, *bounds: Any, generator: Any = None, **more: Any) -> Tensor:
    named = [more[each] for each in ("low", "high") if each in more]
    return empty.random_(*bounds, *named, generator=generator)


_DRAWN: dict[str, Callable[..., Tensor]] = {
    "rand": lambda empty, **more: empty.uniform_(**more),
    "randn": lambda empty, **more: empty.normal_(**more),
    "randint": _fill_with_integers,
}


def _new(name: str) -> Callable[..., Tensor]:
    def method(
        self: Tensor,
        *args: Any,
        dtype: Any = None,
        device: Where = None,
        requires_grad: bool | None = False,
        **more: Any,
    ) -> Tensor:
        wanted = self.dtype if dtype is None else as_dtype(dtype, f"new_{name}")
        if "out" in more:
            raise TypeError(f"new_{name}() got an unexpected keyword argument 'out'")
        made = FUNCTIONS[name](*args, dtype=wanted, device=device, **more)
        return asked(_beside(made, self, device), requires_grad, f"new_{name}")

    method.__name__ = method.__qualname__ = f"new_{name}"
    method.__doc__ = f"As `torch.{name}`, with the dtype and device of this tensor."
    own = inspect.signature(FUNCTIONS[name]).parameters.values()
    method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY),
            *[each for each in own if each.name != "out"],
        ]
    )
    return method


# ------------------------------------------------------------------------------------------- from data


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of the given elements, copied.

    Args:
        data: a number, nested sequences of numbers, a NumPy or JAX array, or a tensor, PyTorch's too (the copy has no
            history).
        dtype: the elements' dtype; inferred as in PyTorch if None.
        device: the elements' device; JAX's default device if None.
        requires_grad: whether the tensor gathers a gradient.
        pin_memory: not available.

    Raises:
        ValueError: the nested sequences are ragged, an integer has more than 64 bits, or an array's stride is negative.
        TypeError: an element is not a number.
        RuntimeError: the dtype cannot hold an element, or nothing says what it is; a gradient is asked for and the dtype has none.

    >>> import funcgrad.torch as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    wanted = None if dtype is None else as_dtype(dtype, "tensor")
    check_storing("tensor", None, pin_memory)
    if isinstance(data, Tensor):
        warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor)."
        )
        if isinstance(data._storage.read(), Wrapped):
            copied: Any = data.detach()
            copied = copied.clone() if wanted is None else to(copied, wanted)
            return copied.requires_grad_() if requires_grad else copied
        data = data._array()
    elif isinstance(data, np.ndarray):
        _check_array(data)
    elif is_pytorchs(data):
        data = data.detach().cpu().numpy()
    return _wrap(elements(data, wanted), device, requires_grad)


def _check_array(array: np.ndarray) -> None:
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is "
            "currently not supported."
        )
    if any(step < 0 for step in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. (You can probably work around this by making a copy of your array  with array.copy().) "
        )


def _sharing(data: Any, wanted: Any, where: Where) -> Tensor | None:
    """A tensor in the memory of a NumPy array or a storage; None where only a copy gives the dtype and device asked for."""
    if isinstance(data, UntypedStorage) and not inferring():
        return data.elements().view(uint8).view(wanted or int64)
    if not isinstance(data, np.ndarray) or inferring():
        return None
    kind = from_numpy_dtype(data.dtype)
    _check_array(data)
    if wanted not in (None, kind) or (where is not None and device(where).type != "cpu"):
        return None
    memory = memory_of(data)
    return None if memory is None else without_history(memory)


def as_tensor(data: Any, *, dtype: Any = None, device: Where = None) -> Tensor:
    """`data` itself if it is already a tensor of this dtype and device, else a tensor made of it.

    The tensor of a NumPy array of this dtype shares its memory, as that of `from_numpy`.
    """
    if isinstance(data, Tensor):
        return to(data, dtype=dtype, device=device)
    wanted = None if dtype is None else as_dtype(dtype, "as_tensor")
    made = _sharing(data, wanted, device)
    return tensor(data, dtype=dtype, device=device) if made is None else made


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Where = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """`obj` itself if it is a tensor of this dtype and device and `copy` is not set, else a tensor made of it.

    Args:
        obj: a tensor, an array or numbers. The tensor of a NumPy array of this dtype shares its memory.
        dtype, device: of the result; None keeps them.
        copy: True always copies, False never does.
        requires_grad: None keeps the graph of a tensor; False cuts it.

    Raises:
        ValueError: a copy is forbidden and necessary.
    """
    if not isinstance(obj, Tensor):
        wanted = None if dtype is None else as_dtype(dtype, "asarray")
        made = None if copy else _sharing(obj, wanted, device)
        if made is not None:
            return made.requires_grad_() if requires_grad else made
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return tensor(obj, dtype=dtype, device=device, requires_grad=bool(requires_grad))
    made = to(obj, dtype=dtype, device=device, copy=bool(copy))
    if copy is False and made is not obj:
        raise ValueError("can't alias tensor into another dtype or device; copy=False was given")
    if requires_grad is None:
        if obj.requires_grad:
            warn(
                "torch.asarray: unspecified requires_grad now defaults to obj.requires_grad instead of False. Pass "
                "requires_grad=False explicitly to get the old behavior and silence this warning."
            )
        return made
    if made.requires_grad and not requires_grad and not made.is_leaf:
        return made.detach()
    return made.requires_grad_(requires_grad)


def from_numpy(ndarray: np.ndarray, /) -> Tensor:
    """A tensor in the memory of a NumPy array: what is written to one is seen in the other.

    A read-only array is copied, and so is every array where tensors are not in the CPU's memory.

    Raises:
        TypeError: `ndarray` is not a NumPy array, or PyTorch does not have its dtype.
        ValueError: a stride is negative.

    >>> import numpy as np
    >>> import funcgrad.torch as torch
    >>> a = np.ones(2)
    >>> t = torch.from_numpy(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 1.], dtype=torch.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {kind_of(ndarray)})")
    made = _sharing(ndarray, None, None)
    return tensor(ndarray) if made is None else made


def from_file(
    filename: Any,
    shared: bool | None = None,
    size: int = 0,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor in the memory of a file, which is read when it is asked for.

    Args:
        filename: its path.
        shared: whether what is written to the tensor goes to the file, too. A shorter file grows.
        size: how many elements.
        dtype: of the elements; None for the default dtype.
        device: where the elements go; on another device than the CPU they are a copy.
        requires_grad: whether it requires grad.

    Raises:
        RuntimeError: the file cannot be opened, or is too short and not shared.
    """
    kind = get_default_dtype() if dtype is None else as_dtype(dtype, "from_file")
    array = mapped(filename, bool(shared), size * kind.itemsize).view(kind.numpy_dtype)
    return to(from_numpy(array), device=device).requires_grad_(requires_grad)


def frombuffer(
    buffer: Any,
    *,
    dtype: Any,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor in the memory of a buffer, such as a `bytearray`: what is written to one is seen in the other.

    Args:
        buffer: an object with Python's buffer protocol. A read-only one is copied.
        dtype: of the elements.
        count: how many elements; -1 for all that there are.
        offset: the bytes before the first element.
        requires_grad: whether it requires grad.

    Raises:
        ValueError: it is no buffer, it is empty, or `count` and `offset` do not fit.

    >>> import funcgrad.torch as torch
    >>> torch.frombuffer(bytearray([1, 0, 2, 0]), dtype=torch.int16)
    tensor([1, 2], dtype=torch.int16)
    """
    try:
        length = memoryview(buffer).nbytes
    except TypeError as error:
        raise ValueError("object does not implement Python buffer protocol.") from error
    kind = as_dtype(dtype, "frombuffer")
    size = kind.itemsize
    if length == 0 or count == 0:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({length} bytes) minus 1"
        )
    if count < 0 and (length - offset) % size:
        raise ValueError(
            f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must be a multiple of element size ({size})"
        )
    if offset + count * size > length:
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must not be greater than actual "
            f"buffer length ({length} bytes)"
        )
    made = from_numpy(np.frombuffer(buffer, kind.numpy_dtype, count, offset))
    return made.requires_grad_() if requires_grad else made


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor of the elements of any array that speaks DLPack, copied.

    Raises:
        BufferError: it is a tensor that requires grad.

    >>> import numpy as np
    >>> import funcgrad.torch as torch
    >>> torch.from_dlpack(np.array([1.0, 2.0]))
    tensor([1., 2.], dtype=torch.float64)
    """
    if not isinstance(ext_tensor, Tensor):
        return tensor(np.from_dlpack(ext_tensor))
    _check_exported(ext_tensor)
    return ext_tensor.detach()


def _check_exported(given: Tensor) -> None:
    if given.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")


def _dlpack(self: Tensor, **asked_for: Any) -> Any:
    """A DLPack capsule of the elements: of the JAX array that holds them, which is read only.

    Raises:
        BufferError: the tensor requires grad.
    """
    _check_exported(self)
    return self._jax_array().__dlpack__(**asked_for)


def _dlpack_device(self: Tensor) -> Any:
    """DLPack's name for where the elements are."""
    return self._jax_array().__dlpack_device__()


def _array_wrap(
    self: Tensor, array: np.ndarray, context: Any = None, return_scalar: bool = False
) -> Tensor:
    """The result of a NumPy function as a tensor; as in PyTorch, bools become uint8."""
    return from_numpy(array.astype(np.uint8) if array.dtype == bool else array)


FUNCTIONS |= {
    each.__name__: each
    for each in (tensor, as_tensor, asarray, from_file, from_numpy, frombuffer, from_dlpack)
}
METHODS["new_tensor"] = _new("tensor")


# ------------------------------------------------------------------------------------------- filled


@factory(like=True, new=True)
def full(size: Sequence[int], fill_value: Any, *, dtype: dtype | None = None) -> np.ndarray:
    """A tensor filled with one number; `dtype` follows the number if None."""
    value = _number("full", "fill_value", 2, fill_value)
    stored = (dtype or scalar_category_dtype(type(value))).numpy_dtype
    if not isinstance(size, (list, tuple)):
        raise TypeError(
            f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}"
        )
    return np.broadcast_to(np.array(fitting(value, stored), stored), _size("full", (size,)))


def _filled(name: str, number: int) -> None:
    def fill(*size: Any, dtype: dtype | None = None, **more: Any) -> Any:
        wanted = more.pop("memory_format", None) if name == "empty" else None
        shape = _sizes(name, size, more)
        filled = np.array(number, (dtype or get_default_dtype()).numpy_dtype)
        array = np.broadcast_to(filled, shape)
        if wanted is None:
            return array
        check_format(name, wanted)
        if wanted.name == "preserve_format":
            raise RuntimeError("unsupported memory format Preserve")
        return in_format(_wrap(array, None, False), wanted)

    fill.__name__ = fill.__qualname__ = name
    fill.__doc__ = (
        f"A tensor of {number}s; zeros too for `empty`, whose elements nobody may rely on."
    )
    keywords = ("memory_format",) if name == "empty" else ()
    factory(fill, keywords=keywords, like=True, new=True)


@factory(new=True, out=False)
def empty_strided(
    size: Sequence[int], stride: Sequence[int], *, dtype: dtype | None = None
) -> Tensor:
    """A tensor with these strides. Its elements are zeros, but no caller may rely on them.

    Raises:
        RuntimeError: the strides are not as many as the sizes, or negative.
    """
    shape, steps = _size("empty_strided", (tuple(size),)), tuple(map(index, stride))
    if len(shape) != len(steps):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(steps)})"
        )
    if min(steps, default=0) < 0:
        raise RuntimeError(
            "Tried to create a tensor with negative strides. Strides must be non-negative."
        )
    return _strided(shape, steps, dtype)


def _strided(shape: Any, steps: Any, dtype: dtype | None) -> Tensor:
    """Zeros that lie in memory with these strides."""
    lies = Geometry(shape, steps)
    zeros = np.zeros(lies.end, (dtype or get_default_dtype()).numpy_dtype)
    made = _wrap(zeros, None, False)
    if isinstance(made._storage.read(), Wrapped):
        raise NotImplementedError("empty_strided inside a transformation of torch.func")
    made._storage = view_of(made._storage, lies)
    return made


@factory(out=False)
def empty_permuted(
    size: Sequence[int], physical_layout: Sequence[int], *, dtype: dtype | None = None
) -> Tensor:
    """A tensor whose dimensions lie in memory in this order, the outermost first. Its elements are zeros.

    Raises:
        RuntimeError: the order does not name each dimension once.
    """
    shape, order = _size("empty_permuted", (tuple(size),)), tuple(map(index, physical_layout))
    if len(shape) != len(order):
        raise RuntimeError(
            f"Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = {len(shape)} is "
            f"not equal to len(physical_layout) = {len(order)}"
        )
    steps = [0] * len(shape)
    step, seen = 1, set()
    for k in reversed(order):
        if not 0 <= k < len(shape):
            raise RuntimeError(f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got {k}).  NB: negative dims not currently supported; file an issue if you want it.")  # fmt: skip
        if k in seen:
            raise RuntimeError("Duplicate dim not allowed")
        seen.add(k)
        steps[k], step = step, step * max(shape[k], 1)
    return _strided(shape, tuple(steps), dtype)


@factory(out=False)
def scalar_tensor(s: Any, *, dtype: dtype | None = None) -> np.ndarray:
    """A 0-d tensor of a number; of the default dtype if None."""
    stored = (dtype or get_default_dtype()).numpy_dtype
    return np.asarray(fitting(_number("scalar_tensor", "s", 1, s), stored), stored)


@factory
def eye(n: int, m: int | None = None, *, dtype: dtype | None = None) -> np.ndarray:
    """Ones on the diagonal, zeros elsewhere."""
    rows = integer("eye", "n", 1, n)
    columns = rows if m is None else integer("eye", "m", 2, m)
    for name, given in (("n", rows), ("m", columns)):
        if given < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {given}")
    return np.eye(rows, columns).astype((dtype or get_default_dtype()).numpy_dtype)


# ------------------------------------------------------------------------------------------- in steps


@factory(names=("start", "end", "step"))
def arange(*bounds: Any, dtype: dtype | None = None, **more: Any) -> np.ndarray:
    """Numbers from `start` (0 if only one is given) to `end`, `step` apart, `end` not included.

    Args:
        bounds: `end`, or `start`, `end` and `step`: numbers, or 0-d tensors.

    Raises:
        RuntimeError: the step is zero or leads away from `end`, or a bound is not finite.
    """
    names = ("end",) if len(bounds) == 1 and "end" not in more else ("start", "end", "step")
    if len(bounds) > 3 or not (bounds or more):
        raise TypeError(f"arange() takes 1 to 3 bounds, but {len(bounds)} were given")
    given = dict(zip(names, bounds, strict=False))
    for name, value in more.items():
        if name in given or name not in ("start", "end", "step"):
            raise TypeError(f"arange() got an unexpected keyword argument '{name}'")
        given[name] = value
    if "end" not in given:
        raise TypeError('arange() missing 1 required positional arguments: "end"')
    position = {name: k for k, name in enumerate(given, start=1)}
    given = {name: _number("arange", name, position[name], each) for name, each in given.items()}
    start, end, step = given.get("start", 0), given["end"], given.get("step", 1)
    whole = all(isinstance(each, (int, np.integer, np.bool_)) for each in given.values())
    wanted = dtype or (int64 if whole else get_default_dtype())
    if wanted is bool_ or wanted.is_complex:
        raise NotImplementedError(f"\"arange_cpu\" not implemented for '{wanted.scalar_type}'")
    stored, wide = wanted.numpy_dtype, np.dtype(float)
    for each in (start, end, step):
        fitting(each, int64.numpy_dtype if whole else wide)
    start, end, step = [each.real for each in (start, end, step)]
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start:g} -> {end:g}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if wanted is int64:
        # PyTorch cuts the bounds to integers first, and counts in integers.
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError("step must be nonzero")
        return start + step * np.arange(len(range(start, end, step)), dtype=np.int64)
    count = math.ceil((float(end) - float(start)) / float(step))
    if stored.kind in "iu":
        return (int(start) + int(step) * np.arange(count)).astype(stored)
    with np.errstate(over="ignore"):
        return _narrowed(float(start) + float(step) * np.arange(count), wanted)


def _narrowed(array: np.ndarray, wanted: dtype) -> np.ndarray:
    """float64 elements in a floating-point dtype; as in PyTorch, half precision is rounded from float32."""
    return array.astype(np.float32 if wanted.itemsize == 2 else array.dtype).astype(
        wanted.numpy_dtype
    )


def _spaced(
    function: str, start: Any, end: Any, steps: Any, given: dtype | None
) -> tuple[np.ndarray, dtype]:
    """Equally spaced numbers, in the type in which PyTorch computes them, and their final dtype."""
    for name, each in (("start", start), ("end", end)):
        if isinstance(each, Tensor) and each.ndim:
            raise RuntimeError(
                f"{function} only supports 0-dimensional start and end tensors, but got {name} with {each.ndim} "
                "dimension(s)."
            )
    # As in PyTorch, a bound may require grad, and gets none.
    start, end = (each.detach() if isinstance(each, Tensor) else each for each in (start, end))
    start, end = _number(function, "start", 1, start), _number(function, "end", 2, end)
    count = integer(function, "steps", 3, steps)
    if count < 0:
        raise RuntimeError("number of steps must be non-negative")
    wanted = given or get_default_dtype()
    if isinstance(start, (complex, np.complexfloating)) or isinstance(
        end, (complex, np.complexfloating)
    ):
        whole = get_default_dtype().to_complex()
        if given is not None and not given.is_complex:
            raise RuntimeError(
                f"torch.{function}(): inferred dtype {C_NAMES[whole]} can't be safely cast to passed dtype "
                f"{given.scalar_type}"
            )
        wanted = given or whole
    if wanted is bool_:
        raise NotImplementedError(f"\"{function}_cpu\" not implemented for 'Bool'")
    stored = wanted.numpy_dtype
    first, last = fitting(start, stored), fitting(end, stored)
    if stored.kind == "c":
        parts = [
            _steps(getattr(first, part), getattr(last, part), count) for part in ("real", "imag")
        ]
        return (parts[0] + 1j * parts[1]).astype(stored), wanted
    return _steps(first, last, count), wanted


def _steps(first: Any, last: Any, count: int) -> np.ndarray:
    """Numbers from `start` to `end`. As in PyTorch, they are computed from either end to the middle.

    PyTorch multiplies and adds with one rounding (fused), which a wider type gives here. Integers are counted in float64,
    and to be cut.
    """
    kind = np.float64 if first.dtype.kind in "iu" else first.dtype.type
    wide = {np.float32: np.float64, np.float64: np.longdouble}.get(kind, kind)
    first, last, places = kind(first), kind(last), np.arange(count)
    with np.errstate(all="ignore"):
        step = wide(kind((last - first) / kind(max(count - 1, 1))))
        up = wide(first) + step * places.astype(wide)
        down = wide(last) - step * (count - 1 - places).astype(wide)
        return np.where(places < max(count // 2, count == 1), up, down).astype(kind)


@factory
def linspace(start: Any, end: Any, steps: int, *, dtype: dtype | None = None) -> np.ndarray:
    """`steps` numbers from `start` to `end`, both included, equally far apart.

    Args:
        start, end: numbers, or 0-d tensors.
        steps: how many.

    Raises:
        RuntimeError: `steps` is negative, or the dtype cannot hold a bound.
    """
    made, wanted = _spaced("linspace", start, end, steps, dtype)
    return made.astype(wanted.numpy_dtype)


@factory
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: dtype | None = None
) -> np.ndarray:
    """`steps` numbers from `base**start` to `base**end`, both included, with equally spaced logarithms.

    Raises:
        RuntimeError: `steps` is negative, or the dtype cannot hold a bound.
    """
    made, wanted = _spaced("logspace", start, end, steps, dtype)
    wide = made.astype(np.complex128 if wanted.is_complex else np.float64)
    with np.errstate(over="ignore"):
        return (base**wide).astype(wanted.numpy_dtype)


# ------------------------------------------------------------------------------------------- at random


def _drawn(
    draw: Callable[[tuple[int, ...]], np.ndarray],
    shape: tuple[int, ...],
    one_by_one: bool = False,
) -> Any:
    """A tensor of random numbers; inside `vmap` with different randomness, drawn for each example of the batch."""
    batches = drawn_for_batches()
    if batches is None:
        return draw(shape)
    if one_by_one and batches:
        # PyTorch draws along the innermost batch one by one, and each time for all outer batches.
        parts = [draw(shape) for _ in range(int(np.prod(batches)))]
        numbers = np.reshape(parts, (*reversed(batches), *shape))
        order = (*reversed(range(len(batches))), *range(len(batches), numbers.ndim))
        numbers = numbers.transpose(order)
    else:
        numbers = draw((*batches, *shape))
    return tensor_of(of_batches(place(numbers)))


def _random(name: str, fill: str, draw: Callable[..., np.ndarray]) -> None:
    def sample(
        *size: Any, generator: Generator | None = None, dtype: dtype | None = None, **more: Any
    ) -> Any:
        shape, made = _sizes(name, size, more), dtype or get_default_dtype()
        if generator is None and made.is_floating_point and not local.recorder.levels:
            of_key = drawn_from_key(fill, shape, made.numpy_dtype, 0.0, 1.0)
            if of_key is not None:
                return tensor_of(place(of_key))
        return _drawn(lambda each: draw(each, dtype=dtype, generator=generator), shape)

    sample.__name__ = sample.__qualname__ = name
    sample.__doc__ = f"Random numbers as `torch.{name}` gives for the same seed."
    factory(sample, like=True)


@factory(names=("low", "high", "size"), like=True)
def randint(
    *bounds: Any, generator: Generator | None = None, dtype: dtype | None = None, **more: Any
) -> Any:
    """Random integers in [low, high), as `torch.randint(low=0, high, size)`."""
    given = dict(more)
    for name in given:
        if name not in ("low", "high", "size"):
            raise TypeError(f"randint() got an unexpected keyword argument '{name}'")
    free = [name for name in ("low", "high", "size") if name not in given]
    if len(bounds) < len(free) and "low" in free:
        free.remove("low")
    if len(bounds) != len(free):
        raise TypeError(
            f"randint() takes high and size, or low, high and size; got {len(bounds)} more"
        )
    given |= dict(zip(free, bounds, strict=True))
    place_ = {name: k for k, name in enumerate(given, start=1)}
    low = integer("randint", "low", 1, given.get("low", 0))
    high = integer("randint", "high", 1 if "low" not in given else 2, given["high"])
    if not isinstance(given["size"], (list, tuple)):
        raise TypeError(
            f"randint(): argument 'size' (position {place_['size']}) must be tuple of ints, not "
            f"{type(given['size']).__name__}"
        )
    return _drawn(
        lambda shape: distributions.randint(
            shape, low, high, dtype=dtype or int64, generator=generator
        ),
        _size("randint", (given["size"],)),
    )


@factory
def randperm(n: int, *, generator: Generator | None = None, dtype: dtype | None = None) -> Any:
    """The integers from 0 to n - 1 in random order."""
    count = integer("randperm", "n", 1, n)

    def draw(_: tuple[int, ...]) -> np.ndarray:
        return distributions.randperm(count, dtype=dtype or int64, generator=generator)

    return _drawn(draw, (count,), one_by_one=True)


def manual_seed(seed: int) -> Generator:
    """Seed the default stream of random numbers; returns the generator."""
    return default_generator.manual_seed(int(seed))


FUNCTIONS["manual_seed"] = manual_seed
for _name, _number_ in (("zeros", 0), ("ones", 1), ("empty", 0)):
    _filled(_name, _number_)
for _name, _fill, _draw in (
    ("rand", "uniform", distributions.uniform),
    ("randn", "normal", distributions.normal),
):
    _random(_name, _fill, _draw)
publish_all(
    FUNCTIONS,
    METHODS
    | {
        "__array_wrap__": _array_wrap,
        "__dlpack__": _dlpack,
        "__dlpack_device__": _dlpack_device,
    },
)
