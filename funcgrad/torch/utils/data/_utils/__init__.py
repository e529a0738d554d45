"""The parts of a `DataLoader`: how batches are made, and its workers."""

from funcgrad.torch.utils.data._utils import collate, worker

__all__ = ["collate", "worker"]
