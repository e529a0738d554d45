"""Losses.

Behaviour: https://pytorch.org/docs/stable/nn.html#loss-functions
"""

import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional
from funcgrad.torch.nn._reduction import legacy_get_string
from funcgrad.torch.nn.modules.distance import PairwiseDistance
from funcgrad.torch.nn.modules.linear import Linear
from funcgrad.torch.nn.modules.linear_cross_entropy_options import LinearCrossEntropyOptions
from funcgrad.torch.nn.modules.module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LinearCrossEntropyLoss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "NLLLoss2d",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


def __dir__() -> list[str]:
    return __all__


class _Loss(Module):
    """A loss function, whose options are the module's attributes.

    Args:
        size_average, reduce: deprecated.
        reduction: "none", "mean" or "sum".

    Attributes:
        _options: the names of the attributes that the function takes.
    """

    _function: ClassVar[Callable[..., Tensor]]
    _options: ClassVar[tuple[str, ...]] = ("reduction",)

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = legacy_get_string(size_average, reduce, 3)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return self._of(input, target)

    def _of(self, *tensors: Any) -> Tensor:
        options = {name: getattr(self, name) for name in self._options}
        return type(self)._function(*tensors, **options)


class _WeightedLoss(_Loss):
    """A loss with a weight for each class or each element, which is a buffer."""

    weight: Tensor | None
    _options: ClassVar[tuple[str, ...]] = ("weight", "reduction")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """The absolute differences of input and target; see `functional.l1_loss`."""

    _function = functional.l1_loss


class MSELoss(_Loss):
    """The squared differences of input and target; see `functional.mse_loss`.

    >>> import funcgrad.torch as torch
    >>> torch.nn.MSELoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """

    _function = functional.mse_loss


class SoftMarginLoss(_Loss):
    """`log(1 + exp(-target * input))`; see `functional.soft_margin_loss`."""

    _function = functional.soft_margin_loss


class MultiLabelMarginLoss(_Loss):
    """How far classes that do not apply come near those that do; see `functional.multilabel_margin_loss`."""

    _function = functional.multilabel_margin_loss


class BCELoss(_WeightedLoss):
    """The cross entropy of probabilities of one class out of two; see `functional.binary_cross_entropy`."""

    _function = functional.binary_cross_entropy


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The mean cross entropy of one yes or no for each class; see `functional.multilabel_soft_margin_loss`."""

    _function = functional.multilabel_soft_margin_loss


class BCEWithLogitsLoss(_Loss):
    """The cross entropy of logits of one class out of two; see `functional.binary_cross_entropy_with_logits`."""

    _function = functional.binary_cross_entropy_with_logits
    _options = ("weight", "pos_weight", "reduction")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)


class NLLLoss(_WeightedLoss):
    """The negative log likelihood of classes; see `functional.nll_loss`."""

    _function = functional.nll_loss
    _options = ("weight", "ignore_index", "reduction")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index


class NLLLoss2d(NLLLoss):
    """`NLLLoss` under its old name.

    Warns:
        FutureWarning: always.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            "`NLLLoss2d` has been deprecated. Please use `NLLLoss` instead as a drop-in replacement and see "
            "https://pytorch.org/docs/main/nn.html#torch.nn.NLLLoss for more details.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(*args, **kwargs)


