"""PyTorch's old constructors: `torch.Tensor(...)` and its subclasses, `torch.FloatTensor(...)`, `Tensor.new(...)`."""

from operator import index
from typing import Any

import numpy as np

from funcgrad.teaching import cured
from funcgrad.torch._memory.formats import strided
from funcgrad.torch._ops.conversions import TYPES, converted, gpu_of_type
from funcgrad.torch._ops.creation import FUNCTIONS
from funcgrad.torch._ops.elements import is_sequence
from funcgrad.torch._ops.views.rows import ALIAS
from funcgrad.torch._tensor.overriding import begin, default, overrides
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.view import OWN_ATTRIBUTES, ViewTensor, geometry, view_class
from funcgrad.torch._types.devices import device as device_of
from funcgrad.torch._types.dtypes import dtype, get_default_dtype, kernel_name
from funcgrad.torch._types.numbers import kind_of
from funcgrad.torch._types.size import Size

_FORMS = (
    " * (*, torch.device device = None)\n * (torch.Storage storage)\n * (Tensor other)\n"
    " * (tuple of ints size, *, torch.device device = None)\n * (object data, *, torch.device device = None)\n"
)


def constructed(
    wanted: dtype, args: tuple[Any, ...], more: dict[str, Any], typed: bool = False
) -> Tensor:
    """The tensor of an old constructor's call: empty, of a size, of data, or with another tensor's elements.

    Args:
        wanted: the dtype.
        args, more: the arguments of the call.
        typed: whether another tensor has to be of the dtype.

    Raises:
        TypeError: the arguments are of no form.
        RuntimeError: a size is negative, a device is not the CPU.
    """
    where = more.pop("device", None)
    if where is not None and device_of(where).type != "cpu":
        raise RuntimeError(
            f"legacy constructor expects device type: cpu but device type: {device_of(where).type} was passed"
        )
    for name in ("other", "size", "data"):
        if name in more and len(more) == 1 and not args:
            args = (Size(more.pop(name)),) if name == "size" else (more.pop(name),)
    first = args[0] if args else None
    sizes = len(args) > 1 and all(hasattr(each, "__index__") for each in args)
    if more or (len(args) > 1 and not (sizes or _is_size(first))):
        listed = [kind_of(each) for each in args] + [
            f"{name}={kind_of(each)}" for name, each in more.items()
        ]
        raise TypeError(
            f"new() received an invalid combination of arguments - got ({', '.join(listed)}), but expected one of:\n{_FORMS}"
        )
    if len(args) > 1:
        return FUNCTIONS["zeros"](_sizes(args), dtype=wanted)
    if not args:
        return FUNCTIONS["zeros"](0, dtype=wanted)
    if isinstance(first, Tensor):
        if typed and first.dtype is not wanted:
            raise TypeError(
                f"expected a tensor of dtype {kernel_name(wanted)} (got {kernel_name(first.dtype)})"
            )
        return ALIAS.view(first, geometry(first))
    if isinstance(first, Size):
        return FUNCTIONS["zeros"](first, dtype=wanted)
    if isinstance(first, str):
        raise TypeError("new(): invalid data type 'str'")
    if is_sequence(first):
        return FUNCTIONS["tensor"](_plain(first), dtype=wanted)
    if _is_size(first):
        return FUNCTIONS["zeros"](index(args[0]), dtype=wanted)
    raise TypeError(f"new(): data must be a sequence (got {kind_of(first)})")


def _is_size(given: Any) -> bool:
    return hasattr(given, "__index__") and not isinstance(given, (bool, np.bool_, Tensor))


def _plain(data: Any) -> Any:
    """Data to be converted; an array's own elements are its data, whatever their dtype."""
    return np.asarray(data) if isinstance(data, np.ndarray) else data


def _sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    sizes = []
    for k, each in enumerate(args, start=1):
        if not hasattr(each, "__index__"):
            raise TypeError(
                f"new(): argument 'size' failed to unpack the object at pos {k} with error \"type must be tuple of "
                f'ints,but got {kind_of(each)}"'
            )
        sizes.append(index(each))
    return tuple(sizes)


def _new(cls: type, *args: Any, **more: Any) -> Any:
    """`torch.Tensor(...)`, also for a subclass."""
    return as_kind(constructed(get_default_dtype(), args, more), cls)


def _empty_of(cls: type) -> Any:
    """An object of a class of tensors, with nothing in it.

    Raises:
        NotImplementedError: the class would answer aten ops. Libraries may define such classes, and not use them.
    """
    if hasattr(cls, "__torch_dispatch__"):
        raise NotImplementedError(
            f"{cls.__name__}.__torch_dispatch__ would never be called: there are no aten ops here. __torch_function__ answers "
            "the functions and methods that are called"
        )
    return object.__new__(cls)


