"""The modules of `torch.nn`, one file a family."""

from funcgrad.torch.nn.modules.container import (
    Container,
    ModuleDict,
    ModuleList,
    ParameterDict,
    ParameterList,
    Sequential,
)
from funcgrad.torch.nn.modules.linear import Bilinear, Identity, Linear
from funcgrad.torch.nn.modules.module import Module

__all__ = [
    "Bilinear",
    "Container",
    "Identity",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "ParameterDict",
    "ParameterList",
    "Sequential",
]
