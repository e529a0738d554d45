"""`dtype` with PyTorch's names, type promotion, and the default dtype."""

import functools
import numbers
from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np


class dtype:
    """The element type of a tensor; one instance for each type, compared by identity.

    Attributes:
      name: PyTorch's name without the prefix, such as `"float32"`.
      numpy_dtype: the NumPy dtype that stores it (`ml_dtypes.bfloat16` for bfloat16).
      itemsize: bytes in one element.
      is_floating_point: real floating point; false for complex.
      is_complex: complex floating point.
      is_signed: can hold negative values.
      scalar_type: the name in PyTorch's error messages, such as `"Float"`.

    >>> float32, float32.itemsize, float32.is_floating_point
    (torch.float32, 4, True)

    Behaviour: https://pytorch.org/docs/stable/tensor_attributes.html
    """

    __slots__ = (
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "name",
        "numpy_dtype",
        "scalar_type",
    )

    name: str
    numpy_dtype: np.dtype[Any]
    itemsize: int
    is_floating_point: bool
    is_complex: bool
    is_signed: bool
    scalar_type: str

    def __new__(cls, *args: Any, **kwargs: Any) -> "dtype":
        """Refuse: the only instances are the ones in this module."""
        raise TypeError("cannot create 'torch.dtype' instances")

    def __init_subclass__(cls) -> None:
        """Refuse: as in PyTorch, the set of types is closed."""
        raise TypeError("type 'torch.dtype' is not an acceptable base type")

    def __getattr__(self, attribute: str) -> Any:
        """Refuse tensors of a dtype that only PyTorch computes in: `numpy_dtype` is not set for it.

        Raises:
          NotImplementedError: always, but for attributes that no dtype has.
        """
        if attribute == "numpy_dtype":
            raise NotImplementedError(
                f"{self}: the name is here for code that asks for it, and tensors of it are not. bfloat16 is the smallest"
            )
        raise AttributeError(
            f"'torch.dtype' object has no attribute {attribute!r}", name=attribute, obj=self
        )

    def __setattr__(self, attribute: str, value: Any) -> None:
        """Refuse: instances are shared by every tensor of the type."""
        raise AttributeError(f"attribute {attribute!r} of 'torch.dtype' objects is not writable")

    def __repr__(self) -> str:
        """PyTorch's spelling, such as `torch.float32`."""
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        """Copy and unpickle to the same instance, found by name where users find it: `torch.bool`."""
        return self.name

    def to_complex(self) -> "dtype":
        """The complex dtype whose parts have this precision (complex64 for integers).

        Raises:
          TypeError: the dtype is float16. Its complex32 exists on no JAX backend.
        """
        if self.is_complex:
            return self
        if self is float16:
            raise TypeError("torch.complex32 (ComplexHalf) does not exist on JAX; use complex64")
        return complex128 if self is float64 else complex64

    @property
    def legacy_name(self) -> str:
        """The name of a CPU tensor of this dtype in PyTorch's error messages.

        >>> float32.legacy_name, complex64.legacy_name
        ('torch.FloatTensor', 'CPUComplexFloatType')
        """
        if self.is_complex or self in (bfloat16, bool_):
            return f"CPU{self.scalar_type}Type"
        return f"torch.{self.scalar_type}Tensor"

    def to_real(self) -> "dtype":
        """The dtype of the real part; for a real dtype, the dtype itself."""
        return {complex64: float32, complex128: float64}.get(self, self)


def _make(name: str, scalar_type: str, numpy_type: Any) -> dtype:
    made = object.__new__(dtype)
    stored = np.dtype(numpy_type)
    is_complex = stored.kind == "c"
    is_floating_point = stored.kind == "f" or name == "bfloat16"
    for attribute, value in {
        "name": name,
        "scalar_type": scalar_type,
        "numpy_dtype": stored,
        "itemsize": stored.itemsize,
        "is_floating_point": is_floating_point,
        "is_complex": is_complex,
        "is_signed": is_complex or is_floating_point or stored.kind == "i",
    }.items():
        object.__setattr__(made, attribute, value)
    return made


def _make_name(name: str) -> dtype:
    """A dtype of eight bits, which code compares with others, and of which there are no tensors."""
    made = object.__new__(dtype)
    for attribute, value in {
        "name": name,
        "scalar_type": name.capitalize(),
        "itemsize": 1,
        "is_floating_point": True,
        "is_complex": False,
        "is_signed": name != "float8_e8m0fnu",
    }.items():
        object.__setattr__(made, attribute, value)
    return made


