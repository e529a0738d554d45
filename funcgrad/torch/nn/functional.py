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
from funcgrad.torch._ops.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices,
)
from funcgrad.torch._ops.attention import (
    multi_head_attention_forward,
    scaled_dot_product_attention,
)
from funcgrad.torch._ops.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    fold,
    unfold,
)
from funcgrad.torch._ops.distances import cosine_similarity, pairwise_distance
from funcgrad.torch._ops.embedding import one_hot
from funcgrad.torch._ops.fractional_pooling import fractional_max_pool2d, fractional_max_pool3d
from funcgrad.torch._ops.grid_sampling import (
    affine_grid,
    grid_sample,
)
from funcgrad.torch._ops.interpolation import (
    channel_shuffle,
    interpolate,
    pixel_shuffle,
    pixel_unshuffle,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)
from funcgrad.torch._ops.linear import bilinear, linear
from funcgrad.torch._ops.normalisation import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
)
from funcgrad.torch._ops.padding import (
    pad,
)
from funcgrad.torch._ops.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
)
from funcgrad.torch._ops.products import pdist
from funcgrad.torch._ops.unpooling import (
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from funcgrad.torch._tensor.registry import check_arguments_of as _check_arguments_of
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
from funcgrad.torch.nn._ctc_loss import ctc_loss
from funcgrad.torch.nn._distribution_losses import gaussian_nll_loss, kl_div, poisson_nll_loss
from funcgrad.torch.nn._dropouts import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from funcgrad.torch.nn._linear_cross_entropy import linear_cross_entropy
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
from funcgrad.torch.nn._sparse_embedding import embedding, embedding_bag

elu_, selu_, celu_ = (IN_PLACE[_name] for _name in ("elu_", "selu_", "celu_"))
leaky_relu_, hardtanh_ = IN_PLACE["leaky_relu_"], IN_PLACE["hardtanh_"]
threshold_ = IN_PLACE["threshold_"]

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "linear_cross_entropy",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
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
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

# PyTorch's are functions in Python, which take anything that counts as true where they ask for it themselves.
_FREE = {"inplace", "hard", "return_indices", "antialias", "reduction", "mode", "padding_mode"}
_FREE |= {
    "size_average",
    "reduce",
    "recompute_scale_factor",
    "need_weights",
    "add_zero_attn",
    "use_separate_proj_weight",
    "average_attn_weights",
}
# Two name the argument of the op that they call.
_UNCHECKED = ("cross_entropy", "embedding")
_check_arguments_of(__name__, __all__, globals(), free=_FREE, unchecked=_UNCHECKED)


def __dir__() -> list[str]:
    return __all__
