"""Making a tensor by its class: `torch.Tensor(...)`, and tensors of a user's subclass."""

from typing import Any

from funcgrad.torch._ops.creation import FUNCTIONS, asked, tensor
from funcgrad.torch._ops.views.views import alias
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import get_default_dtype
from funcgrad.torch._types.size import Size

_NO_TENSOR = (
    "Creating a Tensor subclass from a class that does not inherit from Tensor is not possible. Make sure your class "
    "inherits from Tensor."
)


def _new(cls: type, *data: Any, device: Any = None) -> Tensor:
    """A tensor of the default dtype from a sequence of elements or from sizes; or a view of a given tensor.

    Raises:
        TypeError: the arguments are none of these.
        NotImplementedError: a subclass is given a tensor that requires grad.

    >>> import funcgrad.torch as torch
    >>> torch.Tensor([1, 2]), torch.Tensor(2, 3).shape
    (tensor([1., 2.]), torch.Size([2, 3]))
    """
    given = data[0] if len(data) == 1 else None
    if isinstance(given, Tensor):
        if cls is Tensor:
            return alias(given)
        if given.requires_grad:
            raise NotImplementedError(
                f"{cls.__name__}(tensor) of a tensor that requires grad; give it tensor.detach()"
            )
        return _make_subclass(cls, given)
    wanted: Any = {"dtype": get_default_dtype(), "device": device}
    if isinstance(given, Size):
        made = FUNCTIONS["empty"](given, **wanted)
    elif all(type(size) is int for size in data):
        made = FUNCTIONS["empty"](data or (0,), **wanted)
    elif len(data) != 1:
        kinds = ", ".join(type(each).__name__ for each in data)
        raise TypeError(f"new() received an invalid combination of arguments - got ({kinds})")
    elif isinstance(given, str):
        raise TypeError("new(): invalid data type 'str'")
    elif not hasattr(given, "__len__"):
        raise TypeError(f"new(): data must be a sequence (got {type(given).__name__})")
    else:
        made = tensor(list(given) if isinstance(given, range) else given, **wanted)
    return made if cls is Tensor else _make_subclass(cls, made)


def _make_subclass(cls: type, data: Tensor, require_grad: bool = False) -> Tensor:
    """A tensor of a user's class that shares the storage of `data`, without its history.

    Raises:
        TypeError: the class does not inherit from `Tensor`.
        RuntimeError: a gradient is asked for and the dtype has none.
    """
    if not issubclass(cls, Tensor):
        raise TypeError(_NO_TENSOR)
    shared = data.detach()
    made = object.__new__(cls)
    made._storage, made._node, made._nr = shared._storage, None, 0
    return asked(made, require_grad)


publish(staticmethod(_new), "__new__", function=False)
publish(staticmethod(_make_subclass), "_make_subclass", function=False)