float16 = _make("float16", "Half", np.float16)
bfloat16 = _make("bfloat16", "BFloat16", ml_dtypes.bfloat16)
float32 = _make("float32", "Float", np.float32)
float64 = _make("float64", "Double", np.float64)
complex64 = _make("complex64", "ComplexFloat", np.complex64)
complex128 = _make("complex128", "ComplexDouble", np.complex128)
uint8 = _make("uint8", "Byte", np.uint8)
int8 = _make("int8", "Char", np.int8)
int16 = _make("int16", "Short", np.int16)
int32 = _make("int32", "Int", np.int32)
int64 = _make("int64", "Long", np.int64)
bool_ = _make("bool", "Bool", np.bool_)
uint16 = _make("uint16", "UInt16", np.uint16)
uint32 = _make("uint32", "UInt32", np.uint32)
uint64 = _make("uint64", "UInt64", np.uint64)

ALL_DTYPES: tuple[dtype, ...] = (
    *(float16, bfloat16, float32, float64, complex64, complex128),
    *(uint8, int8, int16, int32, int64, bool_),
)

# These are promoted with floating-point dtypes alone, and have no legacy types.
UNSIGNED = (uint16, uint32, uint64)

# For code that compares dtypes with them.
FLOAT8 = tuple(
    _make_name(f"float8_{each}") for each in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu")
)

# PyTorch's public names. `float`, `int` and `bool` are only keys here, so that Python's own stay usable.
NAMES: dict[str, dtype] = {
    **{each.name: each for each in (*ALL_DTYPES, *UNSIGNED)},
    "half": float16,
    "float": float32,
    "double": float64,
    "cfloat": complex64,
    "cdouble": complex128,
    "short": int16,
    "int": int32,
    "long": int64,
}

_BY_NUMPY = {each.numpy_dtype: each for each in (*ALL_DTYPES, *UNSIGNED)}

# The C++ names of element types, used by some of PyTorch's messages.
C_NAMES = {
    float16: "c10::Half",
    bfloat16: "c10::BFloat16",
    float32: "float",
    float64: "double",
    complex64: "c10::complex<float>",
    complex128: "c10::complex<double>",
    uint8: "unsigned char",
    int8: "signed char",
    int16: "short",
    int32: "int",
    int64: "long long",
    bool_: "bool",
    uint16: "unsigned short",
    uint32: "unsigned int",
    uint64: "unsigned long",
}


def kernel_name(of: dtype) -> str:
    """The name of a dtype in the errors of PyTorch's kernels.

    >>> kernel_name(int64), kernel_name(float32)
    ('long int', 'float')
    """
    return {int64: "long int", int16: "short int"}.get(of, C_NAMES[of])


_OF_PYTHON = {bool: bool_, int: int64, float: float64, complex: complex128}


def as_dtype(given: Any, function: str = "") -> dtype:
    """The given dtype, or the dtype for a Python number type.

    Args:
      given: the dtype or type.
      function: the called function's name, for the error.

    Raises:
      TypeError: `given` is neither.

    >>> as_dtype(float)
    torch.float64
    """
    if isinstance(given, dtype):
        return given
    known = _OF_PYTHON.get(given) if isinstance(given, type) else None
    if known is None:
        raise TypeError(
            f"{function}(): argument 'dtype' must be torch.dtype, not {type(given).__name__}"
        )
    return known


