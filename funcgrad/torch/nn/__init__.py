"""PyTorch's `torch.nn`: modules, the functions under them, and initial values. It is loaded when it is first used."""

from funcgrad.torch.nn import attention, functional, init, modules, parallel, parameter, utils
from funcgrad.torch.nn.modules import *  # noqa: F403
from funcgrad.torch.nn.parallel import DataParallel
from funcgrad.torch.nn.parameter import (
    Buffer,
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
)
