"""The call of an elementwise op of one or two operands: a short path from operands to a recorded op.

Training steps consist mostly of these ops, so their functions and operators find the engine's op by the operands' types
alone. The declarations are in `pointwise` and `powers`.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from funcgrad.engine import Aval, Leaf, Op, Variable, grad_mode, local
from funcgrad.engine.ops import remember
from funcgrad.engine.unrolled import record_one, record_two
from funcgrad.torch._ops.out import CASTS, store
from funcgrad.torch._ops.row import (
    BOOL,
    FLOAT,
    HALF,
    Argument,
    Role,
    Row,
    accumulating,
    named,
)
from funcgrad.torch._ops.undifferentiable import without_derivative
from funcgrad.torch._tensor import overriding
from funcgrad.torch._tensor.in_place import check_present, in_place, watch, writable, write
from funcgrad.torch._tensor.operands import (
    NUMBERS,
    check_broadcast,
    check_castable,
    check_result_fits,
    compared_number,
    laid_out,
    number,
    of_array,
    promoted,
)
from funcgrad.torch._tensor.overriding import NOBODY
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._tensor.view import as_it_was
from funcgrad.torch._types.dtypes import (
    dtype,
    forgotten_with_default_dtype,
    from_numpy_dtype,
    get_default_dtype,
)

_INPUT = Argument("input", Role.ARRAY)


def elementwise(
    name: str,
    function: Callable[..., Any],
    node: str,
    dtype: str,
    *,
    operands: int,
    other: str = "other",
    public: bool = True,
    numbers: str = "second",
    aliases: tuple[str, ...] = (),
    reflected: tuple[str, ...] = (),
    in_place_operator: str = "",
    guard: Callable[[Any, Any], None] | None = None,
    of_number: "Elementwise | None" = None,
    differentiable: bool = True,
    untracked: bool = False,
    **facts: Any,
) -> "Elementwise":
    """Declare an elementwise op of one or two operands.

    Args:
        name, function, node, dtype: as in `Row`; the function takes the arrays in order.
        operands: one or two.
        other: the second operand's name.
        public: whether to publish the op; if not, a function written by hand calls it.
        numbers: the operand that may be a Python number: "both" at once, "either", "second" or "neither".
        aliases: PyTorch's other names.
        reflected: the operators for a number on the left.
        in_place_operator: the augmented assignment.
        guard: called with the two operands at each call; raises PyTorch's error for their values.
        of_number: the row for a number as the second operand, if its node has another name.
        differentiable: whether PyTorch has a derivative of the op.
        untracked: whether the form in place leaves the graph of the tensor as it is.
        facts: the row's other fields.
    """
    facts.setdefault("in_place", True)
    facts.setdefault("accumulates", True)
    facts.setdefault("out", CASTS)
    table = "part" if "." in name else ("unary", "binary")[operands - 1]
    facts.setdefault("kind", table if differentiable else "without derivative")
    row = Row(
        name,
        node,
        function,
        (_INPUT, Argument(other, Role.OPERAND))[:operands],
        dtype=dtype,
        laid_out=True,
        **facts,
    )
    made = Elementwise(row, numbers, in_place_operator, guard, differentiable, untracked)
    made.of_second_number = of_number or made
    if public:
        made.publish((name, *aliases), reflected)
    return made


def _own_doc(function: Callable[..., Any]) -> str | None:
    """The documentation of a function that is written here; JAX's functions describe JAX's."""
    return function.__doc__ if function.__module__.startswith("funcgrad") else None


class Elementwise:
    """A callable row: it has one engine op for each pair (computed dtype, stored dtype), found by the operands' types."""

    def __init__(
        self,
        row: Row,
        takes_numbers: str,
        augmented: str,
        guard: Callable[[Any, Any], None] | None,
        differentiable: bool,
        untracked: bool,
    ) -> None:
        self.row = row
        self.takes_numbers, self.augmented = takes_numbers, augmented
        self.guard, self.differentiable, self.untracked = guard, differentiable, untracked
        self.of_second_number = self
        self.ops: dict[Any, Op] = {}
        # By the `kind` of each type: the op does not depend on lengths.
        self.by_types: dict[tuple[int, ...], Op] = forgotten_with_default_dtype({})
        self.in_place_by_types: dict[tuple[Aval, ...], Op] = forgotten_with_default_dtype({})
        self.numbers: dict[tuple[Aval, type], Aval] = forgotten_with_default_dtype({})
        self.saves_result = "result" in row.watches
        self.number = compared_number if row.dtype is BOOL else number

    def publish(self, names: tuple[str, ...], reflected: tuple[str, ...]) -> None:
        """Publish the op as a function, a method, an operator, and in place."""
        row = self.row
        unary = len(row.arguments) == 1
        doc = _own_doc(row.function)
        function = named(self.unary() if unary else self.binary(), row.name, doc)
        publish(function, *names, checks_input=True)
        for each in row.operators:
            operator = named(self.unary(), each, doc) if unary else self.operator()
            publish(operator, each, function=False)
        for each in reflected:
            publish(self.reflected(), each, function=False)
        if row.in_place:
            self.publish_in_place(self.in_place_method(), names)

    def publish_in_place(self, method: Callable[..., Tensor], names: tuple[str, ...]) -> None:
        """Publish the op's in-place form, and its augmented assignment."""
        doc = f"`{self.row.title}`, stored in the tensor itself."
        publish(
            named(method, f"{self.row.title}_", doc),
            *[f"{name}_" for name in names],
            function=False,
        )
        if self.augmented:
            publish(self.in_place_operator(), self.augmented, function=False)

    # -- the engine's op ------------------------------------------------------------------------------------------

    def op(self, compute: dtype | None, store: dtype | None) -> Op:
        """The op that computes in one dtype and stores in another; None keeps the dtype."""
        known = self.ops.get((compute, store))
        if known is None:
            row = self.row
            # Half precision is rounded once, at the end, as in PyTorch's kernels.
            function, masked = row.function, row.masked
            if row.accumulates:
                function = accumulating(function)
            exact = row.exact_numbers and compute is not None and compute.numpy_dtype in HALF

            def cast(*arrays: Any) -> Any:
                bools = [array.dtype == bool for array in arrays]
                if compute is not None:
                    arrays = tuple(
                        array
                        if exact and array.dtype == np.float32 and not array.ndim
                        else array.astype(compute.numpy_dtype)
                        for array in arrays
                    )
                if masked is not None and any(bools) and not all(bools):
                    mask, other = arrays if bools[0] else arrays[::-1]
                    result = masked(mask != 0, other)
                else:
                    result = function(*arrays)
                return result if store is None else result.astype(store.numpy_dtype)

            def check(*avals: Aval) -> None:
                row.refuse(*avals)
                (row.check or check_broadcast)(*avals)

            plain = compute is None and store is None
            known = self.ops[compute, store] = Op(
                row.title,
                function if plain else cast,
                label=row.node,
                check=check,
                flat=row.flat,
            )
        return known

    def computed_in(self, operands: tuple[Any, ...]) -> dtype:
        """The dtype that PyTorch computes in."""
        found = promoted(operands)
        if self.row.dtype is FLOAT and not (found.is_floating_point or found.is_complex):
            return get_default_dtype()
        return found

    def for_types(self, *operands: Variable) -> Op:
        """The op for tensors of these types."""
        avals = tuple(operand._storage.aval for operand in operands)
        compute = self.computed_in(operands)
        same = all(aval.dtype == compute.numpy_dtype for aval in avals)
        op = self.op(None if same else compute, None)
        return remember(self.by_types, tuple([aval.kind for aval in avals]), op)

    def number_type(self, a: Variable, value: Any) -> Aval:
        """The type that a Python number takes beside `a`."""
        if self.row.check is not None:
            self.row.check(a._storage.aval, Aval((), promoted((value,)).numpy_dtype))
        dtype = self.computed_in((a, value)).numpy_dtype
        # Beside a 0-d tensor a wider number would decide the dtype.
        mine = a._storage.aval
        if self.row.exact_numbers and dtype in HALF and mine.dtype in HALF and mine.shape:
            dtype = np.dtype(np.float32)
        aval = Aval((), dtype)
        return remember(self.numbers, (a._storage.aval, type(value)), aval)

    def number_beside(self, a: Variable, value: Any) -> Variable:
        """A Python number as a 0-d variable beside `a`."""
        aval = self.numbers.get((a._storage.aval, type(value))) or self.number_type(a, value)
        return self.number(value, aval)

    # -- functions and operators ----------------------------------------------------------------------------------

    def unary(self) -> Callable[..., Tensor]:
        """The op as a function of one tensor."""
        by_types, name, saves_result = self.by_types, self.row.name, self.saves_result
        dtype_of_out = self.row.out

        def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
            if overriding.begun or not isinstance(input, Tensor):
                more = {} if out is None else {"out": out}
                if (found := overriding.answer(function, (input,), more)) is not NOBODY:
                    return found
            if not isinstance(input, Tensor):
                raise TypeError(
                    f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
                )
            if out is not None:
                return store(name, out, (input,), lambda: function(input), dtype_of_out)
            storage = input._storage
            op = by_types.get(((storage.value or storage).aval.kind,)) or self.for_types(input)
            result = tensor_of(*record_one(op, input))
            if storage.is_part:
                laid_out(result, input)
            if saves_result:
                watch(result._node, result._storage)
            return result

        return function

    def binary(self) -> Callable[..., Tensor]:
        """The op as a function of two operands."""
        operator, second_too = self.operator(), self.takes_numbers != "neither"

        def function(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
            if overriding.begun or not isinstance(input, Tensor):
                more = {} if out is None else {"out": out}
                if (found := overriding.answer(function, (input, other), more)) is not NOBODY:
                    return found
            if out is not None:
                return store(self.row.title, out, (input, other), lambda: function(input, other))
            if not isinstance(input, Tensor):
                return self.of_number(input, other)
            if not second_too and not isinstance(other, Tensor):
                raise self.must_be_tensor("other", 2, other)
            result = operator(input, other)
            if result is NotImplemented:
                if (found := overriding.answer(function, (input, other), {})) is not NOBODY:
                    return found
                raise self.must_be_tensor("other", 2, other)
            return result

        return function

    def must_be_tensor(self, name: str, position: int, given: Any) -> TypeError:
        """The error for an operand that is not a tensor."""
        kind = type(given).__name__
        return TypeError(
            f"{self.row.title}(): argument '{name}' (position {position}) must be Tensor, not {kind}"
        )

    def of_number(self, input: Any, other: Any) -> Tensor:
        """The op of a Python number and a tensor, or of two numbers, which then make a tensor.

        Raises:
            TypeError: PyTorch's function takes no number first, or the second operand is not a tensor.
        """
        if self.takes_numbers not in ("both", "either") or not isinstance(input, NUMBERS):
            raise self.must_be_tensor("input", 1, input)
        first = self.first_number(input, other)
        if isinstance(other, Tensor):
            return self.computed(first, other)
        if self.takes_numbers == "either" or not isinstance(other, NUMBERS):
            raise self.must_be_tensor("other", 2, other)
        return self.computed(first, self.first_number(other, input))

    def first_number(self, value: Any, other: Any) -> Variable:
        """A Python number as a 0-d variable before `other`."""
        if isinstance(other, Tensor):
            return self.number_beside(other, value)
        return self.number(value, Aval((), promoted((value,)).numpy_dtype))

    def computed(self, first: Variable, second: Variable) -> Tensor:
        """The op of two variables."""
        if self.guard is not None:
            self.guard(first, second)

        def compute() -> Tensor:
            kinds = (first._storage.aval.kind, second._storage.aval.kind)
            op = self.by_types.get(kinds) or self.for_types(first, second)
            result = tensor_of(*record_two(op, first, second))
            if first._storage.is_part or second._storage.is_part:
                laid_out(result, first, second)
            return result

        if self.differentiable:
            return compute()
        return without_derivative(self.row.title, compute, first, second)

    def reflected(self) -> Callable[[Any, Any], Any]:
        """The operator for a number on the left, or for a tensor that a caller gives it."""

        def method(self_: Any, other: Any) -> Any:
            if isinstance(other, Tensor):
                return self.computed(other, self_)
            if isinstance(other, NUMBERS):
                return self.computed(self.number_beside(self_, other), self_)
            return NotImplemented

        return method

    def operator(self) -> Callable[[Any, Any], Any]:
        """The op as an operator method; it returns `NotImplemented` for an operand of an unknown type."""
        by_types, numbers, number = self.by_types, self.numbers, self.number
        arrays = self.arrays()
        if self.guard is not None or not self.differentiable:
            return self.careful_operator()

        def method(self_: Any, other: Any) -> Any:
            if isinstance(other, Tensor):
                second: Any = other
            elif isinstance(other, NUMBERS):
                mine = self_._storage
                aval = numbers.get(((mine.value or mine).aval, type(other)))
                second = number(other, aval or self.number_type(self_, other))
            else:
                second = of_array(other, arrays)
                if second is None:
                    return NotImplemented
            mine, its = self_._storage, second._storage
            # `mine.aval` without a call, if the storage is plain.
            kinds = ((mine.value or mine).aval.kind, (its.value or its).aval.kind)
            op = by_types.get(kinds) or self.for_types(self_, second)
            result = tensor_of(*record_two(op, self_, second))
            if mine.is_part or its.is_part:
                laid_out(result, self_, second)
            return result

        return method

    def careful_operator(self) -> Callable[[Any, Any], Any]:
        """`operator` for an op that checks its operands' values or has no derivative."""
        arrays = self.arrays()

        def method(self_: Any, other: Any) -> Any:
            if isinstance(other, NUMBERS):
                row = self.of_second_number
                return row.computed(self_, row.number_beside(self_, other))
            given = other if isinstance(other, Tensor) else of_array(other, arrays)
            return NotImplemented if given is None else self.computed(self_, given)

        return method

    def arrays(self) -> Any:
        """The classes of arrays that the operator takes; where NumPy asks whether a tensor equals one, it says False."""
        return (jax.Array, np.ndarray) if self.row.name in ("eq", "ne") else jax.Array

    # -- in place -------------------------------------------------------------------------------------------------

    def in_place(self, a: Tensor, *others: Any, saves: str | None = None) -> Tensor:
        """Compute and store in `a`, as PyTorch's trailing-underscore methods.

        Args:
            a: the first operand.
            others: the other operands.
            saves: the names of the node's saved tensors; the row's if None.

        Raises:
            RuntimeError: `a` is a leaf that requires grad, or the result's shape or category of dtype does not fit it.
        """
        if self.untracked and local.recorder.grad_enabled:
            with grad_mode(False):
                return self.in_place(a, *others, saves=saves)
        row = self.row
        taken = Tensor if self.takes_numbers == "neither" else (Tensor, *NUMBERS)
        for other in others:
            if not isinstance(other, taken):
                raise TypeError(
                    f"{row.title}_(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}"
                )
        given = tuple([b if isinstance(b, Tensor) else self.number_beside(a, b) for b in others])
        if self.guard is not None:
            self.guard(a, *given)
        writable(a, *given, name=f"{row.title}_")
        avals = (a._storage.aval, *[other._storage.aval for other in given])
        op = self.in_place_by_types.get(avals) or self.for_in_place((a, *given), avals)
        watches = row.watches if saves is None else saves.split()
        both = "self" in watches and "result" in watches
        return in_place(op, a, *given, saves_result="result" in watches, saves_arguments=both)

    def for_in_place(self, operands: tuple[Any, ...], avals: tuple[Aval, ...]) -> Op:
        """The op whose result can be stored in the first operand."""
        row, target = self.row, operands[0]
        compute = self.computed_in(operands)
        if row.check is not None:
            row.check(*avals)
        row.refuse(*avals)
        if row.name == "abs" and target.dtype.is_complex:
            raise RuntimeError("In-place abs is not supported for complex tensors.")
        check_present(target, *operands[1:])
        check_broadcast(*avals)
        shape = np.broadcast_shapes(*(aval.shape for aval in avals))
        check_result_fits(tuple(target.shape), shape)
        same = all(aval.dtype == compute.numpy_dtype for aval in avals)
        if row.dtype is not BOOL:
            made = self.op(None if same else compute, None).types(avals)[0].dtype
            check_castable(from_numpy_dtype(made), target.dtype)
        stored = same and row.dtype is not BOOL
        op = self.op(None if same else compute, None if stored else target.dtype)
        return remember(self.in_place_by_types, avals, op)

    def in_place_method(self) -> Callable[..., Tensor]:
        """The in-place form as a method."""
        if len(self.row.arguments) == 1:
            return lambda self_: self.in_place(self_)
        return lambda self_, other: self.in_place(self_, other)

    def in_place_operator(self) -> Callable[[Any, Any], Any]:
        """The op as an augmented assignment: a short path of `in_place` for two operands."""
        in_place_by_types, numbers = self.in_place_by_types, self.numbers
        name, careful = f"{self.row.title}_", self.guard is not None

        def method(self_: Any, other: Any) -> Any:
            if careful or type(self_) is not Tensor:  # a subclass may have `__torch_function__`
                known = isinstance(other, (Tensor, *NUMBERS))
                given = other if known else of_array(other)
                return NotImplemented if given is None else self.in_place(self_, given)
            if isinstance(other, Tensor):
                second: Any = other
            elif isinstance(other, NUMBERS):
                aval = numbers.get((self_._storage.aval, type(other)))
                second = number(other, aval or self.number_type(self_, other))
            else:
                second = of_array(other)
                if second is None:
                    return NotImplemented
            node, recorder = self_._current_node(), local.recorder
            if (
                not self_._storage.is_apart
                or not second._storage.is_apart
                or (node is not None and isinstance(node, Leaf))
                or recorder.watch is not None
                or recorder.levels
            ):
                writable(self_, second, name=name)
            before = self_._storage.read()
            avals = (before.aval, second._storage.aval)
            op = in_place_by_types.get(avals) or self.for_in_place((self_, second), avals)
            plain = node is None and second._current_node() is None
            first = self_ if plain else as_it_was(self_)
            if write(self_, record_two(op, first, second), before):
                return self_
            return in_place(op, self_, second)

        return method


def operator(function: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Any]:
    """A binary function as an operator method; it returns `NotImplemented` for an operand of an unknown type."""

    def method(self: Tensor, other: Any) -> Any:
        given = other if isinstance(other, (Tensor, *NUMBERS)) else of_array(other)
        return NotImplemented if given is None else function(self, given)

    return method
