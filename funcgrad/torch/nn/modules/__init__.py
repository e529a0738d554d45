"""The modules of `torch.nn`, one file a family."""

from funcgrad.torch.nn.modules import (
    activation,
    container,
    distance,
    dropout,
    flatten,
    lazy,
    linear,
    loss,
    module,
    sparse,
)
from funcgrad.torch.nn.modules.activation import *  # noqa: F403
from funcgrad.torch.nn.modules.container import *  # noqa: F403
from funcgrad.torch.nn.modules.distance import *  # noqa: F403
from funcgrad.torch.nn.modules.dropout import *  # noqa: F403
from funcgrad.torch.nn.modules.flatten import *  # noqa: F403
from funcgrad.torch.nn.modules.linear import *  # noqa: F403
from funcgrad.torch.nn.modules.loss import *  # noqa: F403
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.modules.sparse import *  # noqa: F403

__all__ = [  # noqa: PLE0604
    *("Module", *activation.__all__, *container.__all__, *distance.__all__, *dropout.__all__),
    *(*flatten.__all__, *linear.__all__, *loss.__all__, *sparse.__all__),
]
