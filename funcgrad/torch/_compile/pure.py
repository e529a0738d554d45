"""Where the two halves meet: a function written with tensors becomes a pure function of arrays.

Inside a JAX transformation tensors carry tracers and ops apply at once, so tracing imperative code, `.backward()` and
in-place updates included, gives a pure program.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax

from funcgrad.engine import Value, grad_mode, local
from funcgrad.torch._compile.derivatives import Program
from funcgrad.torch._compile.plan import is_tensor
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
        return _Call(function, args, kwargs, wants_grad, updated).result()

    return purified


class _Call:
    """One call of a pure function: its arguments apart, arrays on one side and the rest on the other.

    Args:
        function: what is called, with tensors in place of the arrays.
        args, kwargs: its arguments.
        wants_grad, updated: positions among `args`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wants_grad: tuple[int, ...],
        updated: tuple[int, ...],
    ) -> None:
        self.function, self.updated = function, updated
        self.graphs = local.recorder.grad_enabled
        parts = [jax.tree.flatten(arg, is_leaf=is_tensor) for arg in (*args, kwargs)]
        self.trees = [tree for _, tree in parts]
        self.leaves = [leaves for leaves, _ in parts]
        self.arrays = [_array(leaf) for leaves in self.leaves for leaf in leaves if _is_array(leaf)]
        self.leads = [
            k in wants_grad
            for k, leaves in enumerate(self.leaves)
            for leaf in leaves
            if _is_array(leaf)
        ]

    def result(self) -> Any:
        """What the pure function returns."""
        transformed = any(isinstance(array, jax.core.Tracer) for array in self.arrays)
        program = Program(self.body, self.enter, len(self.arrays), transformed)
        results = iter(program(*self.arrays))
        leaves, tree = self.output
        return tree.unflatten([next(results) if leaf is _RESULT else leaf for leaf in leaves])

    @contextmanager
    def enter(self, values: Sequence[Value]) -> Iterator[list[Tensor]]:
        """The tensors of a call."""
        tensors = [tensor_of(value) for value in values]
        for tensor, leads in zip(tensors, self.leads, strict=True):
            if leads:
                tensor.requires_grad_()
        yield tensors

    def body(self, tensors: list[Tensor], edges: Any, graph: bool) -> list[Tensor]:
        """Call the function; returns the tensors among its results."""
        given = iter(tensors)
        held, filled = [], []
        for leaves in self.leaves:
            filled.append([next(given) if _is_array(leaf) else leaf for leaf in leaves])
            held.append([(t, t._storage.value) for t in filled[-1] if is_tensor(t)])
        *args, kwargs = [
            tree.unflatten(leaves) for tree, leaves in zip(self.trees, filled, strict=True)
        ]
        with grad_mode(self.graphs):
            output = self.function(*args, **kwargs)
        for k, before in enumerate(held):
            if k not in self.updated and any(t._storage.value is not value for t, value in before):
                raise ValueError(
                    f"argument {k} was changed in place: name its position in `updates`, so that the pure function "
                    "can return its new elements"
                )
        if self.updated:
            output = output, tuple([args[k] for k in self.updated])
        leaves, tree = jax.tree.flatten(output, is_leaf=is_tensor)
        self.output = [_RESULT if is_result(leaf) else leaf for leaf in leaves], tree
        return [_tensor(leaf) for leaf in leaves if is_result(leaf)]


_RESULT = object()  # in place of a tensor among what a function returned


def is_result(leaf: Any) -> bool:
    """Whether a leaf of what a function returned is a tensor or an array of JAX's."""
    return isinstance(leaf, (Tensor, jax.Array))


def _tensor(leaf: Any) -> Tensor:
    return leaf if is_tensor(leaf) else tensor_of(Value.of(leaf))


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) or (hasattr(leaf, "shape") and hasattr(leaf, "dtype"))


def _array(leaf: Any) -> Any:
    """The elements of an argument."""
    return leaf._array() if isinstance(leaf, Tensor) else leaf


def _positions(given: int | Sequence[int]) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else tuple(given)
