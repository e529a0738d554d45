"""PyTorch's `torch.optim`: optimizers, one file a family."""

from funcgrad.torch.optim.adam import Adam
from funcgrad.torch.optim.optimizer import Optimizer
from funcgrad.torch.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer"]

# As in PyTorch, `torch.optim` shows the optimizers; `torch.optim.adam` is there to be imported.
del adam, optimizer, sgd  # type: ignore[name-defined]
