"""A batch made of samples: `default_collate`, and `default_convert` where there are no batches."""

import collections.abc
import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import float64

_TEXTS = re.compile(r"[SaUO]")
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def default_convert(data: Any) -> Any:
    """NumPy's arrays as tensors, in containers too; all else as it is."""
    kind = type(data)
    if isinstance(data, Tensor):
        return data
    if kind.__module__ == "numpy" and kind.__name__ not in ("str_", "string_", "bytes_"):
        if kind.__name__ == "ndarray" and _TEXTS.search(data.dtype.str):
            return data
        return FUNCTIONS["as_tensor"](data)
    if isinstance(data, collections.abc.Mapping):
        return _like(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return kind(*[default_convert(each) for each in data])
    if isinstance(data, tuple):
        return [default_convert(each) for each in data]
    if isinstance(data, collections.abc.Sequence) and not isinstance(data, (str, bytes)):
        return _like(data, [default_convert(each) for each in data])
    return data


def _like(of: Any, made: Any) -> Any:
    """A dict or a list as a container of the type of another, if such a one can be made."""
    kind = type(of)
    try:
        if isinstance(of, collections.abc.MutableMapping):
            clone: Any = copy.copy(of)
            clone.update(made)
            return clone
        if isinstance(of, collections.abc.MutableSequence):
            clone = copy.copy(of)
            for k, each in enumerate(made):
                clone[k] = each
            return clone
        return kind(made)
    except TypeError:
        return made


def collate(batch: Any, *, collate_fn_map: dict[Any, Callable[..., Any]] | None = None) -> Any:
    """A batch made of samples, which are alike; containers are joined part by part.

    Args:
        batch: the samples.
        collate_fn_map: for each type, the function that joins things of it.

    Raises:
        TypeError: a sample holds a thing of another type.
        RuntimeError: sequences among the samples have different lengths.
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        if kind in collate_fn_map:
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)
        for each in collate_fn_map:
            if isinstance(first, each):
                return collate_fn_map[each](batch, collate_fn_map=collate_fn_map)

    def joined(parts: Any) -> Any:
        return collate(parts, collate_fn_map=collate_fn_map)

    if isinstance(first, collections.abc.Mapping):
        return _like(first, {key: joined([each[key] for each in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*[joined(parts) for parts in zip(*batch, strict=True)])
    if isinstance(first, collections.abc.Sequence):
        if any(len(each) != len(first) for each in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [joined(parts) for parts in zip(*batch, strict=True)]
        return columns if isinstance(first, tuple) else _like(first, columns)
    raise TypeError(default_collate_err_msg_format.format(kind))


def collate_tensor_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Tensors stacked."""
    return FUNCTIONS["stack"](batch, 0)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Arrays as tensors, stacked."""
    if _TEXTS.search(batch[0].dtype.str):
        raise TypeError(default_collate_err_msg_format.format(batch[0].dtype))
    return collate([FUNCTIONS["as_tensor"](each) for each in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """NumPy's numbers as a tensor."""
    return FUNCTIONS["as_tensor"](batch)


def collate_float_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Floats as a tensor of float64."""
    return FUNCTIONS["tensor"](batch, dtype=float64)


def collate_int_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Integers as a tensor."""
    return FUNCTIONS["tensor"](batch)


def collate_str_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Texts as they are."""
    return batch


default_collate_fn_map: dict[Any, Callable[..., Any]] = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Any) -> Any:
    """A batch made of samples: tensors, arrays and numbers become tensors with a new first dimension.

    >>> default_collate([(1, 2.0), (3, 4.0)])
    [tensor([1, 3]), tensor([2., 4.], dtype=torch.float64)]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
