"""`save`: things in PyTorch's file format, a zip archive of a pickle and of the storages' bytes."""

import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

from funcgrad.engine import Storage, compute
from funcgrad.torch._levels import refusals
from funcgrad.torch._memory.geometry import Geometry, contiguous
from funcgrad.torch._memory.storages import Reinterpreted, geometry_of
from funcgrad.torch._saving.names import (
    DEVICE,
    DTYPE_NAMES,
    REBUILD_FROM_TYPE,
    REBUILD_PARAMETER,
    REBUILD_PARAMETER_WITH_STATE,
    REBUILD_TENSOR,
    REBUILD_TYPED,
    SIZE,
    STORAGE_NAMES,
    UNTYPED,
    Named,
    theirs,
)
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.view import attributes
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.dtypes import UNSIGNED, dtype, from_numpy_dtype
from funcgrad.torch._types.size import Size

# PyTorch's reader maps records at multiples of this many bytes.
_ALIGNMENT = 64


class _Kept:
    """A storage of a file: its elements in memory order, its number and its device."""

    def __init__(self, key: str, elements: np.ndarray, where: str) -> None:
        self.key, self.elements, self.where = key, elements, where


# Python's own picklers, whose methods can be overridden; the types that are known of them say nothing of that.
_PythonPickler: Any = pickle._Pickler  # type: ignore[attr-defined,unused-ignore]


class _Pickler(_PythonPickler):
    """A pickler that writes tensors as references to storages, and names as PyTorch's."""

    def __init__(self, file: Any, protocol: int) -> None:
        super().__init__(file, protocol)
        self.kept: dict[tuple[int, dtype], _Kept] = {}
        self.alive: list[Any] = []  # the keys above are addresses

    def persistent_id(self, thing: Any) -> Any:
        """The reference that stands for a storage."""
        if not isinstance(thing, _Kept):
            return None
        of = from_numpy_dtype(thing.elements.dtype)
        if of in UNSIGNED:
            return "storage", UNTYPED, thing.key, thing.where, thing.elements.nbytes
        return "storage", STORAGE_NAMES[of], thing.key, thing.where, thing.elements.size

    def reducer_override(self, thing: Any) -> Any:
        """The form of the shim's own things."""
        if isinstance(thing, dtype):
            return DTYPE_NAMES[thing].name
        if isinstance(thing, Size):
            return SIZE, (tuple(thing),)
        if isinstance(thing, device):
            return DEVICE, (thing.type,) if thing.index is None else (thing.type, thing.index)
        if isinstance(thing, Tensor):
            return self.tensor(thing)
        return NotImplemented

    def tensor(self, tensor: Tensor) -> Any:
        """The form of a tensor: its storage, and how it lies there."""
        refusals.check_storage(tensor._storage.read())
        kept, lies = self.stored(tensor)
        parts = kept, lies.offset, tuple(lies.size), tuple(lies.stride)
        kind, state = tensor.__class__, attributes(tensor)
        if getattr(kind, "_is_param", False):
            data = _Rebuilt((*parts, False, OrderedDict()))
            if state:
                return REBUILD_PARAMETER_WITH_STATE, (
                    data,
                    tensor.requires_grad,
                    OrderedDict(),
                    state,
                )
            return REBUILD_PARAMETER, (data, tensor.requires_grad, OrderedDict())
        made: Any = REBUILD_TENSOR, (*parts, tensor.requires_grad, OrderedDict())
        if tensor.dtype in UNSIGNED:
            made = REBUILD_TYPED, (*parts, False, OrderedDict(), tensor.dtype)
        if state or kind is not Tensor:
            return REBUILD_FROM_TYPE, (made[0], kind, made[1], state)
        return made

    def stored(self, tensor: Tensor) -> tuple[_Kept, Geometry]:
        """The storage of a tensor, written once for all tensors that share it, and the tensor's place in it."""
        storage: Any = tensor._storage
        whole = storage.is_part and isinstance(storage.viewed, Reinterpreted)
        memory: Storage = storage if whole else storage.memory
        lies = contiguous(tuple(tensor.shape)) if whole else geometry_of(storage)
        key = id(memory), tensor.dtype
        if key not in self.kept:
            self.alive.append(memory)
            elements = np.ascontiguousarray(np.asarray(compute(memory.read()))).reshape(-1)
            self.kept[key] = _Kept(str(len(self.kept)), elements, _location(tensor.device))
        return self.kept[key], lies

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """Write a thing."""
        if isinstance(obj, Named):
            known = self.memo.get(id(obj))
            if known is None:
                self._name(obj.module, obj.name, obj)
            else:
                self.write(self.get(known[0]))
        elif isinstance(obj, _Rebuilt):
            self.save_reduce(REBUILD_TENSOR, obj.args)
        else:
            super().save(obj, save_persistent_id)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a class's or a function's name; the shim's own under PyTorch's."""
        if isinstance(obj, dtype):
            self._name("torch", obj.name, obj)
            return
        module = getattr(obj, "__module__", None) or ""
        if theirs(module) == module:
            try:
                super().save_global(obj, name)
            except (AttributeError, pickle.PicklingError):
                pickle.dumps(obj)  # raises in the words of Python's C pickler, which PyTorch uses
                raise
        else:
            self._name(theirs(module), name or obj.__qualname__, obj)

    def _name(self, module: str, name: str, obj: Any) -> None:
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)

    dispatch = _PythonPickler.dispatch.copy()
    dispatch[type(len)] = save_global
    dispatch[type(lambda: None)] = save_global


class _Rebuilt:
    """A tensor inside a parameter's form."""

    def __init__(self, args: tuple[Any, ...]) -> None:
        self.args = args


