"""Tells runs apart by their constants, arrays and functions, so that none resumes from the checkpoint of another."""

import hashlib
import types
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

# Arrays up to this size are told apart by all their bytes, larger ones by rows taken at even distances.
_CHEAP = 1 << 26


def constants_of(value: Any) -> dict[str, Any]:
    """Return every number in a function or optimizer, by where it is, as JSON values.

    A function's numbers are in its defaults, in its code, and in the objects it closes over: functions,
    arrays, tuples, dictionaries and pytrees, as deep as they go. Names that it takes from its module stand
    for themselves, and so does any other object.

    >>> from functools import partial
    >>> constants_of(partial(pow, exp=3))
    {'': 'builtins.pow', 'exp': 3}
    """
    return dict(_constants(value, "", set()))


def digest_of(tree: PyTree) -> list[str]:
    """Return the dtype, shape and a digest of each array of a pytree.

    The digest is over its bytes, or over some rows of a large array; if the array lies in several processes, over the
    part in this one.
    """
    return [_digest(leaf) for leaf in jax.tree.leaves(tree)]


def _constants(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if value is None or isinstance(value, bool | int | str):
        yield name, value
        return
    if isinstance(value, float | complex):
        yield name, repr(value)  # JSON has no NaN, which would differ from itself
        return
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        yield name, _digest(value)
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    yield name, _name_of(value)
    for part, inner in _parts(value):
        yield from _constants(inner, f"{name}.{part}" if name else part, seen)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a value that may hold numbers, by name."""
    if isinstance(value, partial):
        yield from _parts_of_partial(value)
    elif isinstance(value, types.MethodType):
        yield "self", value.__self__
        yield "function", value.__func__
    elif isinstance(value, types.FunctionType):
        yield from _parts_of_function(value)
    elif hasattr(value, "__wrapped__"):  # such as what jax.jit returns
        yield "wrapped", value.__wrapped__
    elif isinstance(value, dict):
        yield from ((str(key), value[key]) for key in sorted(value, key=str))
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, list | tuple):
        yield from ((str(j), item) for j, item in enumerate(value))
    else:
        leaves = jax.tree_util.tree_leaves_with_path(value)
        yield from ((jax.tree_util.keystr(path), leaf) for path, leaf in leaves if path)


def _parts_of_partial(value: Any) -> Iterator[tuple[str, Any]]:
    yield "", value.func
    yield from ((str(j), item) for j, item in enumerate(value.args))
    yield from sorted(value.keywords.items())


def _parts_of_function(value: types.FunctionType) -> Iterator[tuple[str, Any]]:
    yield from _numbers_in(value.__code__)
    for j, default in enumerate(value.__defaults__ or ()):
        yield f"default {j}", default
    yield from sorted((value.__kwdefaults__ or {}).items())
    for free, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
        try:
            yield free, cell.cell_contents
        except ValueError:  # a name that has no value yet
            continue


def _numbers_in(code: types.CodeType) -> Iterator[tuple[str, Any]]:
    constants = code.co_consts
    numbers = [item for item in constants if isinstance(item, int | float | complex)]
    if numbers:
        yield "code", ", ".join(map(repr, numbers))
    for j, inner in enumerate(item for item in constants if isinstance(item, types.CodeType)):
        for name, found in _numbers_in(inner):
            yield f"{inner.co_name} {j} {name}", found


def _name_of(value: Any) -> str:
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{getattr(named, '__module__', '')}.{named.__qualname__}"


def _digest(leaf: Any) -> str:
    if isinstance(leaf, jax.Array):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        parts = [shard.data for shard in leaf.addressable_shards if shard.replica_id == 0]
    else:
        leaf = np.asarray(leaf)
        parts = [leaf]
    digest = hashlib.sha256()
    for part in parts:
        rows = 1 if part.nbytes <= _CHEAP or not part.shape else -(-part.nbytes // _CHEAP)
        taken = part if rows == 1 else part[::rows]
        digest.update(np.ascontiguousarray(np.asarray(taken)).tobytes())
    return f"{leaf.dtype}{list(leaf.shape)} {digest.hexdigest()[:16]}"
