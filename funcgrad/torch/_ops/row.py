"""The declaration of an op: one row holds all facts of an op, and everything that users call is made from its row.

`op` declares an op by its JAX function, which has PyTorch's signature. An annotation gives each argument's role: `Array`,
`Index`, `Operand`, `Factor`, `Arrays`, `Indices`, `Dim`, `Dims` or `DType`. Any other argument is passed on unchanged. The
row gives the function and the method, `name_`, `out=`, the wrapping of dimensions, the errors, and the tests' cases.

Elementwise ops of one or two operands take a shorter path, in `elementwise`. View ops take theirs, in `views`.
"""

import inspect
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial, reduce
from typing import Annotated, Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Op, Variable, grad_mode, record
from funcgrad.engine.ops import remember
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._memory.storages import geometry_of
from funcgrad.torch._ops import casting
from funcgrad.torch._ops.out import store
from funcgrad.torch._tensor import overriding
from funcgrad.torch._tensor.in_place import check_no_overlap, in_place, watch, writable
from funcgrad.torch._tensor.kinds import Kind, is_int, is_number, kind, refusal
from funcgrad.torch._tensor.operands import (
    NUMBERS,
    check_castable,
    check_result_fits,
    compared_number,
    in_format_of,
    laid_out,
    plain_number,
    promoted,
    stored_number,
)
from funcgrad.torch._tensor.overriding import NOBODY
from funcgrad.torch._tensor.registry import NUMPY_NAMES, publish
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types import dtypes
from funcgrad.torch._types.dtypes import (
    as_dtype,
    from_numpy_dtype,
    get_default_dtype,
    int64,
    promote_types,
)
from funcgrad.torch._types.warning import warn

# ------------------------------------------------------------------------------------------- arguments


class Role(Enum):
    """The role of an argument in its op."""

    ARRAY = "a tensor, which is an input of the graph node"
    INDEX = "a tensor of indices or a mask, which is none"
    OPERAND = "a tensor, a number, or None"
    FACTOR = "a number, which does not decide the dtype"
    ARRAYS = "tensors in a sequence, inputs of the graph node"
    INDICES = "tensors of indices in a sequence, no inputs of it"
    DIM = "a dimension, counted from either end"
    DIMS = "dimensions: a number, a sequence, or None for all"
    DTYPE = "the dtype to compute in"
    STATIC = "anything that the op's code depends on"


Array = Annotated[Any, Role.ARRAY]
Index = Annotated[Any, Role.INDEX]
Operand = Annotated[Any, Role.OPERAND]
Factor = Annotated[Any, Role.FACTOR]
Arrays = Annotated[Any, Role.ARRAYS]
Indices = Annotated[Any, Role.INDICES]
Dim = Annotated[Any, Role.DIM]
Dims = Annotated[Any, Role.DIMS]
DType = Annotated[Any, Role.DTYPE]

_TENSORS = (Role.ARRAY, Role.INDEX, Role.OPERAND, Role.FACTOR)
_SEQUENCES = (Role.ARRAYS, Role.INDICES)
_MISSING: Any = object()


@dataclass(frozen=True)
class Argument:
    """One argument of an op: PyTorch's name for it, its role, its default if it has one, and the kind of a static one."""

    name: str
    role: Role
    default: Any = _MISSING
    keyword_only: bool = False
    kind: Kind | None = None
    annotation: Any = Any

    @property
    def type(self) -> Any:
        """The type that users see."""
        shown = self.annotation if self.role is Role.STATIC else _SHOWN[self.role]
        return shown | None if self.default is None and shown is not Any else shown


_NUMBER = Tensor | complex
# The types that users see, by role.
_SHOWN: dict[Role, Any] = {
    Role.ARRAY: Tensor,
    Role.INDEX: Tensor,
    Role.OPERAND: _NUMBER,
    Role.FACTOR: _NUMBER,
    Role.ARRAYS: Sequence[Tensor],
    Role.INDICES: Sequence[Tensor],
    Role.DIM: int,
    Role.DIMS: int | Sequence[int],
    Role.DTYPE: dtypes.dtype,
}