def from_numpy_dtype(numpy_dtype: Any) -> dtype:
    """The `dtype` stored as `numpy_dtype` (anything `np.dtype` accepts, either byte order).

    Raises:
      TypeError: PyTorch has no such element type, or JAX cannot hold it.

    >>> from_numpy_dtype("float32"), from_numpy_dtype(np.bool_)
    (torch.float32, torch.bool)
    """
    wanted = np.dtype(numpy_dtype)
    found = _BY_NUMPY.get(wanted) or _BY_NUMPY.get(wanted.newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{wanted.type.__name__}. The only supported types are: "
            "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        )
    return found


# ---------------------------------------------------------------------------- default dtype

_default_dtype = float32
_forgotten: list[dict[Any, Any]] = []


def forgotten_with_default_dtype(cache: dict[Any, Any]) -> dict[Any, Any]:
    """Empty a cache whenever the default dtype changes, because its entries depend on it; returns the cache."""
    _forgotten.append(cache)
    return cache


def get_default_dtype() -> dtype:
    """The dtype of a tensor made from Python floats: float32 until set otherwise."""
    return _default_dtype


def set_default_dtype(new: dtype) -> None:
    """Make `new` the dtype of tensors made from Python floats, in every thread.

    Raises:
      TypeError: `new` is not a floating-point dtype.

    >>> set_default_dtype(float64)
    >>> get_default_dtype()
    torch.float64
    >>> set_default_dtype(float32)
    """
    global _default_dtype
    message = "only floating-point types are supported as the default type"
    if not isinstance(new, dtype):
        raise TypeError(f"invalid dtype object: {message}")
    if not new.is_floating_point:
        raise TypeError(message)
    new.numpy_dtype  # noqa: B018 (there may be no tensors of it)
    _default_dtype = new
    for cache in _forgotten:
        cache.clear()


# ---------------------------------------------------------------------------- promotion

_BOOL, _INTEGER, _FLOAT, _COMPLEX = range(4)


def _category(of: dtype) -> int:
    if of.is_complex:
        return _COMPLEX
    if of.is_floating_point:
        return _FLOAT
    return _BOOL if of is bool_ else _INTEGER


@functools.cache
def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype to which PyTorch converts both, whatever their values.

    Raises:
      TypeError: an argument is not a `dtype`.
      RuntimeError: one is uint16, uint32 or uint64, and the other is another integer dtype.

    >>> promote_types(int64, float16), promote_types(uint8, int8)
    (torch.float16, torch.int16)

    Behaviour: https://pytorch.org/docs/stable/generated/torch.promote_types.html
    """
    for position, each in enumerate((type1, type2), start=1):
        if not isinstance(each, dtype):
            raise TypeError(
                f"promote_types(): argument 'type{position}' (position {position}) must be "
                f"torch.dtype, not {type(each).__name__}"
            )
    if type1 is type2:
        return type1
    if type1 in FLOAT8 or type2 in FLOAT8:
        raise RuntimeError(
            "Promotion for Float8 Types is not supported, attempted to promote "
            f"{type1.scalar_type} and {type2.scalar_type}"
        )
    low, high = sorted((type1, type2), key=_category)
    if _category(high) == _INTEGER and (low in UNSIGNED or high in UNSIGNED):
        raise RuntimeError(
            f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote {type1.scalar_type} and "
            f"{type2.scalar_type}"
        )
    if _category(low) < _category(high):
        wide = float64 in (low, high) or high is complex128
        return complex128 if high.is_complex and wide else high
    if {low, high} == {uint8, int8}:
        return int16
    if {low, high} == {float16, bfloat16}:
        return float32
    return max(low, high, key=lambda each: (each.itemsize, each.is_signed))


def scalar_category_dtype(python_type: type) -> dtype:
    """The dtype that a Python or NumPy scalar of `python_type` stands for in type promotion.

    Raises:
      TypeError: not the type of a number.

    >>> scalar_category_dtype(bool), scalar_category_dtype(int), scalar_category_dtype(float)
    (torch.bool, torch.int64, torch.float32)
    """
    return _scalar_dtype(python_type, _default_dtype)


@functools.cache
def _scalar_dtype(python_type: type, default: dtype) -> dtype:
    if issubclass(python_type, bool | np.bool_):
        return bool_
    if issubclass(python_type, numbers.Integral):
        return int64
    if issubclass(python_type, numbers.Real):
        return default
    if issubclass(python_type, numbers.Complex):
        return default.to_complex()
    raise TypeError(f"expected a number, not {python_type.__name__}")


def result_dtype(
    dimensioned: Iterable[dtype] = (),
    zero_dimensional: Iterable[dtype] = (),
    scalars: Iterable[type] = (),
) -> dtype:
    """The dtype in which PyTorch computes an operation on these operands.

    Tensors with dimensions decide; a 0-d tensor, then a Python scalar, changes the result only if
    its category (bool < integer < floating point < complex) is higher.

    Args:
      dimensioned: dtypes of the operands that have at least one dimension.
      zero_dimensional: dtypes of the 0-d tensors.
      scalars: types of the Python scalars, such as `type(2.5)`.

    Raises:
      ValueError: no operand at all.
      TypeError: a scalar's type is not a number's, or the result would be complex32.

    >>> result_dtype([float32], [float64], [int])
    torch.float32
    >>> result_dtype([int32], scalars=[float])
    torch.float32

    Behaviour: https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
    """
    return _result_dtype(
        tuple(dimensioned), tuple(zero_dimensional), tuple(scalars), _default_dtype
    )


@functools.lru_cache(maxsize=4096)
def _result_dtype(
    dimensioned: tuple[dtype, ...],
    zero_dimensional: tuple[dtype, ...],
    scalars: tuple[type, ...],
    default: dtype,
) -> dtype:
    if any(_category(each) >= _FLOAT for each in dimensioned + zero_dimensional):
        # A tensor sets the precision here, so a scalar's precision does not matter. It may not even
        # exist: with float16 as the default, a complex scalar has no dtype.
        default = float32
    by_priority = (
        dimensioned,
        zero_dimensional,
        tuple(_scalar_dtype(each, default) for each in scalars),
    )
    groups = [functools.reduce(promote_types, group) for group in by_priority if group]
    if not groups:
        raise ValueError("result_dtype needs at least one operand")
    return functools.reduce(lambda lower, higher: _combine(higher, lower), reversed(groups))


def _combine(higher: dtype, lower: dtype) -> dtype:
    if _category(lower) <= _category(higher):
        return higher
    if higher.is_floating_point:
        # Only complex ranks above. The operand with priority keeps its precision.
        return higher.to_complex()
    return promote_types(higher, lower)
