"""Parameters and buffers: tensors that a module takes as its own when they are assigned to an attribute.

Behaviour: https://pytorch.org/docs/stable/nn.html#parameters
"""

from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.engine import Variable
from funcgrad.torch._tensor.overriding import disabled
from funcgrad.torch._tensor.tensor import Tensor, without_history
from funcgrad.torch._tensor.view import attributes

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


def __dir__() -> list[str]:
    return __all__


class _Marked(type):
    """The class of `Parameter` and `Buffer`. A tensor of a user's class counts as one if it bears the mark."""

    _mark: str

    def __instancecheck__(cls, instance: Any) -> bool:
        mark = vars(cls).get("_mark")
        if mark and isinstance(instance, Tensor) and getattr(instance, mark, False):
            return True
        return super().__instancecheck__(instance)


class Parameter(Tensor, metaclass=_Marked):
    """A tensor that a module trains: assigned to a module's attribute, it is listed by `Module.parameters()`.

    Args:
        data: the tensor whose elements it shares; empty if None.
        requires_grad: whether it gets a gradient.

    >>> import funcgrad.torch as torch
    >>> torch.nn.Parameter(torch.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
    """

    __torch_function__ = disabled
    _mark = "_is_param"
    _is_param = True  # `save` lies below this room and knows a parameter by the mark

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        """Make a leaf of the same elements."""
        if data is None:
            data = torch.empty(0)
        if _is_plain(data):
            return Tensor._make_subclass(cls, data, requires_grad)  # type: ignore[attr-defined]
        return _marked(data, "Parameter", requires_grad, _is_param=True)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Parameter":
        """A parameter with a storage of its own, without a gradient."""
        known = memo.get(id(self))
        if known is None:
            known = memo[id(self)] = type(self)(torch.clone(self.data), self.requires_grad)
        return known

    def __repr__(self) -> str:
        """As PyTorch prints it."""
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """The pickled form."""
        return _rebuild, (type(self), self.data, self.requires_grad, attributes(self))


class Buffer(Tensor, metaclass=_Marked):
    """A tensor that is part of a module's state and is not trained: `Module.buffers()` lists it.

    Args:
        data: the tensor whose elements it shares; empty if None.
        persistent: whether it is in the module's `state_dict`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.parameter.Buffer.html
    """

    __torch_function__ = disabled
    _mark = "_is_buffer"
    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        """Make a leaf of the same elements."""
        if data is None:
            data = torch.empty(0)
        return _marked(data, "Buffer", data.requires_grad, persistent=persistent, _is_buffer=True)


def _is_plain(data: Any) -> bool:
    """Whether a tensor is of a class of ours, not of a user's."""
    return type(data).__module__.startswith("funcgrad.torch") and isinstance(data, Tensor)


def _marked(data: Any, kind: str, requires_grad: bool, **marks: Any) -> Any:
    """A leaf of the same elements and class, with marks as attributes.

    Raises:
        RuntimeError: `detach()` of the user's class returns another class.
    """
    made = data.detach().requires_grad_(requires_grad)
    if kind == "Parameter" and made.__class__ is not data.__class__:
        raise RuntimeError(
            f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns an instance "
            f"of the same type, but return type {type(made).__name__} was found instead. To use the type as a Parameter, "
            "please correct the detach() semantics defined by its __torch_dispatch__() implementation."
        )
    vars(made).update(marks)
    return made


def _rebuild(kind: type, data: Tensor, requires_grad: bool, state: dict[str, Any]) -> Any:
    made = kind(data, requires_grad)
    vars(made).update(state)
    return made


# ------------------------------------------------------------------------------------------- without elements

_SHAPE = (
    "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` when "
    "trying to load an uninitialized parameter into an initialized one. Call `forward` to initialize the parameters before "
    "accessing their attributes."
)
_SHARE = (
    "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters before calling "
    "`module.share_memory()`."
)
# Asked of an uninitialized tensor as of an empty one.
_ALLOWED = (
    *("to", "cpu", "cuda", "half", "float", "double", "bfloat16", "char", "short", "int", "long", "type"),
    *("is_floating_point", "is_complex"),
)  # fmt: skip


class UninitializedTensorMixin:
    """A tensor whose shape is not known yet: every op refuses it until `materialize`."""

    __slots__ = ()
    cls_to_become: ClassVar[type]
    requires_grad: bool

    @property
    def _storage(self) -> Any:
        raise ValueError(
            "Attempted to use an uninitialized parameter in an op. This error happens when you are using a `LazyModule` or "
            f"explicitly manipulating `torch.nn.parameter.{type(self).__name__}` objects. When using LazyModules Call "
            "`forward` with a dummy batch to initialize the parameters before calling torch functions"
        )

    @property
    def data(self) -> Tensor:
        """An empty tensor of its dtype, on its device."""
        return without_history(_SLOT.__get__(self))

    @data.setter
    def data(self, source: Tensor) -> None:
        _SLOT.__set__(self, source._storage)

    @property
    def dtype(self) -> Any:
        """The dtype that its elements will have."""
        return self.data.dtype

    @property
    def device(self) -> Any:
        """The device that its elements will be on."""
        return self.data.device

    @property
    def shape(self) -> Any:
        """Not known.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(_SHAPE)

    def share_memory_(self) -> Any:
        """Nothing to share.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(_SHARE)

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give the tensor a shape and elements, and make it an ordinary one.

        Args:
            shape: the lengths of its dimensions.
            device, dtype: of its elements; as they are if None.
        """
        data = torch.empty(shape, device=device or self.device, dtype=dtype or self.dtype)
        self.__class__ = self.cls_to_become
        self.data = data

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Another tensor without elements."""
        known = memo.get(id(self))
        if known is None:
            kind: Any = type(self)
            known = memo[id(self)] = kind(self.requires_grad, self.device, self.dtype)
        return known

    def __repr__(self) -> str:
        """As PyTorch prints it."""
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """The pickled form."""
        return type(self), (self.requires_grad,)


_SLOT: Any = vars(Variable)["_storage"]


def _of_data(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.data, name)(*args, **kwargs)

    return method


for _name in _ALLOWED:
    setattr(UninitializedTensorMixin, _name, _of_data(_name))


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[override]
    """A parameter of a lazy module, whose shape the first call decides.

    Args:
        requires_grad: whether it will get a gradient.
        device, dtype: of its elements.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.parameter.UninitializedParameter.html
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        """Make a parameter without elements."""
        made = Parameter(torch.empty(0, device=device, dtype=dtype), requires_grad)
        made.__class__ = cls
        return made


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[override]
    """A buffer of a lazy module, whose shape the first call decides.

    Args:
        requires_grad: whether it will get a gradient.
        device, dtype: of its elements.
        persistent: whether it is in the module's `state_dict`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.parameter.UninitializedBuffer.html
    """

    __torch_function__ = disabled
    cls_to_become = Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> Any:
        """Make a buffer without elements."""
        made: Any = torch.empty(0, device=device, dtype=dtype, requires_grad=requires_grad)
        made.__class__ = cls
        made.persistent, made._is_buffer = persistent, True
        return made


def is_lazy(param: Any) -> bool:
    """Whether a tensor has no elements yet."""
    return isinstance(param, UninitializedTensorMixin)