class CTCLoss(_Loss):
    """The loss of labels without alignment to the steps of a sequence; see `functional.ctc_loss`."""

    _function = functional.ctc_loss
    _options = ("blank", "reduction", "zero_infinity")

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(None, None, reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(  # type: ignore[override]
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Tensor:
        """The loss."""
        return self._of(log_probs, targets, input_lengths, target_lengths)


class CrossEntropyLoss(_WeightedLoss):
    """The cross entropy of the softmax of logits; see `functional.cross_entropy`.

    >>> import funcgrad.torch as torch
    >>> torch.nn.CrossEntropyLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """

    _function = functional.cross_entropy
    _options = ("weight", "ignore_index", "reduction", "label_smoothing")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing


class LinearCrossEntropyLoss(_WeightedLoss):
    """The cross entropy of a linear layer's results, which belongs to the loss; see `functional.linear_cross_entropy`.

    Args:
        in_features, num_classes: of the layer.
        out_features: more dimensions of the results.
        bias, device, dtype: of the layer.
        reduction, weight, ignore_index, label_smoothing, options: see the function.

    Raises:
        RuntimeError: the weight has another shape, or the smoothing is no share.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        if weight is not None and weight.shape != (num_classes,):
            raise RuntimeError(
                f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}"
            )
        if not 0 <= label_smoothing <= 1.0:
            raise RuntimeError(
                f"expected label_smoothing to be in range [0, 1], got {label_smoothing}"
            )
        super().__init__(weight, None, None, reduction)
        self.num_classes, self.out_features = num_classes, out_features
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        outputs = math.prod(out_features, start=num_classes)
        self.linear = Linear(in_features, outputs, bias=bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        shape = (self.num_classes, *self.out_features)
        layer: Any = self.linear
        return functional.linear_cross_entropy(
            input,
            layer.weight.reshape((*shape, layer.in_features)),
            target,
            linear_bias=None if layer.bias is None else layer.bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        """The options."""
        layer: Any = self.linear
        shown = {"in_features": layer.in_features, "num_classes": self.num_classes}
        shown |= {"out_features": self.out_features, "bias": layer.bias is not None}
        names = ("reduction", "ignore_index", "label_smoothing", "options")
        shown |= {name: getattr(self, name) for name in names}
        return ", ".join(f"{name}={value}" for name, value in shown.items())


class PoissonNLLLoss(_Loss):
    """The negative log likelihood of counts; see `functional.poisson_nll_loss`."""

    _function = functional.poisson_nll_loss
    _options = ("log_input", "full", "eps", "reduction")

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return self._of(log_input, target)


class GaussianNLLLoss(_Loss):
    """The negative log likelihood of numbers; see `functional.gaussian_nll_loss`."""

    _function = functional.gaussian_nll_loss
    _options = ("full", "eps", "reduction")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(None, None, reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Tensor:  # type: ignore[override]
        """The loss."""
        return self._of(input, target, var)


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence; see `functional.kl_div`."""

    _function = functional.kl_div
    _options = ("reduction", "log_target")

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target


class SmoothL1Loss(_Loss):
    """As `L1Loss`, but quadratic for small differences; see `functional.smooth_l1_loss`."""

    _function = functional.smooth_l1_loss
    _options = ("reduction", "beta")

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta


class HuberLoss(_Loss):
    """Quadratic for small differences and linear beyond; see `functional.huber_loss`.

    Raises:
        TypeError: `delta` is no number.
    """

    _function = functional.huber_loss
    _options = ("reduction", "delta")

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        if not isinstance(delta, (float, int)):
            raise TypeError(f"delta must be a float or int, got: {type(delta)}")
        super().__init__(reduction=reduction)
        self.delta = delta


class HingeEmbeddingLoss(_Loss):
    """The input, or how far it is below a margin; see `functional.hinge_embedding_loss`."""

    _function = functional.hinge_embedding_loss
    _options = ("margin", "reduction")

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class _OfTwoInputs(_Loss):
    """A loss of two inputs and a target, with a margin of zero."""

    _options = ("margin", "reduction")

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        """The loss."""
        return self._of(input1, input2, target)


class CosineEmbeddingLoss(_OfTwoInputs):
    """How far the cosine is from its target; see `functional.cosine_embedding_loss`."""

    _function = functional.cosine_embedding_loss


class MarginRankingLoss(_OfTwoInputs):
    """How far two scores are from their order; see `functional.margin_ranking_loss`."""

    _function = functional.margin_ranking_loss


class MultiMarginLoss(_WeightedLoss):
    """How far other classes come near the right one; see `functional.multi_margin_loss`.

    Raises:
        ValueError: `p` is neither 1 nor 2, or the weights are no vector.
    """

    _function = functional.multi_margin_loss
    _options = ("p", "margin", "weight", "reduction")

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.ndim != 1:
            raise ValueError(
                f"MultiMarginLoss: expected weight to be None or 1D tensor, got {weight.ndim}D instead"
            )
        self.p, self.margin = p, margin


class _Triplet(_Loss):
    """A loss of an anchor, a positive and a negative."""

    def _check(self, margin: float) -> None:
        if margin <= 0:
            raise ValueError(
                f"{type(self).__name__}: expected margin to be greater than 0, got {margin} instead"
            )

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:  # type: ignore[override]
        """The loss."""
        return self._of(anchor, positive, negative)


class TripletMarginLoss(_Triplet):
    """How much farther the negative has to be; see `functional.triplet_margin_loss`.

    Raises:
        ValueError: the margin is not positive.
    """

    _function = functional.triplet_margin_loss
    _options = ("margin", "p", "eps", "swap", "reduction")

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._check(margin)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap


class TripletMarginWithDistanceLoss(_Triplet):
    """As `TripletMarginLoss`, with any distance; see `functional.triplet_margin_with_distance_loss`.

    Raises:
        ValueError: the margin is not positive.
    """

    _function = functional.triplet_margin_with_distance_loss
    _options = ("distance_function", "margin", "swap", "reduction")

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(None, None, reduction)
        self._check(margin)
        self.distance_function = distance_function or PairwiseDistance()
        self.margin, self.swap = margin, swap
