"""`torch.functional`: functions of `torch` that PyTorch writes in Python; they are declared in `_ops`."""

from typing import Any

from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._types.missing import no_attribute as _no_attribute

atleast_1d = FUNCTIONS["atleast_1d"]
atleast_2d = FUNCTIONS["atleast_2d"]
atleast_3d = FUNCTIONS["atleast_3d"]
block_diag = FUNCTIONS["block_diag"]
broadcast_shapes = FUNCTIONS["broadcast_shapes"]
broadcast_tensors = FUNCTIONS["broadcast_tensors"]
cartesian_prod = FUNCTIONS["cartesian_prod"]
cdist = FUNCTIONS["cdist"]
chain_matmul = FUNCTIONS["chain_matmul"]
einsum = FUNCTIONS["einsum"]
lu = FUNCTIONS["lu"]
meshgrid = FUNCTIONS["meshgrid"]
norm = FUNCTIONS["norm"]
split = FUNCTIONS["split"]
tensordot = FUNCTIONS["tensordot"]
unique = FUNCTIONS["unique"]
unique_consecutive = FUNCTIONS["unique_consecutive"]
unravel_index = FUNCTIONS["unravel_index"]

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "cdist",
    "chain_matmul",
    "einsum",
    "lu",
    "meshgrid",
    "norm",
    "split",
    "tensordot",
    "unique",
    "unique_consecutive",
    "unravel_index",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
