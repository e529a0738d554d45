"""An op's kernel on a CPU: a Python function of NumPy calls, written from the op's jaxpr.

On small arrays such a function takes as long as PyTorch's op does, and it compiles nothing, so code that runs once costs
little. Ops that NumPy has no equal of keep XLA's kernel. `table` leads from JAX's primitives to NumPy.
"""

import importlib
import marshal
import re
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple, Protocol

import numpy as np
from jax.extend.core import Literal, jaxprs_in_params

from funcgrad.engine.kernels.elementwise import ELEMENTWISE, SPECIAL
from funcgrad.engine.kernels.table import DIMENSIONS, RULES, NoRuleError, python


class Kernel(Protocol):
    """A function of arrays.

    Attributes:
        gain: seconds of it that a compiled program may save by fusing its steps.
        size: how many steps it has.
    """

    gain: float
    size: int

    def __call__(self, *arrays: Any) -> Any:
        """One array, or a tuple of several."""


_NAME, _CONSTANT, _LENGTH = (re.compile(rf"\b{letter}\d+\b") for letter in "vcd")
# The most elements of an array that is made once for all calls of a kernel.
KEPT = 2**16

_DTYPES = frozenset(
    map(
        np.dtype, ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    )
) | {np.dtype("float32"), np.dtype("float64")}

# Equations that only call another jaxpr: the parameter that holds it.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}


def supported(dtype: Any) -> bool:
    """Whether NumPy computes in a dtype as XLA does. Half precision and complex numbers are left to XLA."""
    return dtype in _DTYPES


# Seconds for a call of NumPy, and for an element that it reads or writes.
CALL_SECONDS, ELEMENT_SECONDS = 0.5e-6, 0.7e-9
# Primitives that take their time in one piece, which XLA would not fuse with others; and those that NumPy does in no time.
_ALONE = frozenset(
    {"conv_general_dilated", "dot_general", "sort", "gather", "cumsum", "cumprod", "cumlogsumexp"}
)
_VIEWS = frozenset({"broadcast_in_dim", "expand_dims", "reshape", "squeeze", "transpose"})


def gain(jaxpr: Any) -> str:
    """How many seconds of a jaxpr's steps a compiled program may save by fusing them, as an expression."""
    calls, elements, terms = 0, 0, []
    for equation in jaxpr.eqns:
        if equation.primitive.name in _ALONE | _VIEWS:
            continue
        inner = [gain(each) for each in jaxprs_in_params(equation.params)]
        if inner:
            terms.append(f"({equation.params.get('length', 1)})*({' + '.join(inner)})")
            continue
        calls += 1
        for each in (*equation.invars, *equation.outvars):
            shape = () if isinstance(each, Literal) else each.aval.shape
            if all(isinstance(length, int) for length in shape):
                elements += prod(shape)
            else:
                product = "*".join(f"({length})" for length in shape)
                terms.append(f"{ELEMENT_SECONDS}*{product}")
    return " + ".join([str(CALL_SECONDS * calls + ELEMENT_SECONDS * elements), *terms])


def numpy_kernel(closed: Any) -> Kernel | None:
    """The function of NumPy arrays that a closed jaxpr says; None where a primitive has no rule.

    It takes arrays and gives one array, or a tuple of arrays where there are several outputs. NumPy's scalars stand for
    arrays without dimensions. It changes no argument. Its result may share memory with an argument.
    """
    written = Written.of(closed)
    return None if written is None else written.kernel()


