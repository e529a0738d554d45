"""Small ops of a structure that does not come back, run by one compiled program that interprets them.

On a CPU it takes 4 us and more to launch a kernel, and an op on a hundred elements takes a fraction of one. So where such
ops run one by one and time goes by, an interpreter is compiled for the ops met: a loop over instructions with a switch
over these ops, on registers as long as the longest value. An instruction takes about 0.3 us, and the next graph, which
again is another, compiles nothing.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine.compiling import at_once, compiled, equations
from funcgrad.engine.ops import Op, as_tuple
from funcgrad.engine.values import Aval, with_wide_types

# The limits of an interpreter: elements in a value, arguments of an op, instructions, ops, and inputs or outputs of one
# type.
LONGEST = 1024
ARGUMENTS = 3
INSTRUCTIONS = 256
OPS = 64
PORTS = 8

# Seconds that compiling takes for each op.
SECONDS = 0.03

Kind = tuple[Op, tuple[Aval, ...]]


class Interpreter:
    """A compiled interpreter for some ops of one dtype.

    Args:
        kinds: the ops with the types of their arguments.
        inputs, outputs: how many it has of each type.
        instructions: how many it can run.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        inputs: Counter[Aval],
        outputs: Counter[Aval],
        instructions: int,
    ) -> None:
        self.opcodes: dict[Kind, tuple[int, ...]] = {}
        branches: list[Callable[..., Any]] = []
        self._width = 1
        for op, avals in kinds:
            results = op.types(avals)
            self._width = max(self._width, *[_size(aval) for aval in (*avals, *results)])
            first = len(branches)
            branches += [self._branch(op, avals, number) for number in range(len(results))]
            self.opcodes[op, avals] = tuple(range(first, len(branches)))
        self._in, self._out = list(inputs.elements()), list(outputs.elements())
        self.inputs, self.outputs = _places(self._in), _places(self._out)
        dtype = self._in[0].dtype
        # Zeros stand in for inputs that a program does not have; 64-bit types are kept.
        self._none = at_once(lambda: [jnp.zeros(a.shape, a.dtype) for a in self._in], [])
        self._instructions = instructions
        code = np.zeros(1 + len(self._out) + self._instructions * (1 + ARGUMENTS), np.int32)
        self._code_length = len(code)
        self._run = compiled(
            lambda *given: self._program(branches, dtype, *given), [code, *self._none]
        )
        at_once(self._run, [code, *self._none])  # no instruction: compiles it

    def _branch(self, op: Op, avals: tuple[Aval, ...], number: int) -> Callable[..., Any]:
        """One output of an op, from registers to a register."""

        def branch(*registers: Any) -> Any:
            arguments = [
                register[: _size(aval)].reshape(aval.shape)
                for register, aval in zip(registers, avals, strict=False)
            ]
            result = as_tuple(op.function(*arguments))[number].ravel()
            return jnp.pad(result, (0, self._width - result.size))

        return branch

    def _program(self, branches: Sequence[Any], dtype: Any, code: Any, *inputs: Any) -> list[Any]:
        """The interpreter itself, of the code and the inputs' arrays.

        The code is how many instructions there are, the registers of the outputs, and for each instruction its opcode and
        the registers of its arguments. The inputs stand in the first registers, and each instruction fills the next.
        """
        width, first = self._width, len(inputs)
        rows = [jnp.pad(each.ravel(), (0, width - each.size)) for each in inputs]
        empty = jnp.zeros((self._instructions, width), dtype)
        instructions = code[1 + len(self._out) :].reshape(self._instructions, 1 + ARGUMENTS)

        def step(k: Any, registers: Any) -> Any:
            opcode, *arguments = [instructions[k, j] for j in range(1 + ARGUMENTS)]
            taken = [jax.lax.dynamic_index_in_dim(registers, a, keepdims=False) for a in arguments]
            result = jax.lax.switch(opcode, branches, *taken)
            return jax.lax.dynamic_update_index_in_dim(registers, result, first + k, 0)

        registers = jnp.concatenate([jnp.stack(rows), empty])
        registers = jax.lax.fori_loop(np.int32(0), code[0], step, registers)
        return [
            registers[code[1 + k], : _size(aval)].reshape(aval.shape)
            for k, aval in enumerate(self._out)
        ]

    def encode(self, program: Any) -> tuple[Any, list[int], list[int]] | None:
        """A program's code, and which inputs and outputs it has; None where it does not fit."""
        ports = _assign(self.inputs, program.input_avals)
        wanted = _assign(self.outputs, program.wanted_avals)
        if ports is None or wanted is None:
            return None
        at = dict(zip(program.inputs, ports, strict=True))
        opcodes, register = self.opcodes, len(self._in)
        code: list[int] = []
        for state, dead in program.steps:
            known = opcodes.get((state.op, state.avals))
            if known is None:
                return None
            taken = state.args
            if len(taken) == 1:
                rest: tuple[int, ...] = (at[taken[0]], 0, 0)
            elif len(taken) == 2:
                rest = (at[taken[0]], at[taken[1]], 0)
            else:
                rest = (at[taken[0]], at[taken[1]], at[taken[2]])
            for position, opcode in enumerate(known, state.position):
                if position not in dead:
                    at[position] = register
                    register += 1
                    code.append(opcode)
                    code += rest
        count = register - len(self._in)
        if count > self._instructions:
            return None
        buffer = np.zeros(self._code_length, np.int32)
        buffer[0] = count
        buffer[1 : 1 + len(self._out)][wanted] = [at[position] for position in program.wanted]
        start = 1 + len(self._out)
        buffer[start : start + len(code)] = array("i", code)
        return buffer, ports, wanted

    def run(self, encoded: tuple[Any, list[int], list[int]], arrays: Sequence[Any]) -> list[Any]:
        """The wanted arrays."""
        code, ports, wanted = encoded
        given = self._none.copy()
        for port, each in zip(ports, arrays, strict=True):
            given[port] = each
        results = self._run(code, *given)
        return [results[k] for k in wanted]


