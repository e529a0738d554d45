"""The names in PyTorch's files: what stands for a storage, a dtype, a rebuilt tensor, and for the shim's own classes."""

from typing import Any

from funcgrad.torch._types.dtypes import ALL_DTYPES, UNSIGNED, dtype

OURS, THEIRS = "funcgrad.torch", "torch"
DTYPES: dict[str, dtype] = {each.name: each for each in (*ALL_DTYPES, *UNSIGNED)}
STORAGES: dict[str, dtype] = {f"{each.scalar_type}Storage": each for each in ALL_DTYPES}


class Named:
    """A function or class of PyTorch's, of which a file holds the name only."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *args: Any) -> Any:
        """Never called: a pickle only holds callables with their arguments."""
        raise NotImplementedError(self.name)


REBUILD_TENSOR = Named("torch._utils", "_rebuild_tensor_v2")
# For the dtypes whose storages have no type of their own.
REBUILD_TYPED = Named("torch._utils", "_rebuild_tensor_v3")
REBUILD_PARAMETER = Named("torch._utils", "_rebuild_parameter")
REBUILD_PARAMETER_WITH_STATE = Named("torch._utils", "_rebuild_parameter_with_state")
# For a tensor of the user's class, or with attributes of the user's.
REBUILD_FROM_TYPE = Named("torch._tensor", "_rebuild_from_type_v2")
SIZE, DEVICE = Named(THEIRS, "Size"), Named(THEIRS, "device")
DTYPE_NAMES = {each: Named(THEIRS, each.name) for each in (*ALL_DTYPES, *UNSIGNED)}
UNTYPED = Named("torch.storage", "UntypedStorage")
STORAGE_NAMES = {each: Named(THEIRS, f"{each.scalar_type}Storage") for each in ALL_DTYPES}


def theirs(module: str) -> str:
    """PyTorch's name for a module of the shim; any other name as it is."""
    return THEIRS + module.removeprefix(OURS) if (module + ".").startswith(OURS + ".") else module


def ours(module: str) -> str:
    """The shim's name for a module of PyTorch; any other name as it is."""
    return OURS + module.removeprefix(THEIRS) if (module + ".").startswith(THEIRS + ".") else module
