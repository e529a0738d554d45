"""Square brackets: `x[key]` and `x[key] = value`, with PyTorch's rules for the key.

Numbers, slices, None and the ellipsis give a view, one view op each. Tensors, lists and masks gather elements; in an
assignment they scatter them.
"""

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from funcgrad.engine import Aval
from funcgrad.torch._levels.batches import is_batched
from funcgrad.torch._levels.refusals import MASK
from funcgrad.torch._memory import geometry as geometries
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.storages import Creation
from funcgrad.torch._ops.conversions import copy_, fill_
from funcgrad.torch._ops.index_put import MASKS, check_same_dtype, index_put, put_in_copy, read_at
from funcgrad.torch._ops.views import views
from funcgrad.torch._ops.views.complaining import complained
from funcgrad.torch._tensor.operands import number, stored_number
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor, concrete, place, tensor_of
from funcgrad.torch._tensor.view import ViewTensor, geometry, written_view
from funcgrad.torch._types.warning import warn

expand = complained(views.expand)
# One view op of an index: its kind, then its numbers.
Step = tuple[Any, ...]
_SLICE, _SELECT, _UNSQUEEZE = "slice", "select", "unsqueeze"
_NUMBERS = (int, float, complex, np.bool_)


def get_item(self: Tensor, key: Any) -> Tensor:
    """`self[key]`: a view if `key` has only numbers, slices, None and `...`; else gathered elements.

    Raises:
        IndexError: an index is out of range or of an unknown kind, or there are too many.
        ValueError: a slice's step is not positive.

    >>> import funcgrad.torch as torch
    >>> x = torch.tensor([[1, 2, 3], [4, 5, 6]])
    >>> x[1, ::2], x[:, [0, 0]]
    (tensor([4, 6]), tensor([[1, 1],
            [4, 4]]))
    """
    of = geometry(self)
    if isinstance(key, slice):
        return _stepped(self, [_slice_step(of, 0, key)])
    steps, arrays, _ = _read(of, key)
    made = _stepped(self, steps)
    if arrays:
        return read_at(made, arrays)
    return views.alias(self) if made is self else made


def set_item(self: Tensor, key: Any, value: Any) -> None:
    """`self[key] = value`, written in place.

    Raises:
        IndexError, ValueError: as `get_item`.
        TypeError: the value is neither a tensor nor a number.
        RuntimeError: the value's shape does not fit `self[key]`, or `self` must not be written to.
    """
    source = _value(self, value)
    if key is False:
        return
    of = geometry(self)
    if key is True:
        key = None
    steps, arrays, _ = _read(of, key)
    target = _target(self, steps) if steps else self
    if not arrays:
        _copy_to(target, source)
        return
    first = next((k for k, n in enumerate(source.shape) if n != 1), source.ndim)
    index_put(target, arrays, views.view(source, source.shape[first:]) if first else source, False)


def _value(self: Tensor, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    aval = self._storage.aval
    if isinstance(value, _NUMBERS):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("Overflow when unpacking long long")
        # For these two dtypes PyTorch stores infinity if a number does not fit.
        convert = number if aval.dtype.name in ("float16", "bfloat16") else stored_number
        held = convert(value, Aval((), aval.dtype))._storage
        made = tensor_of(held.read())
        made._storage = held
        return made
    raise TypeError(f"can't assign a {_type_name(value)} to a torch.{self.dtype.scalar_type}Tensor")


def _type_name(value: Any) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__name__}" if kind.__module__ == "numpy" else kind.__name__


def _copy_to(target: Tensor, source: Tensor) -> None:
    if source.shape == target.shape:
        copy_(target, source)
    elif not source.ndim:
        fill_(target, source)
    else:
        first = next((k for k, n in enumerate(source.shape) if n != 1), source.ndim)
        if first:
            source = views.view(source, source.shape[first:])
        copy_(target, expand(source, target.shape))


# ------------------------------------------------------------------------------------------- reading an index