class _Candidate:
    """The ops of one dtype that ran one by one, and that an interpreter could have run."""

    def __init__(self) -> None:
        self.start()
        self.spent = 0.0
        self.built = 0
        self.interpreter: Interpreter | None = None

    def start(self) -> None:
        """Forget the ops taken in."""
        self.kinds: dict[Kind, None] = {}
        self.inputs: Counter[Aval] = Counter()
        self.outputs: Counter[Aval] = Counter()
        self.instructions = 1

    def add(self, program: Any) -> None:
        """Take in a program's ops and types; if that is more than there may be, these alone."""
        kinds = dict.fromkeys((state.op, state.avals) for state, _ in program.steps)
        if len(self.kinds | kinds) > OPS:
            self.start()
        self.kinds |= kinds
        self.inputs |= Counter(program.input_avals)
        self.outputs |= Counter(program.wanted_avals)
        self.instructions = max(self.instructions, _instructions(program))

    def build(self) -> None:
        """Compile an interpreter for all that was taken in, with room to spare."""
        self.spent = 0.0
        self.built += 1
        inputs, outputs = (
            Counter({aval: _with_room(count) for aval, count in counts.items()})
            for counts in (self.inputs, self.outputs)
        )
        try:
            self.interpreter = Interpreter(
                list(self.kinds), inputs, outputs, _with_room(self.instructions)
            )
        except Exception:  # an op does not like to be compiled so: these go on one by one
            _simple.update(dict.fromkeys(self.kinds, False))
            self.start()


_candidates: dict[Any, _Candidate] = {}
_simple: dict[Kind, bool] = {}


def encoded(program: Any) -> tuple[Interpreter, Any] | None:
    """An interpreter that can run a program, and the program's code for it; None where there is none."""
    if not program.steps:
        return None
    candidate = _candidates.get(program.steps[0][0].aval.dtype)
    interpreter = candidate and candidate.interpreter
    if not interpreter:
        return None
    code = interpreter.encode(program)
    return code and (interpreter, code)


def take_in(program: Any, seconds: float, patience: float) -> bool:
    """Note that a program ran op by op, in so many seconds; compile an interpreter once that has cost too much.

    Args:
        program: the program that ran, with no kernel to be compiled for it.
        seconds: how long it took.
        patience: the time that may be spent, as a fraction of the expected time to compile.

    Returns:
        Whether one was compiled.
    """
    if jax.default_backend() != "cpu" or not _fits(program):
        return False
    dtype = program.steps[0][0].aval.dtype
    candidate = _candidates.setdefault(dtype, _Candidate())
    candidate.add(program)
    candidate.spent += seconds
    # Where ops keep coming that the last one had not, the next is not worth as much.
    if candidate.spent < patience * 2**candidate.built * SECONDS * len(candidate.kinds):
        return False
    candidate.build()
    return True


def _fits(program: Any) -> bool:
    """Whether some interpreter could run a program."""
    if not program.inputs or not 4 <= _instructions(program) <= INSTRUCTIONS:
        return False
    avals = [*program.input_avals, *program.wanted_avals]
    dtype = avals[0].dtype
    if any(count > PORTS for count in Counter(avals).values()):
        return False
    for state, _ in program.steps:
        if not 1 <= len(state.avals) <= ARGUMENTS or not _is_simple((state.op, state.avals)):
            return False
        avals += state.outputs or (state.aval,)
    return all(a.dtype == dtype and a.device is None and 0 < _size(a) <= LONGEST for a in avals)


def _is_simple(kind: Kind) -> bool:
    """Whether an op is cheap to have in an interpreter: no effects, no loops, nothing but JAX's own arithmetic."""
    known = _simple.get(kind)
    if known is None:
        op, avals = kind
        jaxpr = with_wide_types(jax.make_jaxpr(op.function), *[aval.struct for aval in avals])
        known = not jaxpr.effects and _is_arithmetic(jaxpr.jaxpr)
        if len(_simple) >= 1024:
            _simple.clear()
        _simple[kind] = known
    return known


_NO_ARITHMETIC = ("callback", "while", "scan", "cond", "sort", "random", "custom_call", "ffi")


def _is_arithmetic(jaxpr: Any) -> bool:
    return not any(
        part in equation.primitive.name for equation in equations(jaxpr) for part in _NO_ARITHMETIC
    )


def _instructions(program: Any) -> int:
    """How many instructions a program has at most."""
    return sum(len(state.outputs or (None,)) for state, _ in program.steps)


def _with_room(count: int) -> int:
    """The power of two from `count` on."""
    return 1 << (count - 1).bit_length()


def _size(aval: Aval) -> int:
    return int(np.prod(aval.shape))


def _places(avals: Sequence[Aval]) -> dict[Aval, list[int]]:
    """For each type, where it stands in a list of types."""
    places: dict[Aval, list[int]] = {}
    for k, aval in enumerate(avals):
        places.setdefault(aval, []).append(k)
    return places


def _assign(places: dict[Aval, list[int]], avals: Sequence[Aval]) -> list[int] | None:
    """A place for each of some types, no two the same; None where there are too few."""
    left = {aval: iter(where) for aval, where in places.items()}
    found = [next(left[aval], None) if aval in left else None for aval in avals]
    return None if None in found else found  # type: ignore[return-value]
