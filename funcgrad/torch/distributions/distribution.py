"""`Distribution`: what all distributions share: shapes, checks of parameters and values, and how they print.

Behaviour: https://pytorch.org/docs/stable/distributions.html
"""

import warnings
from typing import Any, ClassVar, Self

import jax

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions.constraints import Constraint, _Dependent

__all__ = ["Distribution"]


def __dir__() -> list[str]:
    return __all__


_LIBRARY = __name__.rpartition(".")[0]


def _is_broken(holds: Tensor) -> bool:
    """Whether a constraint is known to be broken: inside a transformation of JAX's nothing is known."""
    try:
        return not holds.all()
    except jax.errors.TracerBoolConversionError:
        return False


class Distribution:
    """The base of all distributions.

    Args:
        batch_shape: the shape of the parameters: this many independent distributions.
        event_shape: the shape of one draw.
        validate_args: whether to check parameters and values; None is the default, True.

    Raises:
        ValueError: a parameter lies outside its constraint.
    """

    arg_constraints: ClassVar[Any] = {}
    support: Any = None
    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    def __init__(
        self,
        batch_shape: Any = (),
        event_shape: Any = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()
        super().__init__()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check their parameters and values.

        Raises:
            ValueError: `value` is not a bool.
        """
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if isinstance(constraint, _Dependent) or name not in self.__dict__:
                continue
            value = self.__dict__[name]
            if _is_broken(constraint.check(value)):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient, of the shape `sample_shape + batch_shape + event_shape`."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def sample_n(self, n: int) -> Tensor:
        """`n` draws, with PyTorch's warning that `sample` is its name now."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.",
            FutureWarning,
            stacklevel=2,
        )
        return self.sample((n,))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws that can be differentiated with respect to the parameters."""
        raise NotImplementedError

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at a value."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most a value."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The inverse of `cdf`."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values that can be drawn, along the first dimension."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return torch.exp(self.entropy())

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its parameters expanded to a batch shape."""
        shape = Size(batch_shape)
        held = [name for name in self.arg_constraints if name in self.__dict__][:1]
        parameters = {}
        for name in self._given or held:
            value = self.__dict__[name]
            parameters[name] = value.expand(shape + value.shape[len(self._batch_shape) :])
        return self._remade(_instance, **parameters)

    def _remade(self, _instance: Any, *args: Any, **kwargs: Any) -> Self:
        """A distribution of these parameters, of the class of `self`, or written into the instance that a subclass gives."""
        of = self._class()
        made = self._get_checked_instance(of, _instance)
        made.__dict__.update(vars(of(*args, validate_args=False, **kwargs)))
        made._validate_args = self._validate_args
        return made

    def _class(self) -> Any:
        """The class of the distribution, or the class of the library that it inherits from."""
        return next(each for each in type(self).__mro__ if each.__module__.startswith(_LIBRARY))

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """An instance for `expand`, which has not been initialised, if the subclass does not give one.

        Raises:
            NotImplementedError: the subclass has an `__init__` of its own, so its `expand` has to make the instance.
        """
        if _instance is None and type(self).__init__ != cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method must also define "
                "a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    # The parameters that make the distribution anew; empty: the one of several that is given.
    _given: tuple[str, ...] = ()

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _validate_sample(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        events = value.dim() - len(self._event_shape)
        if value.shape[events:] != self._event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{value.shape} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(value.shape), reversed(expected), strict=False):
            if 1 not in (i, j) and i != j:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {expected}."
                )
        support: Constraint | None = self.support
        if support is not None and _is_broken(support.check(value)):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        names = [name for name in self.arg_constraints if name in self.__dict__]
        shown = (
            f"{name}: {value if value.numel() == 1 else value.size()}"
            for name in names
            for value in [self.__dict__[name]]
        )
        return f"{type(self).__name__}({', '.join(shown)})"
