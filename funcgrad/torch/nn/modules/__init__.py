"""The modules of `torch.nn`, one file a family."""

from funcgrad.torch.nn.modules import (
    activation,
    adaptive,
    batchnorm,
    channelshuffle,
    container,
    conv,
    distance,
    dropout,
    flatten,
    fold,
    instancenorm,
    lazy,
    linear,
    linear_cross_entropy_options,
    loss,
    module,
    normalization,
    padding,
    pixelshuffle,
    pooling,
    rnn,
    sparse,
    transformer,
    upsampling,
)
from funcgrad.torch.nn.modules.activation import *  # noqa: F403
from funcgrad.torch.nn.modules.adaptive import *  # noqa: F403
from funcgrad.torch.nn.modules.batchnorm import *  # noqa: F403
from funcgrad.torch.nn.modules.channelshuffle import *  # noqa: F403
from funcgrad.torch.nn.modules.container import *  # noqa: F403
from funcgrad.torch.nn.modules.conv import *  # noqa: F403
from funcgrad.torch.nn.modules.distance import *  # noqa: F403
from funcgrad.torch.nn.modules.dropout import *  # noqa: F403
from funcgrad.torch.nn.modules.flatten import *  # noqa: F403
from funcgrad.torch.nn.modules.fold import *  # noqa: F403
from funcgrad.torch.nn.modules.instancenorm import *  # noqa: F403
from funcgrad.torch.nn.modules.linear import *  # noqa: F403
from funcgrad.torch.nn.modules.linear_cross_entropy_options import *  # noqa: F403
from funcgrad.torch.nn.modules.loss import *  # noqa: F403
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.modules.normalization import *  # noqa: F403
from funcgrad.torch.nn.modules.padding import *  # noqa: F403
from funcgrad.torch.nn.modules.pixelshuffle import *  # noqa: F403
from funcgrad.torch.nn.modules.pooling import *  # noqa: F403
from funcgrad.torch.nn.modules.rnn import *  # noqa: F403
from funcgrad.torch.nn.modules.sparse import *  # noqa: F403
from funcgrad.torch.nn.modules.transformer import *  # noqa: F403
from funcgrad.torch.nn.modules.upsampling import *  # noqa: F403

__all__ = [  # noqa: PLE0604
    *(
        "Module",
        *activation.__all__,
        *adaptive.__all__,
        *container.__all__,
        *distance.__all__,
        *dropout.__all__,
    ),
    *(*flatten.__all__, *linear.__all__, *loss.__all__, *sparse.__all__),
    *linear_cross_entropy_options.__all__,
    *(*batchnorm.__all__, *channelshuffle.__all__, *conv.__all__, *fold.__all__),
    *(*instancenorm.__all__, *normalization.__all__, *padding.__all__, *pixelshuffle.__all__),
    *(*pooling.__all__, *rnn.__all__, *transformer.__all__, *upsampling.__all__),
]