def _read(of: Geometry, key: Any) -> tuple[list[Step], list[Any], Geometry]:
    """The steps of an index, the index tensors that gather from the last step's view, and that view's geometry."""
    if type(key) is int:  # a bool is a mask
        return [_select_step(of, 0, key)], [], of
    items = _as_items(key)
    if isinstance(key, slice) and not of.size:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    specified = sum(_dims_of(item) for item in items)
    if specified > len(of.size):
        raise IndexError(f"too many indices for tensor of dimension {len(of.size)}")
    steps: list[Step] = []
    arrays: list[Any] = []
    ndim, dim = len(of.size), 0

    def taken(step: Step) -> None:
        nonlocal of
        of = _changed(of, step)
        steps.append(step)

    def gathered(*by: Any) -> None:
        nonlocal dim
        arrays.extend([None] * (dim - len(arrays)))
        arrays.extend(by)
        dim += len(by)

    for position, item in enumerate(items):
        if type(item) is int:
            taken(_select_step(of, dim, item, position))
        elif isinstance(item, slice):
            step = _slice_step(of, dim, item)
            if not _is_whole(item, of.size[dim]):
                taken(step)
            dim += 1
        elif item is Ellipsis:
            dim += ndim - specified
        elif item is None:
            taken((_UNSQUEEZE, dim))
            dim += 1
        elif isinstance(item, (bool, np.bool_)):
            taken((_UNSQUEEZE, dim))
            gathered(place(np.zeros(int(item), np.int64)))
        else:
            tensor = _index_tensor(item)
            aval = tensor._storage.aval
            if aval.shape or (is_batched(tensor._storage.read()) and aval.dtype.kind in "iu"):
                gathered(tensor, *[None] * (_dims_of(tensor) - 1))
            elif aval.dtype.kind == "b" or aval.dtype == np.uint8:
                taken((_UNSQUEEZE, dim))
                gathered(place(np.zeros(int(bool(concrete(tensor._array(), MASK))), np.int64)))
            else:
                taken(_select_step(of, dim, int(tensor), position))
    return steps, arrays, of


def _as_items(key: Any) -> Sequence[Any]:
    """The items of an index. A list stands for a tuple if `_is_item` holds for one of its elements."""
    if isinstance(key, tuple):
        return key
    text = isinstance(key, str)  # refused later; its characters are items, being texts themselves
    if (text or isinstance(key, list)) and 0 < len(key) < 32 and (text or any(map(_is_item, key))):
        warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch 2.9; use "
            "x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as tensor index, "
            "x[torch.tensor(seq)], which will result either in an error or a different result"
        )
        return (key,) if text else key
    return (key,)


def _is_item(each: Any) -> bool:
    """Tell if a list that holds `each` stands for a tuple."""
    if each is None or each is Ellipsis:
        return True
    return isinstance(each, (slice, Tensor, list, tuple, range, np.ndarray))


def _dims_of(item: Any) -> int:
    """The number of the tensor's dimensions that an item of an index uses."""
    if item is None or item is Ellipsis or isinstance(item, (bool, np.bool_)):
        return 0
    if isinstance(item, (Tensor, np.ndarray)) and str(item.dtype) in MASKS:
        return item.ndim
    return 1


def _index_tensor(item: Any) -> Tensor:
    if isinstance(item, Tensor):
        kind = item._storage.aval.dtype
        if kind.name not in ("bool", "uint8", "int32", "int64"):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return item
    if isinstance(item, str):
        raise TypeError("new(): invalid data type 'str'")
    if isinstance(item, (list, tuple, range, np.ndarray)):
        array = np.asarray(_plain(item))
        if not isinstance(item, np.ndarray) and array.dtype != bool:
            array = array.astype(np.int64)
        elif array.dtype.kind not in "biu":
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return tensor_of(place(array))
    try:
        return tensor_of(place(np.int64(index(item))))
    except TypeError:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices "
            f"(got {type(item).__name__})"
        ) from None


