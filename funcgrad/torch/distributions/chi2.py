"""`Chi2`."""

from typing import Any, ClassVar, Self

from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.gamma import Gamma

__all__ = ["Chi2"]


def __dir__() -> list[str]:
    return __all__


class Chi2(Gamma):
    """The chi-squared distribution: a gamma distribution of shape `df / 2` and rate 1/2.

    Args:
        df: the degrees of freedom, positive.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    df = property(lambda self: self.concentration * 2)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        return self._remade(_instance, self.df.expand(Size(batch_shape)))
