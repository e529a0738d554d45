"""The shim's tensors in files of the safetensors format, as `safetensors.torch` has PyTorch's. Needs `funcgrad[safetensors]`.

A file holds names and tensors, and no code: a checkpoint from elsewhere can be read without trust. Behaviour:
https://huggingface.co/docs/safetensors/api/torch
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import safetensors
from safetensors import numpy as files

import funcgrad.torch as torch

__all__ = ["load", "load_file", "load_model", "save", "save_file", "save_model"]

_DTYPES: dict[str, Any] = {
    "BF16": torch.bfloat16,
    "BOOL": torch.bool,
    "C64": torch.complex64,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "I8": torch.int8,
    "U8": torch.uint8,
}


def save(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    """Tensors in the format's bytes.

    Args:
        tensors: contiguous, by name; no two of them share memory.
        metadata: text for the file's header.

    Raises:
        ValueError: something is no tensor, or not contiguous.
        RuntimeError: tensors share memory, which the format cannot say.

    >>> import funcgrad.torch as torch
    >>> load(save({"w": torch.tensor([1.0, 2.0])}))
    {'w': tensor([1., 2.])}
    """
    return files.save(_arrays(tensors), metadata)


def save_file(
    tensors: dict[str, Any],
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
) -> None:
    """As `save`, to a file."""
    files.save_file(_arrays(tensors), filename, metadata)


def load(data: bytes) -> dict[str, Any]:
    """The tensors in the format's bytes, by name, in the order of the file.

    Raises:
        safetensors.SafetensorError: the bytes are not in the format.
        TypeError: a tensor is of a dtype that is not here.
    """
    found = {name: _tensor(name, facts) for name, facts in safetensors.deserialize(data)}
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    # As they lie in the file: the library has them in another order each time.
    return {
        name: found[name] for name in sorted(found, key=lambda name: header[name]["data_offsets"])
    }


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Any]:
    """As `load`, from a file, on a device."""
    with open(filename, "rb") as file:
        found = load(file.read())
    return {name: each.to(device) for name, each in found.items()}


def save_model(
    model: Any,
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
    force_contiguous: bool = True,
) -> None:
    """Save a module's state. Of tensors that share memory one is written, and the header says which stands for the others.

    Args:
        model: the module.
        filename: the file.
        metadata: text for the file's header.
        force_contiguous: whether tensors are made contiguous first.

    Raises:
        RuntimeError: tensors share memory that none of them has as a whole.
        ValueError: a tensor is not contiguous.
    """
    state = model.state_dict()
    for kept, others in _duplicates(state, ()).items():
        for name in others:
            metadata = metadata or {}
            metadata.setdefault(name, kept)
            del state[name]
    if force_contiguous:
        state = {name: each.contiguous() for name, each in state.items()}
    save_file(dict(state), filename, metadata)


def load_model(
    model: Any, filename: str | os.PathLike[str], strict: bool = True, device: Any = "cpu"
) -> tuple[set[str], list[str]]:
    """Load a module's state.

    Args:
        model: the module.
        filename: the file.
        strict: whether names that lack or are too many are an error.
        device: where the tensors of the file go before they are copied.

    Returns:
        The names that the file lacks, and those that the module does not have.

    Raises:
        RuntimeError: names differ, or shapes.
    """
    found = load_file(filename, device)
    duplicates = _duplicates(model.state_dict(), found)
    lacking, unexpected = model.load_state_dict(found, strict=False)
    missing = set(lacking)
    for name in [name for others in duplicates.values() for name in others]:
        if name in missing:
            missing.remove(name)
        else:
            unexpected.append(name)
    if strict and (missing or unexpected):
        words = f"Error(s) in loading state_dict for {type(model).__name__}:"
        for kind, names in (("Missing", missing), ("Unexpected", unexpected)):
            if names:
                quoted = ", ".join(f'"{name}"' for name in sorted(names))
                words += f"\n    {kind} key(s) in state_dict: {quoted}"
        raise RuntimeError(words)
    return missing, unexpected


def _tensor(name: str, facts: dict[str, Any]) -> Any:
    kind = _DTYPES.get(facts["dtype"])
    if kind is None:
        raise TypeError(
            f"`{name}` has the dtype {facts['dtype']}, which funcgrad.torch does not have"
        )
    elements = np.frombuffer(facts["data"], kind.numpy_dtype).reshape(facts["shape"])
    return torch.tensor(elements, dtype=kind)


def _arrays(tensors: Any) -> dict[str, np.ndarray]:
    if not isinstance(tensors, dict):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    for name, each in tensors.items():
        if not isinstance(each, torch.Tensor):
            raise ValueError(
                f"Key `{name}` is invalid, expected torch.Tensor but received {type(each)}"
            )
    shared = [names for names in _sharing(tensors) if len(names) > 1]
    if shared:
        raise RuntimeError(
            "\n            Some tensors share memory, this will lead to duplicate memory on disk and potential differences when "
            f"loading them again: {shared}.\n            A potential way to correctly save your model is to use `save_model`."
            "\n            More information at https://huggingface.co/docs/safetensors/torch_shared_tensors\n            "
        )
    for name, each in tensors.items():
        if not each.is_contiguous():
            raise ValueError(
                f"You are trying to save a non contiguous tensor: `{name}` which is not allowed. It either means you are "
                "trying to save tensors which are reference of each other in which case it's recommended to save only the "
                "full tensors, and reslice at load time, or simply call `.contiguous()` on your tensor to pack it before "
                "saving."
            )
    return {name: np.array(each.detach()._array()) for name, each in tensors.items()}


def _sharing(tensors: dict[str, Any]) -> list[set[str]]:
    """The names in groups: tensors whose elements overlap in one memory are together."""
    of_memory: dict[int, list[tuple[int, int, str]]] = {}
    for name, each in tensors.items():
        start = each.storage_offset()
        last = sum((n - 1) * s for n, s in zip(each.shape, each.stride(), strict=True))
        if each.numel():
            place = (start, start + last, name)
            of_memory.setdefault(id(each._storage.memory), []).append(place)
    groups = []
    for places in of_memory.values():
        end = -1
        for start, last, name in sorted(places):
            if start > end:
                groups.append({name})
            else:
                groups[-1].add(name)
            end = max(end, last)
    return groups


def _duplicates(state: dict[str, Any], preferred: Any) -> dict[str, list[str]]:
    """Of tensors that share memory, the name that is kept and the others.

    Raises:
        RuntimeError: none has the whole memory.
    """
    found = {}
    for names in _sharing(state):
        if len(names) < 2:
            continue
        whole = {name for name in names if _is_whole(state[name])}
        if not whole:
            raise RuntimeError(
                "Error while trying to find names to remove to save state dict, but found no suitable name to keep for saving "
                f"amongst: {names}. None is covering the entire storage.Refusing to save/load the model since you could be "
                "storing much more memory than needed. Please refer to "
                "https://huggingface.co/docs/safetensors/torch_shared_tensors for more information. Or open an issue."
            )
        kept = min(whole & set(preferred) or whole)
        found[kept] = sorted(names - {kept})
    return found


def _is_whole(tensor: Any) -> bool:
    return tensor.numel() == int(np.prod(tensor._storage.memory.aval.shape))
