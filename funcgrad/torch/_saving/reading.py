"""`load`: PyTorch's files, read by an unpickler that makes tensors, containers and numbers, and nothing else unless told."""

import builtins
import collections
import importlib
import os
import pickle
import sys
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from funcgrad.engine import Storage
from funcgrad.torch._memory.geometry import Geometry, contiguous
from funcgrad.torch._memory.storages import DataStorage, ViewStorage
from funcgrad.torch._ops.legacy import rebuilt
from funcgrad.torch._saving.names import DTYPES, STORAGES, ours
from funcgrad.torch._tensor.tensor import Tensor, place, without_history
from funcgrad.torch._types.accelerators import count
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.dtypes import dtype
from funcgrad.torch._types.size import Size

UnpicklingError = pickle.UnpicklingError

# ------------------------------------------------------------------------------------------- what a file may hold

_SAFE: dict[str, Any] = {}
_lock = threading.Lock()


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Let `load` make things of these classes, and call these functions, too."""
    with _lock:
        for each in safe_globals:
            thing, name = (
                each
                if isinstance(each, tuple)
                else (each, f"{each.__module__}.{each.__qualname__}")
            )
            _SAFE[name] = thing


def get_safe_globals() -> list[Any]:
    """The classes and functions that `add_safe_globals` let in."""
    return list(_SAFE.values())


def clear_safe_globals() -> None:
    """Forget all that `add_safe_globals` let in."""
    with _lock:
        _SAFE.clear()


@contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """`add_safe_globals` inside a `with` block."""
    before = dict(_SAFE)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        with _lock:
            _SAFE.clear()
            _SAFE.update(before)


_ALLOWED: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": collections.Counter,
    "collections.defaultdict": collections.defaultdict,
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.complex": complex,
    "builtins.bytearray": bytearray,
    "builtins.slice": slice,
    "builtins.dict": dict,
    "builtins.list": list,
    "builtins.int": int,
    "builtins.float": float,
    "torch.Size": Size,
    "torch.device": device,
}
# Their names in pickles of Python 2's protocols.
_OLD: dict[str, Any] = {
    f"__builtin__.{name}": getattr(builtins, name)
    for name in [
        "set",
        "frozenset",
        "complex",
        "bytearray",
        "slice",
        "dict",
        "list",
        "int",
        "float",
    ]
}


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, which the protocols of Python 2 write as a text.

    Raises:
        UnpicklingError: another encoding is asked for.
    """
    if encoding != "latin1":
        raise UnpicklingError(f"expected bytes in latin1, got {encoding!r}")
    return text.encode(encoding)


_OLD["_codecs.encode"] = _encoded


# ------------------------------------------------------------------------------------------- storages and tensors


class _Loaded:
    """A storage of a file."""

    def __init__(self, elements: np.ndarray, where: device) -> None:
        self.elements, self.where = elements, where
        self.memory: Storage | None = None

    def tensor(self, lies: Geometry) -> Tensor:
        """A tensor of elements of this storage; all such tensors share it."""
        if self.memory is None:
            whole = (
                lies.is_contiguous
                and not lies.offset
                and np.prod(lies.size, dtype=int) == self.elements.size
            )
            shape = lies.size if whole else self.elements.shape
            where = None if self.where.type == "cpu" and self.where.index is None else self.where
            self.memory = Storage(place(self.elements.reshape(shape), where))
            if whole:
                return without_history(self.memory)
        if lies == contiguous(self.memory.value.aval.shape):
            return without_history(DataStorage(self.memory))
        return without_history(ViewStorage(self.memory, DataStorage(self.memory), lies))


def _rebuilt(
    storage: _Loaded,
    offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool = False,
    hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    made = storage.tensor(Geometry(tuple(size), tuple(stride), offset))
    for name, flag in (metadata or {}).items():
        if flag and name in ("conj", "neg"):
            made = made.conj_physical() if name == "conj" else -made
    made.requires_grad = bool(requires_grad)
    return made


def _rebuilt_parameter(data: Tensor, requires_grad: bool, hooks: Any, state: Any = None) -> Tensor:
    kind: Any = importlib.import_module("funcgrad.torch.nn.parameter").Parameter
    made = kind(data, requires_grad)
    vars(made).update(state or {})
    return made


def _rebuilt_typed(
    storage: _Loaded,
    offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    hooks: Any,
    of: Any,
    metadata: Any = None,
) -> Tensor:
    """A tensor whose storage has no type of its own in the file."""
    if storage.memory is None:
        storage.elements = storage.elements.reshape(-1).view(of.numpy_dtype)
    return _rebuilt(storage, offset, size, stride, requires_grad, hooks, metadata)


_REBUILD: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _rebuilt,
    "torch._utils._rebuild_tensor_v2": _rebuilt,
    "torch._utils._rebuild_tensor_v3": _rebuilt_typed,
    "torch._utils._rebuild_parameter": _rebuilt_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuilt_parameter,
}


