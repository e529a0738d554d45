"""One trace of an op for all lengths of its arguments: code that meets a new length at each step does not wait for tracing.

JAX traces a function with symbols for lengths, as `jax.export` has them. Lengths that are equal share a symbol, and 0 and 1
stay numbers, since functions treat them in their own way. A function that asks more of a length than symbols can answer has
no template: it is traced for each choice of lengths.
"""

import marshal
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import islice
from typing import Any

import jax
import numpy as np
from jax import export

from funcgrad.engine.kept import MISSING, kept
from funcgrad.engine.kernels import DIMENSIONS, Kernel, Written, python
from funcgrad.engine.tracing import jaxpr_of
from funcgrad.engine.values import Aval, in_memory


class Pattern:
    """The common part of types that differ in their lengths alone. It is compared by identity: `pattern_of` makes each once.

    Attributes:
        types: for each argument its dtype, its device, and for each dimension the number of its symbol; -1 for a length of 1,
            and -2 for 0.
        devices: the devices that the arguments are bound to.
        in_memory: whether these are the CPU.
    """

    __slots__ = ("devices", "in_memory", "types")

    def __init__(self, kinds: Sequence[tuple[int, Any, Any]], dims: tuple[int, ...]) -> None:
        rest = iter(dims)
        self.types = tuple(
            [(dtype, device, tuple(islice(rest, rank))) for rank, dtype, device in kinds]
        )
        self.devices = tuple({device for _, _, device in kinds if device is not None})
        self.in_memory = all(map(in_memory, self.devices))

    def __repr__(self) -> str:
        return f"Pattern({self.types})"

    @property
    def symbols(self) -> tuple[Any, ...]:
        """The symbols for its lengths."""
        return _symbols(1 + max((n for *_, dims in self.types for n in dims), default=-1))


@lru_cache(1024)
def pattern_of(avals: tuple[Aval, ...]) -> tuple[Pattern, tuple[int, ...]]:
    """The pattern of some types, and the length that each symbol stands for."""
    symbols: dict[int, int] = {}
    dims = tuple(
        [
            symbols.setdefault(n, len(symbols)) if n > 1 else n - 2
            for aval in avals
            for n in aval.shape
        ]
    )
    return _pattern(dims, *[aval.kind for aval in avals]), tuple(symbols)


@lru_cache(1024)
def _pattern(dims: tuple[int, ...], *kinds: int) -> Pattern:
    known = list(Aval.kinds)
    return Pattern([known[kind] for kind in kinds], dims)


@cache
def _symbols(count: int) -> tuple[Any, ...]:
    names = [f"d{k}" for k in range(count)]
    scope = export.SymbolicScope([f"{name} >= 2" for name in names])
    return tuple(export.symbolic_shape(", ".join(names), scope=scope)) if names else ()


def structs_of(pattern: Pattern) -> list[Any]:
    """The types of a pattern as JAX writes them, with symbols for lengths."""
    symbols = pattern.symbols
    return [
        jax.ShapeDtypeStruct(tuple([symbols[n] if n >= 0 else n + 2 for n in dims]), dtype)
        for dtype, _, dims in pattern.types
    ]


class Types:
    """Types with symbols for lengths, to be read with numbers.

    Args:
        avals: the types, as JAX writes them.
        count: how many symbols there are.

    Attributes:
        read: the types for some lengths and a device.
    """

    read: Callable[[tuple[int, ...], Any], tuple[Aval, ...]]

    def __init__(self, avals: Sequence[Any], count: int) -> None:
        made = "".join(
            [f"Aval({tuple(aval.shape)}, t{k}, device), " for k, aval in enumerate(avals)]
        )
        names = ", ".join([f"d{k}" for k in range(count)])
        code = compile(f"lambda lengths, device: ({made})", "<types>", "eval")
        if count:
            text = f"lambda lengths, device: (lambda {names}: ({made}))(*lengths)"
            code = compile(python(text), "<types>", "eval")
        self.__setstate__((marshal.dumps(code), [aval.dtype for aval in avals]))

    def __getstate__(self) -> tuple:
        return self._state

    def __setstate__(self, state: tuple) -> None:
        self._state = code, dtypes = state
        scope = {**DIMENSIONS, **{f"t{k}": dtype for k, dtype in enumerate(dtypes)}}
        self.read = eval(marshal.loads(code), {"Aval": Aval, "np": np, **scope})


class Template:
    """The types and the kernel of an op, for all arguments of a pattern; without symbols, for one choice of types.

    Args:
        closed: the jaxpr.
        count: how many symbols it has.
        notes: whatever else is to be kept with it.

    Attributes:
        closed: the jaxpr; None if the rest was kept on disk.
    """

    def __init__(self, closed: Any, count: int = 0, notes: Any = None) -> None:
        self.closed, self.notes = closed, notes
        self._types = Types(closed.out_avals, count)
        self._written: Any = _NOT_YET
        self._key: str | None = None
        self._make: Callable[[], Any] | None = None

    @classmethod
    def kept(cls, key: str | None, make: Callable[[], "Template | None"]) -> "Template | None":
        """The template that is kept on disk by a key, or else the one that `make` gives, which is kept from now on."""
        if key is None:
            return make()
        found = kept.find(key)
        if found is MISSING:
            made = make()
            if made is None:
                kept.put(key, None)
            else:
                made._key = key
                made._keep()
            return made
        if found is None:
            return None
        self = object.__new__(cls)
        self.closed, self._key, self._make = None, key, make
        self._types, self._written, self.notes = found
        return self

    def _keep(self) -> None:
        if self._key is not None:
            kept.put(self._key, (self._types, self._written, self.notes))

    def types(self, lengths: tuple[int, ...], device: Any) -> tuple[Aval, ...]:
        """The types of the results."""
        return self._types.read(lengths, device)

    def kernel(self, lengths: tuple[int, ...]) -> Kernel | None:
        """The op on NumPy's arrays; None where only XLA computes it."""
        if self._written == _NOT_YET:
            closed = self.closed if self._make is None else self._make().closed
            self._written = Written.of(closed)
            self._keep()
        return None if self._written is None else self._written.kernel(lengths)


# A kernel is written when it is asked for.
_NOT_YET = "not yet"


def traced(function: Any, pattern: Pattern) -> Template | None:
    """The template of a function; None where it asks too much of a length."""
    try:
        return Template(jaxpr_of(function, structs_of(pattern)), len(pattern.symbols))
    except Exception:  # whatever it is: traced with numbers, it raises again or does not
        return None


class Templates:
    """Templates by pattern, of one op. A pattern has one from its second choice of lengths on.

    Most patterns come with one choice alone, and a trace with numbers takes less time. Programs are compiled from it, too.
    """

    def __init__(self) -> None:
        # Lengths as long as they are the only ones; None where there is no template.
        self._known: dict[Any, Template | tuple[int, ...] | None] = {}

    def known(self, pattern: Pattern) -> Template | None:
        """The template that was made for the pattern; None if there is none yet."""
        found = self._known.get((pattern, None))
        return found if isinstance(found, Template) else None

    def find(
        self,
        pattern: Pattern,
        lengths: tuple[int, ...],
        make: Callable[[], Template | None],
        key: Any = None,
    ) -> Template | None:
        """The result of `make` for the pattern; None where it gives nothing, and where these are its first lengths."""
        at = (pattern, key)
        if at not in self._known:
            if len(self._known) >= 256:
                self._known.clear()
            self._known[at] = lengths
            return None
        known: Template | tuple[int, ...] | None = self._known.get(at)
        if isinstance(known, tuple):
            if known == lengths:
                return None
            known = self._known[at] = make()
        return known
