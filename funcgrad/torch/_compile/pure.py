"""Where the two halves meet: a function written with tensors becomes a pure function of arrays.

Inside a JAX transformation tensors carry tracers and ops apply at once, so tracing imperative code, `.backward()` and
in-place updates included, gives a pure program.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from funcgrad.engine import Value
from funcgrad.engine.compiling import placed
from funcgrad.torch._tensor.tensor import Tensor, tensor_of


def pure(
    function: Callable[..., Any],
    *,
    requires_grad: int | Sequence[int] = (),
    updates: int | Sequence[int] = (),
) -> Callable[..., Any]:
    """A function written with `funcgrad.torch` as a pure function of arrays, which JAX can transform.

    Args:
        function: takes tensors, in any pytree, and returns them; anything that is no array passes unchanged.
        requires_grad: positions of the arguments whose tensors shall require grad inside.
        updates: positions of the arguments that `function` changes in place. The pure function then returns
            `(output, updated)`, with the new elements of each of them in `updated`; no array is changed.

    Returns:
        A function of arrays (or tensors, whose arrays are taken) that returns arrays.

    Raises:
        ValueError: when called, if `function` changed an argument in place that `updates` does not name.

    >>> import jax, jax.numpy as jnp
    >>> import funcgrad
    >>> import funcgrad.torch as torch
    >>> def step(w, x, y):
    ...     loss = ((x @ w - y) ** 2).mean()
    ...     loss.backward()
    ...     w.data -= 0.5 * w.grad
    ...     return loss
    >>> pure_step = jax.jit(funcgrad.pure(step, requires_grad=0, updates=0))
    >>> loss, (w,) = pure_step(jnp.zeros(1), jnp.ones((2, 1)), jnp.ones(2))
    >>> float(loss), w.tolist()
    (1.0, [1.0])
    """
    wants_grad = _positions(requires_grad)
    updated = _positions(updates)

    @functools.wraps(function)
    def purified(*args: Any, **kwargs: Any) -> Any:
        tensors = [_lift(arg, k in wants_grad) for k, arg in enumerate(args)]
        before = [[(t, t._storage.value) for t in _tensors(arg)] for arg in tensors]
        output = function(*tensors, **{name: _lift(arg, False) for name, arg in kwargs.items()})
        for k, held in enumerate(before):
            if k not in updated and any(t._storage.value is not value for t, value in held):
                raise ValueError(
                    f"argument {k} was changed in place: name its position in `updates`, so that the pure function "
                    "can return its new elements"
                )
        result = _lower(output)
        if not updated:
            return result
        return result, tuple(_lower(tensors[k]) for k in updated)

    return purified


def _positions(given: int | Sequence[int]) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else tuple(given)


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in jax.tree.leaves(tree, is_leaf=_is_tensor) if _is_tensor(leaf)]


def _lift(tree: Any, requires_grad: bool) -> Any:
    """Every array and tensor in a pytree as a tensor of its own."""

    def lift(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            tensor = tensor_of(Value.of(leaf._array()))
        elif hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
            tensor = tensor_of(Value.of(leaf if isinstance(leaf, jax.Array) else placed(leaf)))
        else:
            return leaf
        return tensor.requires_grad_() if requires_grad else tensor

    return jax.tree.map(lift, tree, is_leaf=_is_tensor)


def _lower(tree: Any) -> Any:
    """Every tensor in a pytree as its array."""
    return jax.tree.map(
        lambda leaf: leaf._array() if _is_tensor(leaf) else leaf, tree, is_leaf=_is_tensor
    )