# Python's own unpickler, whose methods can be overridden.
_PythonUnpickler: Any = pickle._Unpickler  # type: ignore[attr-defined,unused-ignore]


class _Unpickler(_PythonUnpickler):
    """An unpickler that knows PyTorch's names, and refuses all others unless it is told not to."""

    def __init__(
        self, file: Any, storages: Callable[..., _Loaded], trusted: bool, **args: Any
    ) -> None:
        super().__init__(file, **args)
        self.storages, self.trusted = storages, trusted

    def persistent_load(self, pid: Any) -> Any:
        """The storage of a reference."""
        if not isinstance(pid, tuple) or not pid or pid[0] != "storage":
            raise UnpicklingError(f"expected a reference to a storage, got {pid!r}")
        return self.storages(*pid[1:5])

    def find_class(self, module: str, name: str) -> Any:
        """The thing of a name.

        Raises:
            UnpicklingError: it is none of those that a file may hold.
        """
        full = f"{module}.{name}"
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module in ("torch", "torch.storage") and name in (*STORAGES, "UntypedStorage"):
            return STORAGES.get(name)
        found = _REBUILD.get(full) or _ALLOWED.get(full) or _OLD.get(full) or _SAFE.get(full)
        if found is not None:
            return found
        if full in ("torch.Tensor", "torch._tensor.Tensor"):
            return Tensor
        if full == "torch.nn.parameter.Parameter":
            return importlib.import_module("funcgrad.torch.nn.parameter").Parameter
        if full == "torch._tensor._rebuild_from_type_v2":
            return _from_type
        for known, thing in _SAFE.items():
            if ours(module) + "." + name == known:
                return thing
        if self.trusted:
            if ours(module) == module:
                return super().find_class(module, name)
            place: Any = importlib.import_module(ours(module))
            for part in name.split("."):
                place = getattr(place, part)
            return place
        raise UnpicklingError(
            "Weights only load failed. This file can still be loaded, to do so you have two options, do those steps only if "
            "you trust the source of the checkpoint. \n\t(1) In PyTorch 2.6, we changed the default value of the `weights_only` "
            "argument in `torch.load` from `False` to `True`. Re-running `torch.load` with `weights_only` set to `False` will "
            "likely succeed, but it can result in arbitrary code execution. Do it only if you got the file from a trusted "
            "source.\n\t(2) Alternatively, to load with `weights_only=True` please check the recommended steps in the following "
            f"error message.\n\tWeightsUnpickler error: Unsupported global: GLOBAL {full} was not an allowed global by default. "
            f"Please use `torch.serialization.add_safe_globals([{full}])` or the `torch.serialization.safe_globals([{full}])` "
            "context manager to allowlist this global if you trust this class/function.\n\nCheck the documentation of "
            "torch.load to learn more about types accepted by default with weights_only "
            "https://pytorch.org/docs/stable/generated/torch.load.html."
        )


def _from_type(function: Callable[..., Any], kind: Any, args: Any, state: Any) -> Any:
    return rebuilt(kind, function(*args), state)


# ------------------------------------------------------------------------------------------- devices


def _mapped(location: str, elements: np.ndarray, map_location: Any) -> device:
    """The device of a storage that was saved from a location."""
    if map_location is None:
        return _checked(location)
    if isinstance(map_location, dict):
        return _checked(map_location.get(location, location))
    if isinstance(map_location, (str, device)):
        return _checked(str(map_location))
    given = without_history(Storage(place(elements)))
    found = map_location(given, location)
    return given.device if found is given else _checked(location) if found is None else found.device


def _checked(location: str) -> device:
    where = device(location)
    if where.type == "cuda" and not count("cuda"):
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running on "
            "a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your storages to the CPU."
        )
    return where


# ------------------------------------------------------------------------------------------- files


