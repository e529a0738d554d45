"""The limits of dtypes: `finfo` and `iinfo`."""

import ml_dtypes
import numpy as np

from funcgrad.torch._types.dtypes import FLOAT8, bool_, dtype, get_default_dtype


class _Limits:
    """The common base of `finfo` and `iinfo`: a record of one dtype's limits, compared by value."""

    dtype: str
    bits: int

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    __hash__ = None  # type: ignore[assignment]


class finfo(_Limits):
    """Numerical limits of a floating-point dtype; for a complex dtype, the limits of its parts.

    Attributes are Python floats: `bits`, `eps`, `max`, `min`, `tiny`, `smallest_normal`,
    `resolution`; and `dtype`, a name.

    Raises:
      TypeError: not a floating-point or complex dtype.

    >>> finfo(float32).eps
    1.1920928955078125e-07

    Behaviour: https://pytorch.org/docs/stable/type_info.html
    """

    def __init__(self, type: dtype | None = None) -> None:
        """Look up the limits of `type`; of the default dtype if None."""
        asked = get_default_dtype() if type is None else type
        if not isinstance(asked, dtype):
            raise TypeError(
                "finfo(): argument 'type' (position 1) must be torch.dtype, "
                f"not {asked.__class__.__name__}"
            )
        if not (asked.is_floating_point or asked.is_complex):
            raise TypeError(
                "torch.finfo() requires a floating point input type. "
                "Use torch.iinfo to handle 'torch.finfo'"
            )
        real = asked.to_real()
        limits = ml_dtypes.finfo(getattr(ml_dtypes, real.name, real.name))
        self.dtype = real.name
        self.bits = 8 * real.itemsize
        # PyTorch's constant for this one is half the distance from 1 to the next number.
        self.eps = float(limits.eps) / (1 + (real.name == "float8_e5m2fnuz"))
        self.max = float(limits.max)
        self.min = float(limits.min)
        self.smallest_normal = self.tiny = float(limits.smallest_normal)
        self.resolution = 1.0 if real in FLOAT8 else 10.0**-limits.precision

    def __repr__(self) -> str:
        """PyTorch's one-line table."""
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo(_Limits):
    """Limits of an integer dtype: `bits`, `min`, `max` (Python ints) and `dtype`, a name.

    Raises:
      TypeError: not an integer dtype.

    >>> iinfo(int8).max
    127

    Behaviour: https://pytorch.org/docs/stable/type_info.html
    """

    def __init__(self, type: dtype) -> None:
        """Look up the limits of `type`."""
        if not isinstance(type, dtype):
            raise TypeError(
                "iinfo(): argument 'type' (position 1) must be torch.dtype, "
                f"not {type.__class__.__name__}"
            )
        if type.is_floating_point or type.is_complex:
            raise TypeError(
                "torch.iinfo() requires an integer input type. "
                "Use torch.finfo to handle 'torch.iinfo'"
            )
        if type is bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        limits = np.iinfo(type.numpy_dtype)
        self.dtype = type.name
        self.bits = limits.bits
        self.min = int(limits.min)
        self.max = int(limits.max)

    def __repr__(self) -> str:
        """PyTorch's one-line table."""
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
