"""The functions under the modules.

Behaviour: https://pytorch.org/docs/stable/nn.functional.html
"""

from funcgrad.torch._ops.activations import (
    IN_PLACE,
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu6,
    rrelu,
    rrelu_,
    selu,
    silu,
    softplus,
    softshrink,
    threshold,
)
from funcgrad.torch._ops.distances import cosine_similarity, pairwise_distance
from funcgrad.torch._ops.embedding import embedding, embedding_bag, one_hot
from funcgrad.torch._ops.linear import bilinear, linear
from funcgrad.torch.nn._activations import (
    gumbel_softmax,
    log_softmax,
    normalize,
    relu,
    relu_,
    sigmoid,
    softmax,
    softmin,
    softsign,
    tanh,
    tanhshrink,
)
from funcgrad.torch.nn._class_losses import cross_entropy, nll_loss
from funcgrad.torch.nn._distribution_losses import gaussian_nll_loss, kl_div, poisson_nll_loss
from funcgrad.torch.nn._dropouts import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from funcgrad.torch.nn._losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from funcgrad.torch.nn._margin_losses import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)

elu_, selu_, celu_ = (IN_PLACE[_name] for _name in ("elu_", "selu_", "celu_"))
leaky_relu_, hardtanh_ = IN_PLACE["leaky_relu_"], IN_PLACE["hardtanh_"]
threshold_ = IN_PLACE["threshold_"]

__all__ = [
    "alpha_dropout",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def __dir__() -> list[str]:
    return __all__
