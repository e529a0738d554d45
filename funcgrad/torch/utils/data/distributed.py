"""`DistributedSampler`: the part of the indices that one of several processes takes."""

import math
from collections.abc import Iterator
from typing import Any

from funcgrad.torch._random.generator import Generator
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch.distributed import get_rank, get_world_size
from funcgrad.torch.utils.data.sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """The indices of one of several processes; all together they take the whole dataset.

    Args:
        dataset: has a length.
        num_replicas: how many processes there are; those of the group if None.
        rank: the number of this one; that in the group if None.
        shuffle: whether the order is random; `set_epoch` changes it.
        seed: the seed of the order, the same in all processes.
        drop_last: whether to leave out indices, or to repeat some, so that all parts are equally long.

    Raises:
        ValueError: the rank is out of range, or missing without a process group.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        """Hold the settings."""
        num_replicas = get_world_size() if num_replicas is None else num_replicas
        rank = get_rank() if rank is None else rank
        if rank >= num_replicas or rank < 0:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset, self.num_replicas, self.rank, self.epoch = dataset, num_replicas, rank, 0
        self.drop_last, self.shuffle, self.seed = drop_last, shuffle, seed
        count = len(dataset)
        if drop_last and count % num_replicas:
            self.num_samples = math.ceil((count - num_replicas) / num_replicas)
        else:
            self.num_samples = math.ceil(count / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        """The indices of this process."""
        indices = list(range(len(self.dataset)))
        if self.shuffle:
            generator = Generator().manual_seed(self.seed + self.epoch)
            indices = FUNCTIONS["randperm"](len(indices), generator=generator).tolist()
        if self.drop_last:
            indices = indices[: self.total_size]
        else:
            missing = self.total_size - len(indices)
            indices += (indices * math.ceil(missing / max(len(indices), 1)))[:missing]
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        """How many indices this process takes."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of another epoch."""
        self.epoch = epoch


def __dir__() -> list[str]:
    return __all__