def arguments_of(function: Callable[..., Any]) -> tuple[Argument, ...]:
    """The arguments that a JAX function declares."""
    found = []
    for each in inspect.signature(function).parameters.values():
        role = next((r for r in get_args(each.annotation) if isinstance(r, Role)), Role.STATIC)
        default = _MISSING if each.default is each.empty else each.default
        static = kind(each.annotation) if role is Role.STATIC else None
        shown = Any if each.annotation is each.empty else each.annotation
        by_name = each.kind is each.KEYWORD_ONLY
        found.append(Argument(each.name, role, default, by_name, static, shown))
    return tuple(found)


# ------------------------------------------------------------------------------------------- refusals


@dataclass(frozen=True)
class Refusal:
    """Dtypes for which PyTorch has no kernel of an op, and PyTorch's error. JAX alone would compute a result.

    Attributes:
        kinds: NumPy's kind letters of the refused dtypes ("V" is bfloat16). The operands' promoted dtype is compared.
        error: the error's type.
        words: the error's text; `{}` stands for the dtype.
        but: the names of dtypes of these kinds that are not refused.
    """

    kinds: str
    error: type[Exception]
    words: str
    but: tuple[str, ...] = ()


def no_kernel(kinds: str, kernel: str, *but: str) -> Refusal:
    """The error of PyTorch's dispatch for a dtype without this kernel."""
    return Refusal(kinds, NotImplementedError, f"\"{kernel}\" not implemented for '{{}}'", but)


# ------------------------------------------------------------------------------------------- dtypes

SAME = "same"  # computed in the operands' dtype
PROMOTED = "promoted"  # the operands are converted to their promoted dtype
FLOAT = "float"  # as PROMOTED, but integers and bools are computed in the default dtype
BOOL = "bool"  # the result is bool, and has no gradient
WIDE = "wide"  # integers and bools are computed in int64
INEXACT = "inexact"  # only floating point and complex are accepted


# ------------------------------------------------------------------------------------------- the row


