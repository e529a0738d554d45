"""Lists of tensors in groups, as optimizers outside of PyTorch ask for them."""

from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.devices import device


def _get_foreach_kernels_supported_devices() -> list[str]:
    return ["cuda", "tpu"]


def _get_fused_kernels_supported_devices() -> list[str]:
    return ["cuda", "tpu", "cpu"]


def _group_tensors_by_device_and_dtype(
    tensorlistlist: list[list[Any]], with_indices: bool = False
) -> dict[Any, tuple[list[list[Any]], list[int]]]:
    """The places of several lists at which the first list's tensors have the same device and dtype, by these."""
    groups: dict[Any, tuple[list[list[Any]], list[int]]] = {}
    for k, tensor in enumerate(tensorlistlist[0]):
        key = tensor.device, tensor.dtype
        lists, indices = groups.setdefault(key, ([[] for _ in tensorlistlist], []))
        for held, given in zip(lists, tensorlistlist, strict=True):
            if given:
                held.append(given[k])
        if with_indices:
            indices.append(k)
    return groups


def _device_has_foreach_support(device: device) -> bool:
    return device.type in ("cuda", "tpu", "cpu")


def _has_foreach_support(tensors: list[Any], device: device) -> bool:
    return _device_has_foreach_support(device) and all(
        each is None or isinstance(each, Tensor) for each in tensors
    )
