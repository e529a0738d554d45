"""The group of one process, and questions about it."""

import os
from datetime import timedelta
from enum import Enum
from typing import Any

default_pg_timeout = timedelta(minutes=30)


class Backend(str):
    """The name of a backend, in small letters.

    >>> Backend("NCCL")
    'nccl'

    Raises:
        ValueError: it is no string.
    """

    __slots__ = ()
    UNDEFINED, GLOO, NCCL, XCCL = "undefined", "gloo", "nccl", "xccl"
    UCC, MPI, FAKE = "ucc", "mpi", "fake"
    backend_list = (UNDEFINED, GLOO, NCCL, XCCL, UCC, MPI, FAKE)

    def __new__(cls, name: str) -> "Backend":
        """The name; PyTorch gives a plain string."""
        if not isinstance(name, str):
            raise ValueError("Backend constructor parameter must be string-ish")
        return name.lower()  # type: ignore[return-value]


class _RedOpType(Enum):
    """How the tensors of all processes become one."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR, PREMUL_SUM = range(9)


_RedOpType.__name__ = _RedOpType.__qualname__ = "RedOpType"


class ReduceOp:
    """How the tensors of all processes become one: `ReduceOp.SUM` and its neighbours."""

    RedOpType = _RedOpType
    SUM, AVG, PRODUCT, MIN, MAX = list(_RedOpType)[:5]
    BAND, BOR, BXOR, PREMUL_SUM = list(_RedOpType)[5:]


class ProcessGroup:
    """A group of this process alone; `new_group` makes one."""

    def __init__(self, backend: str) -> None:
        self._backend = backend

    def rank(self) -> int:
        """The number of this process: 0."""
        return 0

    def size(self) -> int:
        """How many processes there are: 1."""
        return 1

    def name(self) -> str:
        """The backend's name."""
        return self._backend


class _WorldOfTheClass(type):
    """Gives a class the attribute `WORLD`, which changes."""

    _world: ProcessGroup | None = None

    @property
    def WORLD(cls) -> ProcessGroup | None:
        """The group of all processes; None before `init_process_group`."""
        return _WorldOfTheClass._world


class GroupMember(metaclass=_WorldOfTheClass):
    """The group of all processes, and the sign for a process outside a group."""

    NON_GROUP_MEMBER = -100


class group(metaclass=_WorldOfTheClass):
    """The group of all processes, as `group.WORLD`."""


def is_available() -> bool:
    """Whether this module can be used."""
    return True


def is_initialized() -> bool:
    """Whether there is a group."""
    return group.WORLD is not None


def is_gloo_available() -> bool:
    """Whether there is the backend Gloo: a group of one process needs none, so any is accepted."""
    return True


def is_nccl_available() -> bool:
    """Whether there is the backend NCCL: no."""
    return False


is_mpi_available = is_ucc_available = is_xccl_available = is_nccl_available


def is_backend_available(backend: str) -> bool:
    """Whether there is a backend of this name: Gloo alone."""
    return backend.lower() == Backend.GLOO


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
    _WorldOfTheClass._world = ProcessGroup(Backend(backend or Backend.GLOO))


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
    if group is None or group is GroupMember.WORLD:
        _WorldOfTheClass._world = None


def world() -> ProcessGroup:
    """The group of all processes.

    Raises:
        ValueError: there is none.
    """
    found = GroupMember.WORLD
    if found is None:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call init_process_group."
        )
    return found


def new_group(
    ranks: Any = None,
    timeout: Any = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
    group_name: str | None = None,
) -> ProcessGroup:
    """Another group of this process.

    Args:
        ranks: None, or `[0]`.
        backend: a name; None takes that of the group of all.
        timeout, pg_options, use_local_synchronization, group_desc, device_id, group_name: accepted.

    Raises:
        ValueError: there is no group yet, or `ranks` has other processes.
    """
    default = world()
    if ranks is not None and len(ranks) > 1:
        raise ValueError(
            "the new group's world size should be less or equal to the world size set by init_process_group"
        )
    if ranks is not None and list(ranks) != [0]:
        raise ValueError(
            "The new group's rank should be within the world_size set by init_process_group"
        )
    return ProcessGroup(Backend(backend) if backend else default.name())


def get_backend(group: Any = None) -> str:
    """The name given to `init_process_group` or `new_group`."""
    return (group or world()).name()


def get_rank(group: Any = None) -> int:
    """The number of this process, 0; -1 where it is not in the group."""
    world()
    return -1 if group == GroupMember.NON_GROUP_MEMBER else 0


def get_world_size(group: Any = None) -> int:
    """How many processes there are, 1; -1 where this one is not in the group."""
    world()
    return -1 if group == GroupMember.NON_GROUP_MEMBER else 1


def get_process_group_ranks(group: Any) -> list[int]:
    """The numbers of a group's processes: 0 alone."""
    world()
    return [0]


def get_global_rank(group: Any, group_rank: int) -> int:
    """The number that a process of a group has among all: 0.

    Raises:
        ValueError: the group has no such process.
    """
    world()
    if group_rank != 0:
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return 0


def get_group_rank(group: Any, global_rank: int) -> int:
    """The number that a process has in a group: 0.

    Raises:
        ValueError: the group has no such process.
    """
    world()
    if global_rank != 0:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return 0


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """The number of this process on its machine, which `torchrun` writes into the environment.

    Raises:
        RuntimeError: the environment has none, and there is no `fallback_rank`.
    """
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError(
        "LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow `get_node_local_rank` to work, assuming "
        "you are not running in a multi-device context and want the code to run locally instead."
    )