def _location(where: device) -> str:
    return where.type if where.type == "cpu" else f"{where.type}:{where.index or 0}"


def save(
    obj: Any,
    f: "str | os.PathLike[str] | IO[bytes]",
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write tensors, containers of them, and objects, in the format that PyTorch reads.

    Args:
        obj: what to write. Tensors that share memory share it in the file too.
        f: a path, or a file open for writing bytes.
        pickle_module: only `pickle` itself.
        pickle_protocol: the pickle's protocol.

    Raises:
        NotImplementedError: another pickle module, or the format of PyTorch before 1.6, is asked for.

    >>> import io
    >>> import funcgrad.torch as torch
    >>> file = io.BytesIO()
    >>> torch.save({"weights": torch.ones(2)}, file)
    >>> torch.load(file)
    {'weights': tensor([1., 1.])}

    Behaviour: https://pytorch.org/docs/stable/generated/torch.save.html
    """
    if pickle_module is not pickle or not _use_new_zipfile_serialization:
        raise NotImplementedError(
            "save() writes with Python's pickle, and only PyTorch's format of zip archives"
        )
    records: list[tuple[str, bytes]] = []
    text = _Buffer()
    pickler = _Pickler(text, pickle_protocol)
    pickler.dump(obj)
    records += [("data.pkl", bytes(text.held)), ("byteorder", b"little")]
    for each in pickler.kept.values():
        little = each.elements.astype(each.elements.dtype.newbyteorder("<"), copy=False)
        records.append((f"data/{each.key}", little.tobytes()))
    records.append(("version", b"3\n"))
    if isinstance(f, (str, os.PathLike)):
        with Path(f).open("wb") as file:
            _write(file, Path(f).stem, records)
    else:
        _write(f, "archive", records)


class _Buffer:
    """A file in memory for the pickler."""

    def __init__(self) -> None:
        self.held = bytearray()

    def write(self, data: Any) -> None:
        """Append bytes."""
        self.held += data


def _write(file: IO[bytes], root: str, records: list[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in records:
            info = zipfile.ZipInfo(f"{root}/{name}")
            # An empty extra field moves the data to an aligned place.
            start = archive.fp.tell() + 30 + len(info.filename.encode()) + 4  # type: ignore[union-attr]
            pad = -start % _ALIGNMENT
            info.extra = struct.pack("<2sH", b"FB", pad) + b"Z" * pad
            archive.writestr(info, data)
