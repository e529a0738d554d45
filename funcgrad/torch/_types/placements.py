"""PyTorch's words for how a tensor lies on several devices. Libraries build tables of them when they are imported."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """How a tensor lies along one dimension of a mesh of devices."""

    def is_shard(self, dim: int | None = None) -> bool:
        """Whether each device has a part, cut along `dim` if it is given."""
        return isinstance(self, Shard) and dim in (None, self.dim)

    def is_replicate(self) -> bool:
        """Whether each device has the whole tensor."""
        return isinstance(self, Replicate)

    def is_partial(self, reduce_op: str | None = None) -> bool:
        """Whether each device has a tensor of which the reduction, such as "sum", is the whole."""
        return isinstance(self, Partial) and reduce_op in (None, self.reduce_op)


@dataclass(frozen=True)
class Shard(Placement):
    """Each device has a part, cut along a dimension."""

    dim: int


@dataclass(frozen=True)
class Replicate(Placement):
    """Each device has the whole tensor."""


@dataclass(frozen=True)
class Partial(Placement):
    """Each device has a tensor of which the reduction is the whole."""

    reduce_op: str = "sum"


@dataclass(frozen=True)
class _StridedShard(Shard):
    split_factor: int = 1