class Written:
    """A kernel's source. Where lengths are symbols in the jaxpr, it makes a kernel for each choice of lengths.

    Args:
        text: defines `kernel`, where lines before it make what all calls share. It may use `lengths`, and names one of them `d` and
            its number.
        scope: the other names that the text uses.
    """

    def __init__(self, text: str, scope: dict[str, Any]) -> None:
        # A function of the lengths, so that another choice of lengths compiles nothing.
        numbers = sorted({int(name[1:]) for name in _LENGTH.findall(text)})
        lines = [*[f"d{k} = lengths[{k}]" for k in numbers], *text.splitlines(), "return kernel"]
        inner = "".join(f"    {line}\n" for line in lines)
        code = compile(f"def make(lengths):\n{inner}", "<kernel>", "exec")
        self.__setstate__((marshal.dumps(code), scope, text.startswith("def ")))

    def __getstate__(self) -> tuple:
        return self._state

    def __setstate__(self, state: tuple) -> None:
        self._state = state
        code, scope, self._is_plain = state
        scope = {"np": np, **scope}  # some numbers in a jaxpr are NumPy's, and print so
        exec(marshal.loads(code), scope)
        self._make = scope["make"]

    @classmethod
    def of(cls, closed: Any) -> "Written | None":
        """The source of a closed jaxpr; None where a primitive has no rule."""
        if closed.jaxpr.effects:
            return None
        source = Source(closed)
        try:
            text = source.text()
        except NoRuleError:
            return None
        saved = python(gain(closed.jaxpr))
        size = sum(1 for _ in equations(closed.jaxpr))
        text = f"{text}\nkernel.gain, kernel.size = {saved}, {size}"
        return cls(text, source.scope)

    def kernel(self, lengths: Sequence[int] = ()) -> Kernel | None:
        """The function, where each symbol `dK` is `lengths[K]`; None where it would take too long with these."""
        if self._is_plain:  # nothing is computed yet
            return self._make(lengths)
        try:
            with np.errstate(all="ignore"):  # as where a kernel is called
                return self._make(lengths)
        except NoRuleError:
            return None


