"""`torch.distributed.nn`: collectives that return their results, and have derivatives. In a group of one process they change nothing."""

import warnings
from collections.abc import Sequence
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributed import ReduceOp, get_world_size

__all__ = ["ReduceOp", "all_gather", "all_reduce", "broadcast", "gather", "reduce", "scatter"]


def __dir__() -> list[str]:
    return __all__


def _own(tensor: Tensor) -> Tensor:
    """A copy of this process's tensor.

    Raises:
        ValueError: there is no group.
    """
    get_world_size()
    return tensor.clone()


def _old(name: str, now: str) -> None:
    """Warn as PyTorch does of a name that is to go."""
    warnings.warn(
        f"torch.distributed.nn.functional.{name} is deprecated, use torch.distributed._functional_collectives.{now} instead.",
        FutureWarning,
        stacklevel=3,
    )


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The sum over all processes."""
    _old("all_reduce", "all_reduce")
    return _own(tensor)


def reduce(tensor: Tensor, dst: int, op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The sum over all processes, for one of them."""
    return _own(tensor)


def broadcast(tensor: Tensor, src: int, group: Any = None) -> Tensor:
    """One process's tensor, for all."""
    _old("broadcast", "broadcast")
    return _own(tensor)


def all_gather(tensor: Tensor, group: Any = None) -> tuple[Tensor, ...]:
    """The tensors of all processes."""
    _old("all_gather", "all_gather_single")
    return (_own(tensor),)


def gather(tensor: Tensor, dst: int = 0, group: Any = None) -> tuple[Tensor, ...]:
    """The tensors of all processes, for one of them."""
    return (_own(tensor),)


def scatter(tensors: Sequence[Tensor], src: int = 0, group: Any = None) -> Tensor:
    """One process's tensors, one for each."""
    return _own(tensors[0])
