"""`vmap`: a function of single examples as one of batches."""

import functools
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from funcgrad.engine.levels import BatchLevel
from funcgrad.engine.values import Wrapped
from funcgrad.torch._func.inputs import InputStorage, enter, looked_at, settled_tensor
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.views.views import expand, movedim
from funcgrad.torch._random.generator import default_generator
from funcgrad.torch._tensor.axes import concatenate, move_axis, take
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.trees import broadcast, flatten, leaves_of, unflatten

RANDOMNESS = ("error", "different", "same")


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """`func` mapped over a dimension of its arguments, each op by `jax.vmap`.

    Args:
        func: takes tensors, nested at will, and returns one or more.
        in_dims: the dimension of each argument to map over, nested as the arguments; None: not mapped.
        out_dims: the position of the batch dimension in each result.
        randomness: random functions in `func` raise ("error"), or draw "same" or "different" numbers for each example.
        chunk_size: how many to map over at once; all if None.

    Raises:
        ValueError: `in_dims` or `out_dims` do not fit, or sizes differ, or a result is not a tensor.
        RuntimeError: when called, if `func` reads a mapped tensor's elements.

    >>> import funcgrad.torch as torch
    >>> torch.vmap(torch.dot)(torch.ones(2, 3), torch.ones(2, 3))
    tensor([3., 3.])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.vmap.html
    """
    if randomness not in RANDOMNESS:
        raise RuntimeError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}"
        )
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        name = _name(func)
        _check_out_dims(out_dims, name)
        flat, dims, spec = _with_dims(args, in_dims, name)
        size = _batch_size(flat, dims)

        def call(leaves: Sequence[Any], size: int) -> Any:
            with BatchLevel(size, randomness) as level:
                inputs = [
                    leaf if dim is None else batch_of(level, leaf, dim)
                    for leaf, dim in zip(leaves, dims, strict=True)
                ]
                output = looked_at(func(*unflatten(inputs, spec), **kwargs))
            return _unbatched(level, output, out_dims, name)

        if chunk_size is None:
            return call(flat, size)
        return _in_chunks(call, flat, dims, size, chunk_size, out_dims, randomness)

    return mapped


def batch_of(level: BatchLevel, tensor: Tensor, dim: int) -> Tensor:
    """One example of a tensor, with dimension `dim` as the batch."""

    def wrap(tensor: Tensor) -> Any:
        return level.wrap_batch(tensor, dim)

    return enter(level, tensor, wrap)


def unbatch(level: BatchLevel, tensor: Tensor, dim: int) -> Tensor:
    """A result of a mapped function, with the batch along `dim`."""
    storage = tensor._storage
    value = storage.read()
    dim = wrap_dim(dim, len(value.aval.shape) + 1)
    if isinstance(value, Wrapped) and value.level is level and value.axis is not None:
        if isinstance(storage, InputStorage):
            # The function returned an argument: give the tensor itself, or a view of it.
            given = storage.tensor
            return given if value.axis == dim else movedim(given, value.axis, dim)
        return settled_tensor(move_axis(value.inner, value.axis, dim))
    repeated = expand(settled_tensor(tensor), level.size, *value.aval.shape)
    return movedim(repeated, 0, dim) if dim else repeated


def _name(func: Any) -> str:
    if hasattr(func, "__name__"):
        return func.__name__
    if isinstance(func, functools.partial):
        return f"functools.partial({_name(func.func)}, ...)"
    return repr(func)


def _check_out_dims(out_dims: Any, name: str) -> None:
    if isinstance(out_dims, int):
        return
    for dim in leaves_of(out_dims):
        if dim is not None and not isinstance(dim, int):
            raise ValueError(
                f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of "
                "ints representing where in the outputs the vmapped dimension should appear."
            )