def equations(jaxpr: Any) -> Iterator[Any]:
    """All equations of a jaxpr and of those inside it: bodies of loops, branches, functions called."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)


class Line(NamedTuple):
    """A line of a kernel.

    Attributes:
        name: the name that it makes or fills.
        text: its source.
        made: the shape and the dtype of the new array that it makes; None where the array may be a view of another, and of
            no dimensions.
        open: whether the text is a call of one of NumPy's functions without its last bracket: it takes the array to write to.
    """

    name: str
    text: str
    made: Any = None
    open: bool = False


class Source:
    """The Python source of a kernel, while it is being written.

    A value that is the same along an axis is kept short (`compact`) as long as elementwise lines take it: NumPy broadcasts
    there by itself.

    Attributes:
        scope: the globals of the source.
        negated: for names of negative arrays, the name of the array without the sign.
    """

    def __init__(self, closed: Any) -> None:
        self.closed = closed
        # Lengths are printed with these functions.
        self.scope: dict[str, Any] = dict(DIMENSIONS)
        # The lines that run once for each choice of lengths, before the kernel; and the kernel's.
        self._once: list[str] = []
        self._lines: list[Line] = []
        self._names: dict[Any, str] = {}
        self._compact: dict[Any, tuple[int, ...]] = {}
        self._count = 0
        self._full: dict[Any, str] = {}
        # The names of numbers and dtypes, and of what expressions give: a derivative repeats much of the function.
        self._constants: dict[Any, str] = {}
        self._given: dict[str, str] = {}
        # The names that lines before the kernel made; and of names that are another's array in another shape, that name and
        # its shape.
        self._fixed: set[str] = set()
        self.negated: dict[str, str] = {}
        self._reshaped: dict[str, tuple[str, Any]] = {}

    def text(self) -> str:
        """The source of the function `kernel`."""
        jaxpr = self.closed.jaxpr
        arguments = [self._new_name(each) for each in jaxpr.invars]
        for variable, array in zip(jaxpr.constvars, self.closed.consts, strict=True):
            self._names[variable] = self.constant(np.asarray(array)[()])
        for variable in (*jaxpr.invars, *jaxpr.constvars):
            self._check(variable)
        self._write(jaxpr.eqns)
        names = self.arrays(jaxpr.outvars)
        lines = "".join(f"    {line}\n" for line in self._needed(names))
        once = "".join(f"{line}\n" for line in self._once)
        # Somebody may change a result in place.
        returned = ", ".join(f"{name}.copy()" if name in self._fixed else name for name in names)
        return python(f"{once}def kernel({', '.join(arguments)}):\n{lines}    return {returned}\n")

    def _needed(self, returned: Sequence[str]) -> list[str]:
        """The lines that the results depend on. Each lets go of the arrays that it is the last to read: memory is used again.

        Where one of these is of its result's type, and no view of it is left, the result is written into it.
        """
        needed, viewed = set(returned), set(returned)
        found: list[tuple[Line, set[str]]] = []
        for line in reversed(self._lines):
            if line.name in needed:
                read = set(_NAME.findall(line.text))
                found.append((line, read - needed))
                needed |= read
                if line.made is None:
                    viewed |= read
        lines, made = [], {line.name: line.made for line, _ in found}
        for line, last in reversed(found):
            text = line.text
            if line.open:
                into = [name for name in last - viewed if made.get(name) == line.made]
                text += f", out={min(into)})" if into else ")"
            lines.append(f"{text}; del {', '.join(sorted(last))}" if last else text)
        return lines

    def _write(self, equations: Sequence[Any]) -> None:
        for equation in equations:
            name = equation.primitive.name
            called = _CALLS.get(name)
            if called is not None:
                self.inline(equation, equation.params[called])
                continue
            for variable in equation.outvars:
                self._check(variable)
            if name in ELEMENTWISE:
                self.elementwise(equation, ELEMENTWISE[name])
            elif name in SPECIAL:
                special = importlib.import_module("scipy.special")
                self.elementwise(equation, getattr(special, SPECIAL[name]))
            elif name in RULES:
                RULES[name](self, equation)
            else:
                raise NoRuleError

    def inline(self, equation: Any, inner: Any) -> None:
        """Write the lines of a jaxpr that an equation calls."""
        jaxpr = getattr(inner, "jaxpr", inner)
        for variable, array in zip(jaxpr.constvars, getattr(inner, "consts", ()), strict=True):
            self._names[variable] = self.constant(np.asarray(array)[()])
        for variable, given in zip(jaxpr.invars, equation.invars, strict=True):
            self.alias(variable, given)
        self._write(jaxpr.eqns)
        for variable, made in zip(equation.outvars, jaxpr.outvars, strict=True):
            self.alias(variable, made)

    @staticmethod
    def _check(variable: Any) -> None:
        if not supported(getattr(variable.aval, "dtype", None)):
            raise NoRuleError

    # Names.

    def _new_name(self, variable: Any = None) -> str:
        self._count += 1
        name = f"v{self._count}"
        if variable is not None:
            self._names[variable] = name
            self._compact.pop(variable, None)
            self._full.pop(variable, None)
        return name

    def name(self, atom: Any) -> str:
        """The name of a value as it stands, short or not."""
        if isinstance(atom, Literal):
            self._check(atom)
            dtype: Any = getattr(atom.aval, "dtype", None)
            return self.constant(np.asarray(atom.val, dtype)[()])
        return self._names[atom]

    def constant(self, thing: Any) -> str:
        """The name of an object that the source refers to."""
        key = (thing.dtype, thing.tobytes()) if isinstance(thing, np.generic) else thing
        if isinstance(thing, np.generic | np.dtype) and key in self._constants:
            return self._constants[key]
        name = self._new_constant()
        self.scope[name] = thing
        if isinstance(thing, np.generic | np.dtype):
            self._constants[key] = name
        return name

    def once(self, text: str) -> str:
        """The name of an object that an expression of the lengths gives, before the kernel is first called."""
        name = self._new_constant()
        self._once.append(f"{name} = {text}")
        self._fixed.add(name)
        return name

    def _new_constant(self) -> str:
        return f"c{len(self.scope) + len(self._once)}"

    def function(self, function: Callable[..., Any]) -> str:
        """The name of a function that the source calls."""
        for name, known in self.scope.items():
            if known is function:
                return name
        return self.constant(function)

    def alias(self, variable: Any, given: Any) -> None:
        """Let a variable be another one."""
        self._names[variable] = self.name(given)
        self._compact.pop(variable, None)
        self._full.pop(variable, None)
        if not isinstance(given, Literal) and given in self._compact:
            self._compact[variable] = self._compact[given]
        if not isinstance(given, Literal) and given in self._full:
            self._full[variable] = self._full[given]

    def alias_name(self, variable: Any, name: str) -> None:
        """Let a variable be the object of this name."""
        self._names[variable] = name
        self._compact.pop(variable, None)
        self._full.pop(variable, None)

    # Lines.

    def line(self, text: str) -> str:
        """Add a line that gives a new name to an expression; returns the name."""
        made = self._new_name()
        self._lines.append(Line(made, f"{made} = {text}"))
        return made

    def fill(self, name: str, text: str) -> None:
        """Add a line that fills the array of a name: `text` is what follows the name."""
        self._lines.append(Line(name, f"{name}{text}"))

    def assign(
        self,
        equation: Any,
        text: str,
        like: Sequence[Any] | None = None,
        *,
        new: bool = False,
        function: Any = None,
    ) -> None:
        """Let an equation's one output be an expression.

        Args:
            equation, text: these.
            like: it is elementwise of these.
            new: whether it gives an array of its own, never a view.
            function: the function that the expression calls, if it is no more than one call.
        """
        (variable,) = equation.outvars
        shape = variable.aval.shape
        if like is not None:
            shape = _broadcast(*[self._shape(atom) for atom in like])
        opened = isinstance(function, np.ufunc)
        made = (shape, variable.aval.dtype) if shape and (new or opened) else None
        self.assign_one(variable, text, made, opened and made is not None)
        if shape != variable.aval.shape:
            self._compact[variable] = shape

    def assign_one(self, variable: Any, text: str, made: Any = None, opened: bool = False) -> None:
        """Let a variable be an expression, whose array nothing changes. See `Line` for the rest."""
        known = self._given.get(text)
        if known is None and self._stays(text, made is not None, variable.aval.shape):
            known = self._given[text] = self.once(text)
        if known is not None:
            self.alias_name(variable, known)
            return
        name = self._given[text] = self._new_name(variable)
        self._lines.append(Line(name, f"{name} = {text[:-1] if opened else text}", made, opened))

    def _stays(self, text: str, new: bool, shape: tuple[Any, ...]) -> bool:
        """Whether an expression is a small array that follows from constants, or a view of one."""
        if _NAME.search(text) or not _few(shape):
            return False
        return new or not self._fixed.isdisjoint(_CONSTANT.findall(text))

    def elementwise(self, equation: Any, function: Callable[..., Any]) -> None:
        """Let an equation's output be a function of its arguments, element by element."""
        given = ", ".join(self.elements(equation.invars))
        text = f"{self.function(function)}({given})"
        self.assign(equation, text, like=equation.invars, new=True, function=function)
        if function is np.negative:
            self.negated[self._names[equation.outvars[0]]] = given

    def reshaped(self, equation: Any, name: str, given: tuple[Any, ...]) -> None:
        """Let an equation's output be the array of a name, whose shape is `given`, in another shape."""
        (variable,) = equation.outvars
        first, given = self._reshaped.get(name, (name, given))
        if variable.aval.shape == given:
            self.alias_name(variable, first)
            return
        self.assign(equation, f"{first}.reshape({variable.aval.shape})")
        self._reshaped[self._names[variable]] = first, given

    def reshape(self, name: str, given: tuple[Any, ...], shape: tuple[Any, ...]) -> str:
        """The name of the array of a name, whose shape is `given`, in another shape."""
        first, given = self._reshaped.get(name, (name, given))
        return first if shape == given else self.line(f"{first}.reshape({shape})")

    # Values that are the same along an axis.

    def compact(self, variable: Any, name: str, shape: tuple[int, ...]) -> None:
        """Let a variable be a value of fewer elements, which broadcasts to the variable's shape."""
        self.alias_name(variable, name)
        if shape != variable.aval.shape:
            self._compact[variable] = shape

    def _shape(self, atom: Any) -> tuple[int, ...]:
        if isinstance(atom, Literal):
            return ()
        return self._compact.get(atom, atom.aval.shape)

    def elements(self, atoms: Sequence[Any]) -> list[str]:
        """The names of values for an elementwise line, short ones as they are."""
        return [self.name(atom) for atom in atoms]

    def arrays(self, atoms: Sequence[Any]) -> list[str]:
        """The names of values in their whole shape."""
        return [self._whole(atom) for atom in atoms]

    def _whole(self, atom: Any) -> str:
        name = self.name(atom)
        if isinstance(atom, Literal) or atom not in self._compact:
            return name
        known = self._full.get(atom)
        if known is None:
            made = self.line(
                f"{self.function(np.empty)}({atom.aval.shape}, {self.constant(atom.aval.dtype)})"
            )
            self.fill(made, f"[...] = {name}")
            known = self._full[atom] = made
        return known


def _few(shape: tuple[Any, ...]) -> bool:
    """Whether an array of this shape, of no symbols, is small."""
    return all(isinstance(length, int) for length in shape) and prod(shape) <= KEPT


def _broadcast(*shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """`np.broadcast_shapes` for shapes that are known to fit, and may be of symbols."""
    ndim = max(map(len, shapes))
    aligned = [(1,) * (ndim - len(shape)) + shape for shape in shapes]
    return tuple(next((n for n in lengths if n != 1), 1) for lengths in zip(*aligned, strict=True))
