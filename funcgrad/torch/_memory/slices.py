"""The engine's ops that read a view from its base, and that write a view into its base."""

from functools import lru_cache
from math import prod
from typing import Any

import jax.numpy as jnp

from funcgrad.engine import GraphNode, Op, Storage
from funcgrad.engine.derivatives import Node, node_type_of
from funcgrad.torch._memory.bits import as_complex, as_pairs
from funcgrad.torch._memory.layouts import Layout, layout_of, reader, writer
from funcgrad.torch._memory.storages import ViewStorage

# For a base that is not the plain memory: its layout (None for all of the memory) and offset. Then "real" or "complex" if the
# view sees the memory's elements so, else "".
Around = tuple[Layout | None, int, str] | None


def relative(around: Storage, storage: ViewStorage) -> tuple[Layout, Around]:
    """The view's layout in its base, whose storage is `around`; or in the memory, with the base's place in the memory."""
    given, wanted = around.aval.dtype, storage.aval.dtype
    kind = "" if given == wanted else "complex" if wanted.kind == "c" else "real"
    if isinstance(around, ViewStorage):
        return storage.layout, (around.layout, around.geometry.offset, kind)
    if kind:
        return storage.layout, (None, 0, kind)
    return layout_of(around.aval.shape, storage.geometry), None


# For each way to see a memory: the function, and its inverse.
_SEEN_AS = {"real": (as_pairs, as_complex), "complex": (as_complex, as_pairs)}


def _into_memory(around: Around, shape: tuple[int, ...]) -> Any:
    """The function (base) -> memory, and the function back (base, memory) -> new base.

    Args:
        around: the base's place in the memory.
        shape: the memory's shape as the view sees it.
    """
    if around is None:
        return lambda array: array, lambda array, memory: memory
    of, offset, kind = around

    def held(array: Any) -> Any:
        """The memory as the base sees it."""
        if of is None:
            return array
        return writer(of)(jnp.zeros(of.shape, array.dtype), jnp.int32(offset), array)

    def put(array: Any) -> Any:
        memory = held(array)
        if not kind:
            return memory
        flat = _SEEN_AS[kind][0](memory)[: prod(shape)]
        return jnp.pad(flat, (0, prod(shape) - flat.size)).reshape(shape)

    def take(array: Any, memory: Any) -> Any:
        if kind:
            before = held(array)
            flat = _SEEN_AS[kind][1](memory)[: before.size]
            # If the number of parts is odd, the last part stays unchanged.
            memory = jnp.concatenate([flat, before.reshape(-1)[flat.size :]]).reshape(before.shape)
        return memory if of is None else reader(of)(memory, jnp.int32(offset))

    return put, take


@lru_cache(maxsize=4096)
def as_strided(view: Layout, around: Around = None, label: str = "AsStridedBackward0") -> Op:
    """The op (base, offset) -> elements of a view."""
    put, _ = _into_memory(around, view.shape)
    read = reader(view)
    return Op(
        "as_strided",
        lambda base, offset: read(put(base), offset),
        label=label,
        counted=1,
        constants_from=1,
    )


class WriteOp(Op):
    """An op from base to base; `within` is the op that gives the new elements of the view."""

    __slots__ = ("within",)

    within: Op


@lru_cache(maxsize=4096)
def copy_slices(op: Op, view: Layout, around: Around) -> Op:
    """The op (base, *others, offset) -> the base with its view replaced by `op(view, *others)`."""
    put, take = _into_memory(around, view.shape)
    read, write = reader(view), writer(view)

    def function(base: Any, *rest: Any) -> Any:
        *others, offset = rest
        memory = put(base)
        new = op.function(read(memory, offset), *others)
        return take(base, write(memory, offset, new))

    counted = -1 if op.counted is None else op.counted
    made = WriteOp(
        f"{op.name} in a view", function, label="CopySlices", counted=counted, saves=(-1,)
    )
    made.within = op
    return made


def type_of_write(node: GraphNode) -> type:
    """The type of a node. For a write to a view: the type that the same op has outside a view."""
    op = node.rule.op if isinstance(node, Node) else None
    return node_type_of(op.within) if isinstance(op, WriteOp) else type(node)