def as_kind(of: Tensor, cls: type) -> Any:
    """A tensor of a subclass that shares another tensor's storage and node; of a view, a view."""
    if cls is Tensor:
        return of
    if isinstance(of, ViewTensor):
        found = _empty_of(view_class(cls))
        vars(found).update(vars(of))
    else:
        found = _empty_of(cls)
    found._storage = of._storage
    found._set_edge(*of._edge())
    return found


def _make_subclass(cls: type, data: Tensor, require_grad: bool = False) -> Any:
    """A tensor of a subclass that shares another tensor's storage, and is a leaf.

    Raises:
        TypeError: the class does not inherit from `Tensor`.
        RuntimeError: the dtype has no gradients.
    """
    if not issubclass(cls, Tensor):
        raise TypeError(
            "Creating a Tensor subclass from a class that does not inherit from Tensor is not possible. Make sure your "
            "class inherits from Tensor."
        )
    if require_grad and not (data.dtype.is_floating_point or data.dtype.is_complex):
        raise cured(
            RuntimeError("Only Tensors of floating point and complex dtype can require gradients"),
            "integers",
        )
    return _leaf(cls, data.detach()._storage, require_grad)


def _leaf(cls: type, storage: Any, requires_grad: bool) -> Any:
    found = _empty_of(cls)
    found._storage = storage
    found._set_edge(None)
    found.requires_grad = requires_grad
    return found


def rebuilt(cls: type, made: Tensor, state: Any) -> Any:
    """A leaf that was read, of the class that was written and with the attributes that the user had added.

    Args:
        cls: the class.
        made: the leaf, as a plain tensor.
        state: the attributes by name, or what the class's own `__setstate__` takes. PyTorch writes a pair if there are slots.
    """
    if cls is not made.__class__:
        made = _leaf(cls, made._storage, made.requires_grad)
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
        return made
    for part in state if isinstance(state, tuple) else (state,):
        for name, held in (part or {}).items():
            if name not in OWN_ATTRIBUTES:
                setattr(made, name, held)
    return made


def _init_subclass(cls: Any, **more: Any) -> None:
    """Let calls look at their arguments, if the class answers them."""
    super(Tensor, cls).__init_subclass__(**more)
    if overrides(cls):
        begin()


def _as_subclass(self: Tensor, cls: type) -> Any:
    """A view of the tensor as a subclass; it shares the storage and has a node of its own."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(f"cls must be a type that inherits from Tensor, not {cls!r}")
    return as_kind(ALIAS.view(self, geometry(self)), cls)


def _new_of(self: Tensor, *args: Any, **more: Any) -> Tensor:
    """As `torch.Tensor(...)`, of this tensor's dtype."""
    return constructed(self.dtype, args, more)


class tensortype(type):
    """The class of `torch.FloatTensor` and the like, which stand for a dtype.

    Attributes:
        dtype: of its tensors.
        layout: how they are stored.
        is_cuda, is_sparse: no.
    """

    dtype: dtype
    layout = strided
    is_cuda = is_sparse = False

    def __call__(cls, *args: Any, **more: Any) -> Tensor:
        """Make a tensor of the dtype.

        Raises:
            TypeError: it would lie on a GPU, and there is none.
        """
        if not cls.is_cuda:
            return constructed(cls.dtype, args, more, typed=True)
        where = gpu_of_type(f"torch.cuda.{cls.__name__}")
        return converted(constructed(cls.dtype, args, more), cls.dtype, where)

    def __repr__(cls) -> str:
        """As PyTorch writes it."""
        return f"<class 'torch.{'cuda.' if cls.is_cuda else ''}{cls.__name__}'>"

    def __instancecheck__(cls, instance: Any) -> bool:
        """Whether it is a tensor of the dtype, on the CPU or on a GPU."""
        return (
            isinstance(instance, Tensor)
            and instance.dtype is cls.dtype
            and instance.device.type == ("cuda" if cls.is_cuda else "cpu")
        )


def _classes(module: str, is_cuda: bool) -> dict[str, tensortype]:
    """The types of a module by name."""
    doc = "Tensors of dtype {}{}, as they were once made."
    return {
        name.removeprefix("torch."): tensortype(
            name.removeprefix("torch."),
            (),
            {
                "__module__": module,
                "dtype": of,
                "is_cuda": is_cuda,
                "__doc__": doc.format(of, " on a GPU" if is_cuda else ""),
            },
        )
        for name, of in TYPES.items()
        if not of.is_complex
    }


CLASSES = _classes("funcgrad.torch", is_cuda=False)
CUDA_CLASSES = _classes("funcgrad.torch.cuda", is_cuda=True)

publish_all(
    CLASSES,
    {
        "__new__": staticmethod(_new),
        "__init_subclass__": classmethod(_init_subclass),
        "__torch_function__": classmethod(default),
        "_make_subclass": staticmethod(_make_subclass),
        "as_subclass": _as_subclass,
        "new": _new_of,
    },
)