def load(
    f: "str | os.PathLike[str] | IO[bytes]",
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read what `torch.save` wrote, here or in PyTorch.

    Args:
        f: a path, or a file open for reading bytes.
        map_location: the device of all storages; or a dict from saved to new ones; or a function of a storage's elements and
            the saved location.
        pickle_module: only `pickle` itself.
        weights_only: whether to refuse everything but tensors, containers, numbers and what `add_safe_globals` let in: the
            default. False runs what the file says, so set it only for files that you trust.
        mmap: accepted; JAX copies the elements in any case.
        pickle_load_args: for the unpickler.

    Raises:
        pickle.UnpicklingError: the file holds a thing that is refused, or is no such file.
        RuntimeError: the file was saved on a device that is not here, or is damaged.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.load.html
    """
    if pickle_module not in (None, pickle):
        raise NotImplementedError("load() reads with Python's pickle")
    if isinstance(f, (str, os.PathLike)):
        with Path(f).open("rb") as file:
            return _read(file, map_location, weights_only is False, pickle_load_args)
    f.seek(0)
    return _read(f, map_location, weights_only is False, pickle_load_args)


def _read(file: IO[bytes], map_location: Any, trusted: bool, more: dict[str, Any]) -> Any:
    more.setdefault("encoding", "utf-8")
    if not zipfile.is_zipfile(file):
        file.seek(0)
        return _read_legacy(file, map_location, trusted, more)
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        root = next(
            (name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")), None
        )
        if root is None:
            raise RuntimeError("PytorchStreamReader failed locating file data.pkl: file not found")
        order = (
            archive.read(f"{root}byteorder").decode() if f"{root}byteorder" in names else "little"
        )
        loaded: dict[str, _Loaded] = {}

        def storage(of: dtype | None, key: str, location: str, count: int) -> _Loaded:
            if key not in loaded:
                if f"{root}data/{key}" not in names:
                    raise RuntimeError(
                        f"PytorchStreamReader failed locating file data/{key}: file not found"
                    )
                data = archive.read(f"{root}data/{key}")
                kind = np.dtype(np.uint8) if of is None else of.numpy_dtype
                if len(data) < count * kind.itemsize:
                    raise RuntimeError(
                        f"storage data/{key} has {len(data)} bytes, but {count} elements of {of} need "
                        f"{count * kind.itemsize}: the file is damaged"
                    )
                elements = np.frombuffer(data, kind, count).copy()
                if order != sys.byteorder:
                    elements = elements.byteswap()
                loaded[key] = _Loaded(elements, _mapped(location, elements, map_location))
            return loaded[key]

        with archive.open(f"{root}data.pkl") as text:
            return _Unpickler(text, storage, trusted, **more).load()


_MAGIC = 0x1950A86A20F9469CFC6C


def _read_legacy(file: IO[bytes], map_location: Any, trusted: bool, more: dict[str, Any]) -> Any:
    """A file of PyTorch before 1.6: pickles, then the storages' bytes."""

    def refuse(*_: Any) -> Any:
        raise UnpicklingError("expected no storage here")

    try:
        magic = _Unpickler(file, refuse, False, **more).load()
    except (UnpicklingError, KeyError, ValueError, IndexError, AttributeError) as error:
        raise UnpicklingError(f"this is no file that torch.save wrote: {error}") from None
    if magic != _MAGIC:
        raise UnpicklingError("Invalid magic number; corrupt file?")
    _Unpickler(file, refuse, False, **more).load()  # the protocol's version
    _Unpickler(file, refuse, False, **more).load()  # about the machine
    loaded: dict[str, _Loaded] = {}

    def storage(of: dtype, key: str, location: str, count: int) -> _Loaded:
        if key not in loaded:
            elements = np.zeros(count, of.numpy_dtype)
            loaded[key] = _Loaded(elements, _mapped(location, elements, map_location))
        return loaded[key]

    # Tensors are made of storages whose elements follow the pickle, so the pickle is read twice.
    start = file.tell()
    _Unpickler(file, storage, trusted, **more).load()
    keys = _Unpickler(file, refuse, False, **more).load()
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        each = loaded[key]
        if count != each.elements.size:
            raise RuntimeError(f"storage {key} has {count} elements, and not {each.elements.size}")
        each.elements = np.frombuffer(file.read(each.elements.nbytes), each.elements.dtype).copy()
        each.memory = None
    file.seek(start)
    return _Unpickler(file, storage, trusted, **more).load()
