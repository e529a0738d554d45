"""PyTorch's `torch.optim`: optimizers, each in PyTorch's module, and the schedules of `lr_scheduler`."""

from importlib import import_module as _import_module
from typing import Any as _Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.optim import lr_scheduler
from funcgrad.torch.optim._adafactor import Adafactor
from funcgrad.torch.optim._muon import Muon
from funcgrad.torch.optim.adadelta import Adadelta
from funcgrad.torch.optim.adagrad import Adagrad
from funcgrad.torch.optim.adam import Adam
from funcgrad.torch.optim.adamax import Adamax
from funcgrad.torch.optim.adamw import AdamW
from funcgrad.torch.optim.asgd import ASGD
from funcgrad.torch.optim.lbfgs import LBFGS
from funcgrad.torch.optim.nadam import NAdam
from funcgrad.torch.optim.optimizer import Optimizer
from funcgrad.torch.optim.radam import RAdam
from funcgrad.torch.optim.rmsprop import RMSprop
from funcgrad.torch.optim.rprop import Rprop
from funcgrad.torch.optim.sgd import SGD
from funcgrad.torch.optim.sparse_adam import SparseAdam

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "lr_scheduler",
]

# Modules to import from, as in PyTorch, where they are no names of the package either.
for _name in [*__all__, "optimizer"]:
    if _name != "lr_scheduler":
        globals().pop("sparse_adam" if _name == "SparseAdam" else _name.lower(), None)


def __getattr__(name: str) -> _Any:
    if name == "swa_utils":  # with `nn`, which a program without averages need not load
        return _import_module(f"{__name__}.{name}")
    raise _no_attribute(__name__, name)
