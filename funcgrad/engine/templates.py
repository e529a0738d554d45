"""One trace of an op for all lengths of its arguments: code that meets a new length at each step does not wait for tracing.

JAX traces a function with symbols for lengths, as `jax.export` has them. Lengths that are equal share a symbol, and 0 and 1
stay numbers, since functions treat them in their own way. A function that asks more of a length than symbols can answer has
no template: it is traced for each choice of lengths.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import jax
from jax import export

from funcgrad.engine.kernels import DIMENSIONS, Kernel, Written
from funcgrad.engine.tracing import jaxpr_of
from funcgrad.engine.values import Aval


class Pattern(NamedTuple):
    """The common part of types that differ in their lengths alone.

    Attributes:
        types: for each argument its dtype, its device, and for each dimension the number of its symbol; -1 for a length of 1,
            and -2 for 0.
    """

    types: tuple[tuple[Any, Any, tuple[int, ...]], ...]

    @property
    def symbols(self) -> tuple[Any, ...]:
        """The symbols for its lengths."""
        return _symbols(1 + max((n for *_, dims in self.types for n in dims), default=-1))


@lru_cache(256)
def pattern_of(avals: tuple[Aval, ...]) -> tuple[Pattern, tuple[int, ...]]:
    """The pattern of some types, and the length that each symbol stands for."""
    symbols: dict[int, int] = {}
    types = tuple(
        [
            (
                aval.dtype,
                aval.device,
                tuple(
                    [symbols.setdefault(n, len(symbols)) if n > 1 else n - 2 for n in aval.shape]
                ),
            )
            for aval in avals
        ]
    )
    return Pattern(types), tuple(symbols)


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
        avals: the types as JAX writes them.
        count: how many symbols there are.
    """

    def __init__(self, avals: Sequence[Any], count: int) -> None:
        self._dtypes = [aval.dtype for aval in avals]
        shapes = repr([tuple(aval.shape) for aval in avals])
        if "^" in shapes:
            raise NotImplementedError
        names = ", ".join([f"d{k}" for k in range(count)])
        self._shapes = eval(f"lambda {names}: {shapes}", dict(DIMENSIONS))

    def read(self, lengths: tuple[int, ...], device: Any) -> tuple[Aval, ...]:
        """The types for these lengths."""
        shapes = self._shapes(*lengths)
        return tuple(
            [Aval(shape, dtype, device) for shape, dtype in zip(shapes, self._dtypes, strict=True)]
        )


def named(lengths: tuple[int, ...]) -> dict[str, int]:
    """The lengths by the names of their symbols."""
    return {f"d{k}": n for k, n in enumerate(lengths)}


class Template:
    """The types and the kernel of an op, for all arguments of a pattern.

    Args:
        closed: the jaxpr, with symbols.
        pattern: the pattern.
    """

    def __init__(self, closed: Any, pattern: Pattern) -> None:
        self.closed = closed
        self._types = Types(closed.out_avals, len(pattern.symbols))
        self._written = Written.of(closed)

    def types(self, lengths: tuple[int, ...], device: Any) -> tuple[Aval, ...]:
        """The types of the results."""
        return self._types.read(lengths, device)

    def kernel(self, lengths: tuple[int, ...]) -> Kernel | None:
        """The op on NumPy's arrays; None where only XLA computes it."""
        return None if self._written is None else self._written.kernel(named(lengths))


def traced(function: Any, pattern: Pattern) -> Template | None:
    """The template of a function; None where it asks too much of a length."""
    try:
        return Template(jaxpr_of(function, structs_of(pattern)), pattern)
    except Exception:  # whatever it is: traced with numbers, it raises again or does not
        return None


class Templates:
    """Templates by pattern. A pattern has one from its second choice of lengths on: most come with one alone."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def find(self, pattern: Pattern, lengths: tuple[int, ...], make: Any, key: Any = None) -> Any:
        """The result of `make` for the pattern; None where it gives nothing, and where these are its first lengths."""
        at = (pattern, key)
        known = self._known.get(at)
        if known is None:
            if len(self._known) >= 256:
                self._known.clear()
            self._known[at] = lengths
            return None
        if type(known) is tuple:
            if known == lengths:
                return None
            known = self._known[at] = make() or False
        return known or None
