"""The entry for JAX functions: each becomes a differentiable op of tensors."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from funcgrad.engine import Op, record
from funcgrad.engine.ops import remember
from funcgrad.torch._tensor.layout import is_tensor
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import tensor_of

_TENSOR = object()  # stands for a tensor among the arguments' leaves


def from_jax(function: Callable[..., Any], name: str | None = None) -> Callable[..., Any]:
    """A JAX function of arrays as an op of tensors: recorded, compiled and differentiated like any other.

    Args:
        function: pure and traceable; takes and returns arrays, in any pytree. JAX's 64-bit types are on while it runs, so
            arrays made without a dtype, such as `jnp.zeros(3)`, have 64 bits.
        name: the op's name, after which the graph node is named; the function's own name if None.

    Returns:
        A function that takes tensors where `function` takes arrays, and returns tensors in the same pytree. Any other
        argument must be hashable, and is a constant of the op. Give a number that often changes as a tensor.

    Raises:
        TypeError: `function` is not callable. The returned function raises it if an argument is neither a tensor nor
            hashable, or if `function` returns no array.

    >>> import jax.numpy as jnp
    >>> import funcgrad.torch as torch
    >>> sinc = torch.from_jax(jnp.sinc)
    >>> x = torch.tensor(0.5, requires_grad=True)
    >>> y = sinc(x)
    >>> y
    tensor(0.6366, grad_fn=<SincBackward>)
    >>> y.backward()
    >>> x.grad
    tensor(-1.2732)
    """
    if not callable(function):
        raise TypeError(f"expected a function of arrays, got {type(function).__name__}")
    title = str(name or getattr(function, "__name__", type(function).__name__))
    label = f"{''.join(word.capitalize() for word in title.split('_'))}Backward"
    ops: dict[Any, tuple[Op, dict[str, Any]]] = {}

    def op_for(structure: Any, constants: tuple[Any, ...]) -> tuple[Op, dict[str, Any]]:
        """The op with these constants, and the dict that holds the structure of its results once it is traced."""
        shape: dict[str, Any] = {}

        def flat(*arrays: Any) -> Any:
            given = iter(arrays)
            leaves = [next(given) if each is _TENSOR else each for each in constants]
            args, kwargs = jax.tree.unflatten(structure, leaves)
            results, shape["results"] = jax.tree.flatten(function(*args, **kwargs))
            if not results:
                raise TypeError(f"{title} returned no array")
            return tuple(results)

        return Op(title, flat, label=label), shape

    @functools.wraps(function)
    def op(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, kwargs), is_leaf=is_tensor)
        constants = tuple(_TENSOR if is_tensor(leaf) else leaf for leaf in leaves)
        # Equal numbers of different types, such as 1 and 1.0, are different constants.
        key = structure, constants, tuple(map(type, constants))
        try:
            known = ops.get(key) or remember(ops, key, op_for(structure, constants))
        except TypeError as error:
            raise TypeError(
                f"{title}: what is no tensor among the arguments is a constant, and has to be hashable ({error}); give "
                "arrays as tensors"
            ) from None
        results = record(known[0], [leaf for leaf in leaves if is_tensor(leaf)])
        if isinstance(results, tuple):
            results = [results]
        tensors = [tensor_of(*result) for result in results]
        return jax.tree.unflatten(known[1]["results"], tensors)

    return op


publish_all({"from_jax": from_jax}, {})
