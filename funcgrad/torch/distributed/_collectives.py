"""Collectives in a group of one process: each process's tensor is this one's, and copies are all there is to do."""

import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributed._groups import ReduceOp, world


class Work:
    """A call that runs on its own in PyTorch. Here it is done at once."""

    def wait(self, timeout: Any = None) -> bool:
        """Wait until it is done: it is."""
        return True

    def is_completed(self) -> bool:
        """Whether it is done: yes."""
        return True


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait for all processes: there is no other."""
    return _done(async_op)


def _done(async_op: bool) -> Work | None:
    world()
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
    world()
    object_list[0] = obj


def broadcast_object_list(
    object_list: list[Any], src: Any = None, group: Any = None, device: Any = None
) -> None:
    """Put one process's objects into the list of all: they are there already."""
    world()


def _deprecated(name: str, now: str) -> None:
    warnings.warn(
        f"`torch.distributed.{name}` is deprecated. Please use `torch.distributed.{now}` instead.",
        FutureWarning,
        stacklevel=3,
    )


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Wait for all processes: there is no other."""
    world()


def all_gather_single(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Put the tensors of all processes into one, one after another."""
    return _copied([output_tensor], input_tensor, async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """`all_gather_single` under its old name."""
    _deprecated("all_gather_into_tensor", "all_gather_single")
    return all_gather_single(output_tensor, input_tensor, group, async_op)


def reduce_scatter(
    output: Tensor,
    input_list: Sequence[Tensor],
    op: Any = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Put the sum over all processes of each list's k-th tensor into the k-th process's."""
    return _copied([output], input_list[0], async_op)


def reduce_scatter_single(
    output: Tensor,
    input: Tensor,
    op: Any = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Put the sum over all processes of each tensor's k-th part into the k-th process's."""
    return _copied([output], input, async_op)


def reduce_scatter_tensor(
    output: Tensor,
    input: Tensor,
    op: Any = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """`reduce_scatter_single` under its old name."""
    _deprecated("reduce_scatter_tensor", "reduce_scatter_single")
    return reduce_scatter_single(output, input, op, group, async_op)


def all_to_all(
    output_tensor_list: Sequence[Tensor],
    input_tensor_list: Sequence[Tensor],
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Send the k-th tensor to the k-th process."""
    return _copied(output_tensor_list, input_tensor_list[0], async_op)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Any = None,
    input_split_sizes: Any = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Send the k-th part to the k-th process."""
    return _copied([output], input, async_op)


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: Any = None,
    group: Any = None,
    group_dst: Any = None,
) -> None:
    """Put the objects of all processes into a list of one."""
    world()
    if object_gather_list is not None:
        object_gather_list[0] = obj


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: Any = None,
    group: Any = None,
    group_src: Any = None,
) -> None:
    """Put the k-th object of one process's list into the k-th process's."""
    world()
    scatter_object_output_list[0] = (scatter_object_input_list or [None])[0]


def send(
    tensor: Tensor, dst: Any = None, group: Any = None, tag: int = 0, group_dst: Any = None
) -> NoReturn:
    """Send a tensor to another process.

    Raises:
        ValueError: always, since there is no other.
    """
    world()
    raise ValueError(
        "Invalid destination rank: destination rank should not be the same as the rank of the current process."
    )


def recv(
    tensor: Tensor, src: Any = None, group: Any = None, tag: int = 0, group_src: Any = None
) -> NoReturn:
    """Receive a tensor of another process.

    Raises:
        RuntimeError: always, since there is no other.
    """
    world()
    raise RuntimeError("recv: there is no other process in the group that could send")


isend, irecv = send, recv
