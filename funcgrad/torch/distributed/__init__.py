"""PyTorch's `torch.distributed`, for a group of one process: programs that may run on many machines run as they are on one.

A group of several processes is refused. In JAX one program sees all devices, and `jax.distributed` joins machines.
"""

import os
from collections.abc import Sequence
from enum import Enum
from importlib import import_module as _import_module
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = [
    "ReduceOp",
    "all_gather",
    "all_gather_object",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "destroy_process_group",
    "gather",
    "get_backend",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "nn",
    "reduce",
    "scatter",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name == "nn":  # loaded when it is first used
        return _import_module(f"{__name__}.nn")
    raise _no_attribute(__name__, name)


class ReduceOp(Enum):
    """How the tensors of all processes become one."""

    SUM = "SUM"
    AVG = "AVG"
    PRODUCT = "PRODUCT"
    MIN = "MIN"
    MAX = "MAX"


class Work:
    """A call that runs on its own in PyTorch. Here it is done at once."""

    def wait(self, timeout: Any = None) -> bool:
        """Wait until it is done: it is."""
        return True

    def is_completed(self) -> bool:
        """Whether it is done: yes."""
        return True


class _Group:
    """The group of this process."""

    backend: str | None = None


def is_available() -> bool:
    """Whether this module can be used."""
    return True


def is_initialized() -> bool:
    """Whether there is a group."""
    return _Group.backend is not None


def is_gloo_available() -> bool:
    """Whether there is the backend Gloo: a group of one process needs none, so any is accepted."""
    return True


def is_nccl_available() -> bool:
    """Whether there is the backend NCCL: no."""
    return False


def is_mpi_available() -> bool:
    """Whether there is the backend MPI: no."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether `torchrun` started the process."""
    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Make the group of this process alone.

    Args:
        backend: a name, which `get_backend` gives back.
        init_method, timeout, store, group_name, pg_options, device_id: accepted.
        world_size, rank: how many processes there are, and the number of this one; read from the environment if negative.

    Raises:
        ValueError: there is a group already, or the environment does not say how large it is.
        NotImplementedError: there would be several processes.
    """
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    if init_method in (None, "env://") and store is None:
        rank = _from_environment("RANK", rank)
        world_size = _from_environment("WORLD_SIZE", world_size)
    if (rank, world_size) != (0, 1):
        raise NotImplementedError(
            f"init_process_group with {world_size} processes: funcgrad computes in one. Start the program once; JAX spreads "
            "arrays over all devices by their sharding (jax.sharding), and over machines after jax.distributed.initialize()"
        )
    _Group.backend = backend or "gloo"


def _from_environment(name: str, given: int) -> int:
    if given >= 0:
        return given
    if name not in os.environ:
        raise ValueError(
            f"Error initializing torch.distributed using env:// rendezvous: environment variable {name} expected, but not set"
        )
    return int(os.environ[name])


def destroy_process_group(group: Any = None) -> None:
    """Leave the group."""
    assert is_initialized(), "Process group cannot be None"
    _Group.backend = None


def _check() -> str:
    """The backend of the group.

    Raises:
        ValueError: there is no group.
    """
    if _Group.backend is None:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call init_process_group."
        )
    return _Group.backend


def get_backend(group: Any = None) -> str:
    """The name given to `init_process_group`."""
    return _check()


def get_rank(group: Any = None) -> int:
    """The number of this process: 0."""
    _check()
    return 0


def get_world_size(group: Any = None) -> int:
    """How many processes there are: 1."""
    _check()
    return 1


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait for all processes: there is no other."""
    return _done(async_op)


def _done(async_op: bool) -> Work | None:
    _check()
    return Work() if async_op else None


def all_reduce(
    tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Put the sum over all processes into `tensor`: it is there already."""
    return _done(async_op)


def reduce(
    tensor: Tensor,
    dst: Any = None,
    op: Any = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Put the sum over all processes into `tensor` of one: it is there already."""
    return _done(async_op)


def broadcast(
    tensor: Tensor, src: Any = None, group: Any = None, async_op: bool = False
) -> Work | None:
    """Put one process's tensor into that of all: it is there already."""
    return _done(async_op)


def all_gather(
    tensor_list: Sequence[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Put the tensors of all processes into a list's tensors."""
    return _copied(tensor_list, tensor, async_op)


def gather(
    tensor: Tensor,
    gather_list: Sequence[Tensor] | None = None,
    dst: Any = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Put the tensors of all processes into the tensors of a list of one."""
    return _copied(gather_list or (), tensor, async_op)


def scatter(
    tensor: Tensor,
    scatter_list: Sequence[Tensor] | None = None,
    src: Any = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Put each tensor of one process's list into the tensor of another."""
    return _copied([tensor], (scatter_list or [tensor])[0], async_op)


def _copied(targets: Sequence[Tensor], source: Tensor, async_op: bool) -> Work | None:
    done = _done(async_op)
    for target in targets:
        target.detach().copy_(source.detach())
    return done


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Put the objects of all processes into a list."""
    _check()
    object_list[0] = obj


def broadcast_object_list(
    object_list: list[Any], src: Any = None, group: Any = None, device: Any = None
) -> None:
    """Put one process's objects into the list of all: they are there already."""
    _check()