@dataclass(eq=False)
class Row:
    """All facts of an op.

    Attributes:
        name: PyTorch's name. Where several ops share a name, the overload follows a dot ("max.dim").
        node: the name of its graph node.
        function: the JAX function; it takes the arguments by name.
        arguments: its arguments, in PyTorch's order.
        node_of_number: the graph node's name if every given `Operand` is a number.
        kind: the table that the row belongs to; the tests use it.
        dtype: the dtype rule: `SAME`, `PROMOTED`, `FLOAT`, `BOOL`, `WIDE` or `INEXACT`.
        refuses: the refused dtypes.
        check: called with the tensors' types before the op is first traced for them; raises PyTorch's error.
        prepare: called with all arguments at each call; raises PyTorch's error, or returns the arguments to use instead.
        saves: PyTorch's names of the node's saved tensors ("self other", "result", "self result", "indices"). The node shows
            them as `_saved_*`, and none of them may be changed in place before backward.
        keeps: arguments that the node saves although the derivative does not need them; `saves` of `engine.Op`.
        named_first: see `engine.Op`.
        laid_out: whether the result takes its order in memory from the operands.
        in_format: for results that lie in memory as `channels_last` if operands do: `any` or `all`; see `in_format_of`.
        in_place: whether there is a `name_`.
        repeated: writes to an expanded tensor, which other ops refuse; takes the arguments.
        disjoint: whether `name_` refuses operands that lie in the memory that it writes to.
        out: empty if the op takes no `out=`; else `CASTS`, or the error's text for an `out` of another dtype.
        accumulates: whether float16 and bfloat16 are computed in float32, as PyTorch's kernels accumulate.
        fits: whether a floating-point number must fit the dtype; else it becomes infinite.
        exact_numbers: whether a number beside a tensor of half precision is not rounded to half precision.
        operators: the operators that it implements.
        returns: the names of the results, if it returns several tensors.
        constants: the names of the floating-point results that have no gradient.
        flat: whether the second derivative is zeros instead of None, as in PyTorch; see `engine.Op`.
        masked: for a binary elementwise op: the function of a mask and a number, if it is not `function`.
    """

    name: str
    node: str
    function: Callable[..., Any]
    arguments: tuple[Argument, ...] = ()
    node_of_number: str = ""
    kind: str = "op"
    dtype: str = SAME
    refuses: tuple[Refusal, ...] = ()
    check: Callable[..., None] | None = None
    prepare: Callable[..., Any] | None = None
    saves: str = ""
    keeps: tuple[int, ...] = ()
    named_first: tuple[int, ...] = ()
    laid_out: bool = False
    in_format: Callable[..., bool] | None = None
    in_place: bool = False
    repeated: Callable[..., Any] | None = None
    disjoint: bool = False
    out: str = ""
    accumulates: bool = False
    exact_numbers: bool = False
    fits: bool = True
    operators: tuple[str, ...] = ()
    returns: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    flat: bool = False
    masked: Callable[..., Any] | None = None
    _ops: dict[Any, Op] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.name in ROWS:
            raise ValueError(f"the op {self.name} is declared twice")
        ROWS[self.name] = self
        self.title = self.name.split(".")[0]
        self.is_part = self.title != self.name
        self.cast = self.title in casting.LOWER or self.title in casting.FLOAT32
        given = self.arguments
        self.positional = sum(not each.keyword_only for each in given)
        self.place = {each.name: k for k, each in enumerate(given)}
        for alias, name in NUMPY_NAMES.items():
            if name in self.place:
                self.place.setdefault(alias, self.place[name])
        self.arrays = [k for k, each in enumerate(given) if each.role in _TENSORS]
        # The engine's op takes the inputs of the graph node first, then the factors, then indices and masks.
        order = [Role.ARRAY, Role.OPERAND, Role.FACTOR, Role.INDEX]
        self.arrays.sort(key=lambda k: order.index(given[k].role))
        self.static = [
            k for k, each in enumerate(given) if each.role not in (*_TENSORS, *_SEQUENCES)
        ]
        self.several = next((k for k, each in enumerate(given) if each.role in _SEQUENCES), None)
        self.kinds = [(k, each.kind, each.default) for k, each in enumerate(given) if each.kind]
        self.result = return_type(self.title, self.returns) if self.returns else None
        self.watches = self.saves.split()
        names = [given[k].name for k in self.arrays]
        self.watches_arguments = any(name in self.watches for name in ("self", *names))
        for node in (self.node, self.node_of_number):
            if node and self.watches:
                SAVED.setdefault(node, {}).update(_saved_places(self.watches, names))

    def fingerprint(self) -> str:
        """The row, by its name, for the engine's `fingerprints`."""
        return self.name

    # -- the engine's op ------------------------------------------------------------------------------------------

    def refuse(self, *avals: Aval, computed: Any = None) -> None:
        """Check that PyTorch has this op for these types.

        Raises:
            Exception: the error of the `Refusal` that applies.
        """
        if not self.refuses:
            return
        given = [aval.dtype for aval in avals] if computed is None else [computed]
        found = reduce(promote_types, map(from_numpy_dtype, given))
        for each in self.refuses:
            if found.numpy_dtype.kind in each.kinds and found.name not in each.but:
                raise each.error(each.words.format(found.scalar_type))

    def op(self, *static: Any, given: tuple[Any, ...] = (), computed: Any = None, stored: Any = None) -> Op:  # fmt: skip
        """The engine's op for these static arguments.

        Args:
            static: the values of the arguments that are not tensors, in their order.
            given: the form of each argument that may be a tensor: "" for a tensor, "number" for a number, or None.
            computed, stored: the NumPy dtypes to convert the operands and the result to.
        """
        key = (static, given, computed, stored)
        known = self._ops.get(key)
        return known if known is not None else remember(self._ops, key, self._made(*key), 4096)

    def _made(self, static: Any, given: Any, computed: Any, stored: Any) -> Op:
        names, roles = [a.name for a in self.arguments], [a.role for a in self.arguments]
        present = [k for k in self.arrays if self._is_given(k, given)]
        bound = {names[k]: None for k in self.arrays if k not in present}
        bound |= {names[k]: value for k, value in zip(self.static, static, strict=True)}
        several = None if self.several is None else names[self.several]

        def function(*arrays: Any) -> Any:
            if computed is not None:
                arrays = tuple(
                    [
                        a
                        if k < len(present) and self._is_kept(roles[present[k]], computed)
                        else a.astype(computed)
                        for k, a in enumerate(arrays)
                    ]
                )
            made = compute(*arrays)
            if stored is None or isinstance(made, tuple):
                return made
            real = stored.kind == "c" and not jnp.iscomplexobj(made)  # such as a distance
            return made if real else made.astype(stored)

        def compute(*arrays: Any) -> Any:
            found = {names[k]: array for k, array in zip(present, arrays, strict=False)}
            if several is not None:
                found[several] = arrays[len(present) :]
            return self.function(**found, **bound)

        if self.accumulates:
            compute = accumulating(compute)
        of = [roles[k] for k in present]
        kinds = [given[self.arrays.index(k)] for k in present if given and roles[k] is Role.OPERAND]
        of_number = bool(self.node_of_number) and "" not in kinds
        numbers = kinds.count("number") if of_number else 0
        indexed = Role.INDEX in of or (several is not None and roles[self.several] is Role.INDICES)  # type: ignore[index]
        many = several is not None and not indexed
        counted = None if many else len(of) - of.count(Role.FACTOR) - of.count(Role.INDEX) - numbers

        stored_as = self._stored_dtype(static)
        operands = None if many else len(of) - of.count(Role.INDEX)

        def check(*avals: Aval) -> None:
            self.refuse(*avals[:operands], computed=stored_as)
            if self.check is not None:
                self.check(*avals)

        return Op(
            self.title,
            function,
            label=self.node_of_number if of_number else self.node,
            check=check,
            counted=counted,
            constants_from=counted if (Role.FACTOR in of or numbers) and not indexed else None,
            # An index or a mask comes last. It is saved even if it is empty, so that backward has something to free.
            saves=(*self.keeps, -1) if indexed else self.keeps,
            named_first=self.named_first,
            flat=self.flat,
        )

    def _is_kept(self, role: Role, computed: np.dtype) -> bool:
        """Whether an argument is not converted to the dtype of the computation."""
        exact = role is Role.FACTOR and self.exact_numbers and computed in HALF
        return exact or role is Role.INDEX

    def _is_given(self, k: int, given: tuple[Any, ...]) -> bool:
        return not given or given[self.arrays.index(k)] is not None

    def _stored_dtype(self, static: tuple[Any, ...]) -> Any:
        for k, value in zip(self.static, static, strict=True):
            if self.arguments[k].role is Role.DTYPE:
                return value
        return None

    def signature(self, in_place: bool = False) -> inspect.Signature:
        """PyTorch's signature of the function, or of the in-place method."""
        kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        found = [
            inspect.Parameter(
                "self" if in_place and not k else each.name,
                kinds[each.keyword_only],
                default=inspect.Parameter.empty if each.default is _MISSING else each.default,
                annotation=each.type,
            )
            for k, each in enumerate(self.arguments)
        ]
        if self.out and not in_place:
            out = tuple[Tensor, ...] if self.returns else Tensor
            found.append(inspect.Parameter("out", kinds[1], default=None, annotation=out | None))
        return inspect.Signature(found, return_annotation=self.result or Tensor)

    # -- a call ---------------------------------------------------------------------------------------------------

    def bound(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
        """The values of all arguments.

        Raises:
            TypeError: there are too many or too few arguments, or one is unknown.
        """
        count = len(args)
        if count > self.positional:
            last = self.arguments[self.positional - 1]
            if last.role is Role.DIMS:
                args = (*args[: self.positional - 1], tuple(args[self.positional - 1 :]))
            elif (old := self._in_old_form(args)) is not None:
                args, kwargs = old[0], old[1] | kwargs
            else:
                raise TypeError(
                    f"{self.title}() takes {self.positional} positional arguments but {count} were given"
                )
            count = self.positional
        values = [*args, *[each.default for each in self.arguments[count:]]]
        for name, value in kwargs.items():
            k = self.place.get(name)
            if k is None:
                raise TypeError(f"{self.title}() got an unexpected keyword argument '{name}'")
            if k < count or (name != self.arguments[k].name and self.arguments[k].name in kwargs):
                raise TypeError(f"{self.title}() got multiple values for argument '{name}'")
            values[k] = value
        missing = [a.name for a, v in zip(self.arguments, values, strict=True) if v is _MISSING]
        if missing:
            listed = ", ".join(f'"{name}"' for name in missing)
            raise TypeError(
                f"{self.title}() missing {len(missing)} required positional arguments: {listed}"
            )
        return values

    def _in_old_form(self, args: Sequence[Any]) -> tuple[list[Any], dict[str, Any]] | None:
        """The arguments of PyTorch's deprecated form, in which a factor comes before the tensor that it multiplies.

        They are `addcmul(input, value, tensor1, tensor2)` and `addmm(beta, input, alpha, mat1, mat2)`, where `alpha` may be left
        out. None if these are no such arguments.
        """
        factors = [a.name for a in self.arguments if a.keyword_only and a.role is Role.FACTOR]
        places = [k for k, each in enumerate(args) if is_number(each)]
        rest = [each for k, each in enumerate(args) if k not in places]
        # A method has its tensor first, and `beta` then.
        forms = {1: ([1],), 2: ([0], [1], [0, 2], [1, 2])}.get(len(factors), ())
        if places not in forms or len(rest) != self.positional:
            return None
        given = dict(zip(factors, [args[k] for k in places], strict=False))
        tell_of_old_form(self.title, list(given))
        return rest, given

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The op as a function."""
        out = kwargs.pop("out", None) if self.out else None
        return (
            self.called(args, kwargs) if out is None else self._store(out, self.bound(args, kwargs))
        )

    def called(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """The op as a method, which has no `out`."""
        values = self.bound(args, kwargs)
        if self.cast and casting.now.dtype is not None:
            values = casting.cast(self.title, values)
        return self._recorded(values, None)

    def stored(self, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The op with its result stored in its first argument."""
        values = self.bound((target, *args), kwargs)
        if self.repeated is not None and geometry_of(target._storage).repeats:
            return self.repeated(*values)
        return self._recorded(values, target)

    def _store(self, out: Any, values: list[Any]) -> Any:
        several = values[self.several] if self.several is not None else ()
        tensors = [*values, *several]
        if self.result is None or not isinstance(out, (tuple, list)):
            return store(self.title, out, tensors, lambda: self._recorded(values, None), self.out)
        with grad_mode(False):
            found = self._recorded(values, None)
        if len(out) != len(found):
            raise TypeError(f"expected tuple of {len(found)} elements but got {len(out)}")
        pairs = zip(out, found, strict=True)
        return self.result(*[store(self.title, each, tensors, partial(_same, of), self.out) for each, of in pairs])  # fmt: skip

    def _recorded(self, values: list[Any], target: Tensor | None) -> Any:
        self._check_tensors(values)
        several = () if self.several is None else values[self.several]
        tensors = (*[values[k] for k in self.arrays], *several)
        first = next((each for each in tensors if isinstance(each, Tensor)), None)
        for k in self.static:
            role, value = self.arguments[k].role, values[k]
            if role is Role.DIM and first is not None and self.several is None:
                missing = value is None and (self.is_part or self.arguments[k].default is None)
                values[k] = None if missing else wrap_dim(as_index(self, k, value), first.ndim)
            elif role is Role.DIMS:
                self._check_dims(k, value)
                dims = wrapped_dims(value, first.ndim)  # type: ignore[union-attr]
                values[k] = dims if first.ndim else None  # type: ignore[union-attr]
            elif role is Role.DTYPE:
                values[k] = self.computed_dtype(first, value)  # type: ignore[arg-type]
            elif isinstance(value, Tensor):
                values[k] = plain_number(value, self.title, *self._named(k))
        if self.prepare is not None:
            values = self.prepare(*values) or values
        several = () if self.several is None else values[self.several]
        computed = self._computed(values, several) if self.dtype in (PROMOTED, FLOAT) else None
        to = first.dtype if computed is None and first is not None else computed
        operands, given = self._operands(values, to)  # type: ignore[arg-type]
        static = tuple([values[k] for k in self.static])
        if target is not None:
            return self._in_place(target, operands, static, given, computed)
        wanted = None if computed is None else computed.numpy_dtype
        op = self.op(*static, given=given, computed=wanted, stored=wanted)
        operands.extend(several)
        return self._finished(record(op, operands), operands)

    def _computed(self, values: list[Any], several: Sequence[Tensor]) -> dtypes.dtype:
        """The dtype that the operands decide together."""
        deciding = (Role.ARRAY, Role.OPERAND)
        operands = [values[k] for k in self.arrays if self.arguments[k].role in deciding]
        found = promoted((*[each for each in operands if each is not None], *several))
        inexact = found.is_floating_point or found.is_complex
        return found if inexact or self.dtype is PROMOTED else get_default_dtype()

    def _named(self, k: int) -> tuple[str, int]:
        """The name of an argument, and its position as errors give it."""
        argument = self.arguments[k]
        return argument.name, 0 if argument.keyword_only else k + 1

    def _check_tensors(self, values: list[Any]) -> None:
        for k, (argument, value) in enumerate(zip(self.arguments, values, strict=True)):
            role = argument.role
            if role is Role.ARRAY or role is Role.INDEX:
                fits = isinstance(value, Tensor) or (value is None and argument.default is None)
            elif role is Role.OPERAND:
                fits = isinstance(value, (Tensor, *NUMBERS)) or (
                    value is None and (argument.default is None or self.is_part)
                )
            elif role is Role.FACTOR:
                if not is_number(value):
                    raise refusal(self.title, *self._named(k), "Number", value)
                continue
            else:
                continue
            if not fits:
                raise refusal(self.title, argument.name, k + 1, "Tensor", value)
        for k, static, default in self.kinds:
            value = values[k]
            if type(value) not in static.known and value is not default and not static.fits(value):
                raise refusal(self.title, *self._named(k), static.name, value)

    def _check_dims(self, k: int, value: Any) -> None:
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if not (is_int(each) or each is None is value):
                raise refusal(self.title, *self._named(k), "tuple of ints", value)

    def _operands(
        self, values: list[Any], to: dtypes.dtype
    ) -> tuple[list[Variable], tuple[Any, ...]]:
        """The tensor arguments, with numbers made 0-d variables of a dtype; and the form in which each was given."""
        tensors: list[Variable] = []
        given: list[Any] = []
        exact = self.exact_numbers and to.numpy_dtype in HALF
        aval = Aval((), np.dtype(np.float32) if exact else to.numpy_dtype)
        for k in self.arrays:
            value = values[k]
            if isinstance(value, Tensor):
                tensors.append(value)
                given.append("")
            elif value is None:
                given.append(None)
            else:
                tensors.append((stored_number if self.fits else compared_number)(value, aval))
                given.append("number")
        return tensors, tuple(given)

    def _in_place(self, target: Tensor, tensors: list[Variable], static: Any, given: Any, computed: Any) -> Tensor:  # fmt: skip
        others = tensors[1:]
        writable(target, *others, name=f"{self.title}_")
        if self.disjoint:
            for each in others:
                check_no_overlap(target, each, whole=True)
        avals = (target._storage.aval, *[each._storage.aval for each in others])
        wanted = None
        if computed is not None:
            wanted = computed.numpy_dtype
            self.refuse(*avals)
            check_castable(computed, target.dtype)
        op = self.op(*static, given=given, computed=wanted, stored=target.dtype.numpy_dtype if wanted else None)  # fmt: skip
        check_result_fits(avals[0].shape, op.types(avals)[0].shape)
        return in_place(op, target, *others)

    def _finished(self, made: Any, operands: Sequence[Variable]) -> Any:
        """Make tensors of the recorded results: laid out, and watched if PyTorch's node saves a result."""
        if isinstance(made, tuple):
            result = tensor_of(*made)
            if self.laid_out:
                laid_out(result, *operands)
            elif self.in_format is not None:
                in_format_of(result, operands, self.in_format)
            if "result" in self.watches:
                watch(result._node, result._storage, arguments=self.watches_arguments)
            return result
        results = [tensor_of(*each) for each in made]
        if self.laid_out:
            results = [laid_out(each, *operands) for each in results]
        elif self.in_format is not None:
            for each in results:
                in_format_of(each, operands, self.in_format)
        pairs = zip(self.returns, results, strict=True) if self.watches else ()
        watched = [each._storage for name, each in pairs if name in self.watches]
        if watched:
            watch(results[0]._node, *watched, arguments=self.watches_arguments)
        for name in self.constants:
            results[self.returns.index(name)]._node = None
        return self.result(*results) if self.result else tuple(results)

    def computed_dtype(self, input: Tensor, wanted: Any) -> np.dtype:
        """The NumPy dtype that an op with `dtype=` computes in."""
        if wanted is not None:
            return as_dtype(wanted).numpy_dtype
        given = input.dtype
        inexact = given.is_floating_point or given.is_complex
        return (int64 if self.dtype is WIDE and not inexact else given).numpy_dtype


def accumulating(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, computed in float32 if an array is in half precision."""

    def wide(*arrays: Any) -> Any:
        half = next((a.dtype for a in arrays if a.dtype in HALF), None)
        if half is None:
            return function(*arrays)
        made = function(*[a.astype(np.float32) if a.dtype == half else a for a in arrays])
        return jax.tree.map(lambda a: a.astype(half) if a.dtype == np.float32 else a, made)

    return wide


HALF = (dtypes.float16.numpy_dtype, dtypes.bfloat16.numpy_dtype)
ROWS: dict[str, Row] = {}


def rows(kind: str) -> list[Row]:
    """The rows of a kind: "unary", "binary", "reduction", "bits", "view", "op", ..."""
    return [row for row in ROWS.values() if row.kind == kind]


# For each node's name: PyTorch's name of each saved tensor, with its place among the op's arguments (-1: the result).
SAVED: dict[str, dict[str, int]] = {}


def _saved_places(saved: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    places = {"self": 0, "result": -1} | {name: k for k, name in enumerate(names)}
    return {name: places[name] for name in saved if name in places}


def _same(of: Tensor) -> Tensor:
    return of


# Ops whose deprecated form was met.
OLD_FORMS: set[str] = set()


def tell_of_old_form(name: str, factors: Sequence[str]) -> None:
    """Warn, once for an op, of a form that PyTorch deprecates: factors among the tensors."""
    if name not in OLD_FORMS:
        OLD_FORMS.add(name)
        given = " and ".join(f"{each}=" for each in factors)
        warn(f"This overload of {name} is deprecated: give {given} by name, after the tensors")


def return_type(name: str, fields: tuple[str, ...]) -> Any:
    """The named tuple that `torch.return_types` has for an op."""

    def show(self: Any) -> str:
        listed = ",\n".join(f"{key}={getattr(self, key)!r}" for key in fields)
        return f"torch.return_types.{name}(\n{listed})"

    kind = namedtuple(name, fields)  # type: ignore[misc]
    facts = {"__slots__": (), "__repr__": show, "__module__": "funcgrad.torch.return_types"}
    return type(name, (kind,), facts)


def as_index(row: Row, k: int, value: Any) -> int:
    """A dimension as a Python integer.

    Raises:
        TypeError: the value is not an integer.
    """
    if not is_int(value):
        raise refusal(row.title, row.arguments[k].name, k + 1, "int", value)
    return int(value)


def wrapped_dims(dim: Any, ndim: int) -> tuple[int, ...] | None:
    """Dimensions counted from the front; None for all.

    Raises:
        IndexError: a dimension is out of range.
        RuntimeError: a dimension is named twice.
    """
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return None
    given = dim if isinstance(dim, (tuple, list)) else (dim,)
    dims = tuple([wrap_dim(each, ndim) for each in given])
    if len(set(dims)) < len(dims):
        twice = next(each for each in dims if dims.count(each) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return dims


# ------------------------------------------------------------------------------------------- declaring


def op(
    name: str,
    node: str,
    *,
    aliases: tuple[str, ...] = (),
    function: bool = True,
    method: bool = True,
    **facts: Any,
) -> Callable[[Callable[..., Any]], Row]:
    """Declare an op by its JAX function; see `Row` for the facts.

    Args:
        name: PyTorch's name. "name.overload" publishes nothing; a function written by hand calls it.
        node: the graph node's name.
        aliases: PyTorch's other names for the op.
        function, method: whether the op is a function of `torch` and a method of `Tensor`.
        facts: the row's other fields.
    """

    def declare(of: Callable[..., Any]) -> Row:
        row = Row(name, node, of, arguments_of(of), **facts)
        if "." not in name:
            method_too = method and row.several is None
            publish_row(row, (name, *aliases), of.__doc__, function=function, method=method_too)
        return row

    return declare


def apart(name: str, node: str, **facts: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare an op of a module such as `torch.linalg`: the decorated JAX function becomes the function that users call.

    Args:
        name: PyTorch's name of the op, such as `linalg_inv`.
        node: the graph node's name.
        facts: the row's other fields.
    """

    def declare(of: Callable[..., Any]) -> Callable[..., Any]:
        row = Row(name, node, of, arguments_of(of), **facts)
        return function_of(row, of.__doc__)

    return declare


def function_of(row: Row, doc: str | None) -> Callable[..., Any]:
    """The function of an op that users call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if overriding.begun and (found := overriding.answer(call, args, kwargs)) is not NOBODY:
            return found
        try:
            return row(*args, **kwargs)
        except TypeError:
            if (found := overriding.answer(call, args, kwargs)) is not NOBODY:
                return found
            raise

    call.__signature__ = row.signature()  # type: ignore[attr-defined]
    return named(call, row.title, doc)


def publish_row(
    row: Row, names: Sequence[str], doc: str | None, *, function: bool = True, method: bool = True
) -> None:
    """Publish an op as a function, as a method, and in place."""

    def call_in_place(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return row.stored(self, *args, **kwargs)

    def call_method(*args: Any, **kwargs: Any) -> Any:
        return row.called(args, kwargs)

    if function:
        publish(function_of(row, doc), *names, method=False, checks_input=True)
    if method:
        call_method.__signature__ = row.signature(in_place=True)  # type: ignore[attr-defined]
        publish(named(call_method, row.title, doc), *names, function=False, checks_input=True)
    if row.in_place:
        call_in_place.__signature__ = row.signature(in_place=True)  # type: ignore[attr-defined]
        stored = named(
            call_in_place, f"{row.title}_", f"`{row.title}`, stored in the tensor itself."
        )
        publish(stored, *[f"{name}_" for name in names], function=False)


def named(function: Callable[..., Any], name: str, doc: str | None = None) -> Callable[..., Any]:
    """Give a function the name and the docstring that users see."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc or f"As `torch.{name}`."
    return function