def _with_dims(
    args: tuple[Any, ...], in_dims: Any, name: str
) -> tuple[list[Any], list[int | None], Any]:
    """The arguments' leaves, the mapped dimension of each, and their tree structure."""
    called = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{called}: expected `in_dims` to be int or a (potentially nested) tuple matching the structure of "
            f"inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a "
            "function with no inputs. The latter is unsupported."
        )
    flat, spec = flatten(args)
    dims = broadcast(in_dims, spec)
    if dims is None:
        raise ValueError(
            f"{called}: in_dims is not compatible with the structure of `inputs`. in_dims has structure "
            f"{flatten(in_dims)[1]} but inputs has structure {spec}."
        )
    for position, (leaf, dim) in enumerate(zip(flat, dims, strict=True)):
        if dim is None:
            continue
        if not isinstance(dim, int):
            raise ValueError(
                f"{called}: Got in_dim={dim} for an input but in_dim must be either an integer dimension or None."
            )
        if not isinstance(leaf, Tensor):
            raise ValueError(
                f"{called}: Got in_dim={dim} for an input but the input is of type {type(leaf)}. We cannot vmap over "
                "non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -leaf.ndim <= dim < leaf.ndim:
            raise ValueError(
                f"{called}: Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {leaf.ndim} "
                f"so expected in_dim to satisfy -{leaf.ndim} <= in_dim < {leaf.ndim}."
            )
        dims[position] = dim % leaf.ndim
    return flat, dims, spec


def _batch_size(flat: Sequence[Any], dims: Sequence[int | None]) -> int:
    sizes = [leaf.shape[dim] for leaf, dim in zip(flat, dims, strict=True) if dim is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(size != sizes[0] for size in sizes):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return sizes[0]


def _unbatched(level: BatchLevel, output: Any, out_dims: Any, name: str) -> Any:
    flat, spec = flatten(output)
    dims: list[Any] | None
    if isinstance(output, Tensor) and isinstance(out_dims, tuple) and len(out_dims) == 1:
        dims = list(out_dims)
    else:
        dims = broadcast(out_dims, spec)
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of "
            f"`outputs`. out_dims has structure {flatten(out_dims)[1]} but outputs has structure {spec}."
        )
    results = []
    for leaf, dim in zip(flat, dims, strict=True):
        if dim is None:
            value = leaf._storage.read() if isinstance(leaf, Tensor) else None
            if isinstance(value, Wrapped) and value.level is level:
                raise ValueError(
                    f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None"
                )
            results.append(leaf)
        elif not isinstance(leaf, Tensor):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(leaf)}. Did you mean to set "
                "out_dims= to None for output?"
            )
        else:
            results.append(unbatch(level, leaf, dim))
    return unflatten(results, spec)


def _in_chunks(
    call: Callable[[Sequence[Any], int], Any],
    flat: Sequence[Any],
    dims: Sequence[int | None],
    size: int,
    chunk_size: int,
    out_dims: Any,
    randomness: str,
) -> Any:
    """Map over one chunk after the other, and join the results."""
    state = default_generator.position() if randomness == "same" else None
    parts = []
    spec = None
    for start, stop in chunks(size, chunk_size):
        if state is not None:
            default_generator.go_to(state)
        leaves = [
            leaf if dim is None else take(leaf, start, stop, dim)
            for leaf, dim in zip(flat, dims, strict=True)
        ]
        found, spec = flatten(call(leaves, stop - start))
        parts.append(found)
    where = broadcast(out_dims, spec) or []  # type: ignore[arg-type]
    joined = [
        concatenate(each, wrap_dim(dim, each[0].ndim))
        for dim, each in zip(where, zip(*parts, strict=True), strict=True)
    ]
    return unflatten(joined, spec)  # type: ignore[arg-type]


def chunks(size: int, chunk_size: int) -> list[tuple[int, int]]:
    """The start and stop of each chunk of `size` items."""
    whole, rest = divmod(size, chunk_size)
    stops = list(accumulate([chunk_size] * whole + ([rest] if rest else [])))
    return list(zip([0, *stops], stops, strict=False))


def over_cotangents(
    walk: Callable[[list[Tensor]], Sequence[Tensor | None]], cotangents: Sequence[Any]
) -> tuple[Tensor | None, ...]:
    """Backward for a batch of cotangents: `is_grads_batched` of `torch.autograd.grad`.

    Raises:
        ValueError: a cotangent has no dimension, or the batches differ in size, or there is none.
    """
    if not all(each.ndim for each in cotangents):
        raise ValueError(
            "vmap(vjp, in_dims=0, ...)(<inputs>): Got in_dim=0 for some input, but that input is a Tensor of "
            "dimensionality 0 so expected in_dim to satisfy 0 <= in_dim < 0."
        )
    size = _batch_size(cotangents, [0] * len(cotangents))
    with BatchLevel(size) as level:
        found = walk([batch_of(level, cotangent, 0) for cotangent in cotangents])
    return tuple([each if each is None else unbatch(level, each, 0) for each in found])