def _plain(item: Any) -> Any:
    if isinstance(item, Tensor):
        return item.tolist()
    return [_plain(each) for each in item] if isinstance(item, (list, tuple, range)) else item


def _select_step(of: Geometry, dim: int, at: int, position: int = 0) -> Step:
    if not of.size and at == 0:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
            "0-dim tensor to a number"
        )
    length = of.size[dim] if dim < len(of.size) else 0
    if not -length <= at < length:
        # PyTorch's message names the item's position in the index; after an ellipsis it is not the dimension.
        raise IndexError(f"index {at} is out of bounds for dimension {position} with size {length}")
    return _SELECT, dim, at % length


def _slice_step(of: Geometry, dim: int, item: slice) -> Step:
    if not of.size:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    length = of.size[dim]
    for bound in (item.start, item.stop, item.step):
        if bound is not None and not hasattr(type(bound), "__index__"):
            raise TypeError("slice indices must be integers or None or have an __index__ method")
    step = 1 if item.step is None else index(item.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if step < 0:
        raise ValueError("step must be greater than zero")
    start, stop, _ = slice(item.start, item.stop, step).indices(length)
    return _SLICE, dim, start, max((stop - start + step - 1) // step, 0), step


def _is_whole(item: slice, length: int) -> bool:
    """Tell if PyTorch skips a slice among other items. It compares the bounds as they are written."""
    start = 0 if item.start is None else index(item.start)
    stop = length if item.stop is None else index(item.stop)
    return start == 0 and stop >= length and item.step in (None, 1)


def _changed(of: Geometry, step: Step) -> Geometry:
    return _GEOMETRIES[step[0]](of, *step[1:])


_GEOMETRIES: dict[str, Any] = {
    _SLICE: geometries.slice_,
    _SELECT: geometries.select,
    _UNSQUEEZE: geometries.unsqueeze,
}
_VIEWS: dict[str, Any] = {
    _SLICE: views.sliced,
    _SELECT: views.selected,
    _UNSQUEEZE: views.unsqueeze,
}


def _stepped(self: Tensor, steps: Sequence[Step]) -> Tensor:
    for step in steps:
        self = _VIEWS[step[0]](self, *step[1:])
    return self


def _target(self: Tensor, steps: Sequence[Step]) -> Tensor:
    """The view to write to. Its ops are not recorded, because no user sees the view."""
    if isinstance(self, ViewTensor) and self._creation is not Creation.PLAIN:
        return _stepped(self, steps)  # the recorded view raises PyTorch's error, with its own name
    of = geometry(self)
    for step in steps:
        of = _changed(of, step)
    return written_view(self, of)


def index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """Put elements at the places that index tensors name, in place; with `accumulate`, add them."""
    _, arrays, _ = _read(geometry(self), tuple(indices))
    _check_put(self, arrays, values, accumulate)
    return index_put(self, arrays, values, accumulate)


def index_put_copy(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """`index_put_` on a copy."""
    _, arrays, _ = _read(geometry(input), tuple(indices))
    _check_put(input, arrays, values, accumulate)
    return put_in_copy(input, arrays, values, accumulate)


def _check_put(target: Tensor, arrays: Any, values: Tensor, accumulate: bool) -> None:
    """Check that values have the target's dtype; one number for all places of a mask may have another."""
    masks = [each for each in arrays if each is not None]
    fills = not accumulate and values.numel() == 1 and len(masks) == 1
    if not (fills and str(getattr(masks[0], "dtype", "")) == "torch.bool"):
        check_same_dtype(target, values)


def _refuse_deletion(self: Tensor, key: Any) -> None:
    """Refuse, as PyTorch does.

    Raises:
        TypeError: always.
    """
    raise TypeError("Tensor does not support deleting items")


publish_all(
    {"index_put": index_put_copy},
    {
        "__delitem__": _refuse_deletion,
        "index_put": index_put_copy,
        "__getitem__": get_item,
        "__setitem__": set_item,
        "index_put_": index_put_,
    },
)
