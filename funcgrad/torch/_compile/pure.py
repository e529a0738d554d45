"""Where the two halves meet: a function written with tensors becomes a pure function of arrays.

Inside a JAX transformation tensors carry tracers and ops apply at once, so tracing imperative code, `.backward()` and
in-place updates included, gives a pure program.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from funcgrad.engine import Value, grad_mode, local
from funcgrad.teaching import cured
from funcgrad.torch._compile.boundary import guarded
from funcgrad.torch._compile.derivatives import Program
from funcgrad.torch._compile.modules import (
    array_of_key,
    check_names,
    held,
    is_module,
    key_of,
    load,
    swapped,
)
from funcgrad.torch._compile.objects import Objects, array_of, number_of, tensor_from
from funcgrad.torch._compile.plan import tensors_in
from funcgrad.torch._random.keys import drawing_from
from funcgrad.torch._tensor.layout import is_tensor
from funcgrad.torch._tensor.tensor import Tensor, tensor_of


def pure(
    function: Callable[..., Any],
    *,
    requires_grad: int | Sequence[int] = (),
    updates: int | Sequence[int] = (),
    state: Any = None,
) -> Callable[..., Any]:
    """A function written with `funcgrad.torch` as a pure function of arrays, which JAX can transform.

    **Derivatives** by JAX (`jax.grad`, `jax.jvp`, `jax.hessian`, ...) come from the tape, and agree with
    `function(w).backward()`: `detach()`, `.data` and `no_grad` stop gradients, a custom function uses its own derivative,
    hooks are called. JAX's `argnums` selects the arguments to differentiate. Arguments in `requires_grad` are also leaves
    inside the function, and accumulate `.grad`. Inside a transformation every floating argument requires grad. PyTorch has
    no gradient of a loss returned after its `.backward()`, or of a result made from `.grad`, because it frees graphs or
    makes none; the derivative here is exact. Forward mode (`jax.jvp`, `jax.hessian`) is refused where a hook or a custom
    backward adds a term of its own, which has no tangent; inside `jax.jit` this is not noticed of a custom function with
    several outputs.

    **State** from outside is not touched. It is an error to write to a tensor that is not an argument, to ask for its
    gradient, or to draw random numbers inside a transformation. With `state`, outside tensors and optimizers go in and
    come out as arrays. A generator cannot, because its numbers are drawn outside of JAX: draw them outside the function, and
    pass them as an argument.

    Args:
        function: takes and returns tensors, in any pytree; anything that is not an array passes unchanged.
        requires_grad: positions of the arguments whose tensors require grad inside.
        updates: positions of the arguments that `function` changes in place. The pure function then returns
            `(output, updated)`, with the new elements of each of them in `updated`; no array is changed.
        state: tensors and optimizers that `function` uses besides its arguments, in any pytree. The pure function is then
            `(state, *args) -> (state, output)`, and has two methods: `state()` returns their present content as a
            pytree of arrays, and `load(state)` puts such a pytree back. The pytree includes gradients and learning rates;
            other options are part of the program. The first step of an optimizer adds gradients and buffers, and so
            changes the pytree's structure: begin a `jax.lax.scan` after one step.

    **A module** of `torch.nn` in place of the function gives `(parameters, buffers, *args, random_key=None, **kwargs) ->
    (output, buffers)`, where parameters and buffers are dictionaries of arrays by name. Dropout, `rand`, `randn`,
    `rand_like`, `randn_like` and fills such as `normal_` draw from `random_key`, a key of `jax.random`: draw k, from 0, has the
    key `jax.random.fold_in(random_key, k)`. Other draws, such as `multinomial`, come from PyTorch's stream, and fail inside
    a transformation. The function has three methods: `parameters()` and `buffers()` return the module's, and
    `load(parameters, buffers)` puts arrays back into the module.

    Returns:
        A function of arrays (or tensors, whose arrays are taken) that returns arrays.

    Raises:
        TypeError: `function` is not callable, a position is no integer, or `state` holds an object of another type.
        ValueError: a tensor of `state` is a view or a result. When called: a position is out of range, or `function`
            changed an argument in place that `updates` does not name.
        RuntimeError: when called, for the errors under State above.

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

    With a state:

    >>> w = torch.zeros(1, requires_grad=True)
    >>> optimizer = torch.optim.SGD([w], lr=0.5)
    >>> def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = ((x @ w - y) ** 2).mean()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> pure_step = funcgrad.pure(step, state=optimizer)
    >>> state, loss = jax.jit(pure_step)(pure_step.state(), jnp.ones((2, 1)), jnp.ones(2))
    >>> w.tolist()
    [0.0]
    >>> pure_step.load(state)
    >>> w.tolist()
    [1.0]

    A module, trained by `jax.grad`:

    >>> module = torch.nn.Linear(1, 1)
    >>> forward = funcgrad.pure(module)
    >>> def loss(parameters, x, y):
    ...     prediction, _ = forward(parameters, forward.buffers(), x)
    ...     return ((prediction - y) ** 2).mean()
    >>> gradients = jax.grad(loss)(forward.parameters(), jnp.ones((2, 1)), jnp.ones((2, 1)))
    >>> sorted(gradients)
    ['bias', 'weight']
    >>> forward.load({"bias": jnp.ones(1), "weight": jnp.zeros((1, 1))})
    >>> module.bias.data
    tensor([1.])
    """
    if not callable(function):
        raise TypeError(f"pure takes a function of tensors or a module; got {function!r}")
    if state is None and is_module(function):
        if requires_grad != () or updates != ():
            raise ValueError("a module's parameters and buffers are arguments already")
        return _pure_module(function)
    wants_grad = _positions(requires_grad, "requires_grad")
    updated = _positions(updates, "updates")
    objects = None if state is None else Objects(state)

    @functools.wraps(function)
    def purified(*args: Any, **kwargs: Any) -> Any:
        if objects is not None:
            if not args:
                raise ValueError(
                    "the first argument is the state: begin with what `state()` returns"
                )
            objects.check(args[0])
        given = len(args) - (objects is not None)
        for name, positions in (("requires_grad", wants_grad), ("updates", updated)):
            for k in positions:
                if k >= given:
                    raise ValueError(
                        f"{name} names argument {k}, and there are {given}, counted from 0"
                    )
        return _Call(function, objects, args, kwargs, wants_grad, updated).result()

    if objects is not None:
        purified.state = lambda: objects.tree(array_of)  # type: ignore[attr-defined]
        purified.load = functools.partial(_load, objects)  # type: ignore[attr-defined]
    return purified


def _pure_module(module: Any) -> Callable[..., Any]:
    """The pure function of a module; see `pure`."""

    def call(
        parameters: Any, buffers: Any, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        with swapped(module, {**parameters, **buffers}), drawing_from(key_of(key)):
            return module(*args, **kwargs), held(module, "buffers")

    purified = pure(call, updates=1)

    @functools.wraps(module.forward)
    def forward(
        parameters: Any, buffers: Any, *args: Any, random_key: Any = None, **kwargs: Any
    ) -> Any:
        check_names(module, parameters, buffers)
        key = None if random_key is None else array_of_key(random_key)
        (output, after), _ = purified(dict(parameters), dict(buffers), key, args, kwargs)
        return output, after

    forward.parameters = lambda: _arrays(module, "parameters")  # type: ignore[attr-defined]
    forward.buffers = lambda: _arrays(module, "buffers")  # type: ignore[attr-defined]
    forward.load = functools.partial(load, module)  # type: ignore[attr-defined]
    return forward


def _arrays(module: Any, kind: str) -> dict[str, Any]:
    return {name: tensor._array() for name, tensor in held(module, kind).items()}


def _load(objects: Objects, state: Any) -> None:
    """Put the arrays of a state into its objects.

    Raises:
        ValueError: the state does not fit the objects.
    """
    objects.check(state)
    objects.put(jax.tree.map(tensor_from, state), number_of)


class _Call:
    """One call of a pure function: its arguments, split into arrays and the rest.

    Args:
        function: called with tensors in place of the arrays.
        objects: its state, if it has one; the state's arrays are then the first argument.
        args, kwargs: the arguments.
        wants_grad, updated: positions among those of the function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        objects: Objects | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wants_grad: tuple[int, ...],
        updated: tuple[int, ...],
    ) -> None:
        self.function, self.objects, self.updated = function, objects, updated
        self.graphs = local.recorder.grad_enabled
        first = 0 if objects is None else 1
        parts = [jax.tree.flatten(arg, is_leaf=is_tensor) for arg in (*args, kwargs)]
        self.trees = [tree for _, tree in parts]
        self.leaves = [leaves for leaves, _ in parts]
        self.arrays = [_array(leaf) for leaves in self.leaves for leaf in leaves if _is_array(leaf)]
        self.leads = [
            k - first in wants_grad
            for k, leaves in enumerate(self.leaves)
            for leaf in leaves
            if _is_array(leaf)
        ]
        self.transformed = any(isinstance(array, jax.core.Tracer) for array in self.arrays)

    def result(self) -> Any:
        """The pure function's result."""
        program = Program(self.body, self.enter, len(self.arrays), self.transformed)
        results = iter(program(*self.arrays))
        leaves, tree = self.output
        filled = [next(results) if leaf is _RESULT else leaf for leaf in leaves]
        return jax.tree.unflatten(tree, filled)

    @contextmanager
    def enter(self, values: Sequence[Value]) -> Iterator[list[Tensor]]:
        """The tensors of a call."""
        with guarded(values, self.transformed):
            tensors = [tensor_of(value) for value in values]
            for tensor, leads in zip(tensors, self.leads, strict=True):
                if leads:
                    tensor.requires_grad_()
            if self.objects is None:
                yield tensors
                return
            held, *_ = self._filled(tensors)
            with self.objects.holding(held):
                # For a leaf of the state the input is the leaf itself, not the tensor that carried its elements.
                inputs = {
                    id(a): b for a, b in zip(held["tensors"], self.objects.tensors, strict=True)
                }
                yield [inputs.get(id(tensor), tensor) for tensor in tensors]

    def _filled(self, tensors: Sequence[Tensor]) -> list[Any]:
        """The arguments, with these tensors in place of their arrays."""
        given = iter(tensors)
        return [
            jax.tree.unflatten(tree, [next(given) if _is_array(leaf) else leaf for leaf in leaves])
            for tree, leaves in zip(self.trees, self.leaves, strict=True)
        ]

    def body(self, tensors: list[Tensor], edges: Any, graph: bool) -> list[Tensor]:
        """Call the function; returns the tensors among its results."""
        *args, kwargs = self._filled(tensors)
        if self.objects is not None:
            del args[0]
        held = [[(t, t._storage.read()) for t in tensors_in(arg)] for arg in args]
        try:
            with grad_mode(self.graphs):
                output = self.function(*args, **kwargs)
        except ValueError as error:
            if "__jax_array__" in str(error):  # a function of JAX's was given a tensor
                cured(error, "a tensor in a function of JAX")
            raise
        for k, before in enumerate(held):
            if k not in self.updated and any(t._storage.read() is not value for t, value in before):
                raise ValueError(
                    f"argument {k} was changed in place: name its position in `updates`, so that the pure function "
                    "can return its new elements"
                )
        if self.updated:
            output = output, tuple([args[k] for k in self.updated])
        if self.objects is not None:
            output = self.objects.tree(_result), output
        leaves, tree = jax.tree.flatten(output, is_leaf=is_tensor)
        self.output = [_RESULT if _is_result(leaf) else leaf for leaf in leaves], tree
        return [
            leaf if is_tensor(leaf) else tensor_from(leaf) for leaf in leaves if _is_result(leaf)
        ]


_RESULT = object()  # replaces a tensor among the function's results


def _is_result(leaf: Any) -> bool:
    """Whether a leaf of the function's result is a tensor or a JAX array."""
    return isinstance(leaf, (Tensor, jax.Array))


def _result(leaf: Any) -> Any:
    return leaf if is_tensor(leaf) else array_of(leaf)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) or (hasattr(leaf, "shape") and hasattr(leaf, "dtype"))


def _array(leaf: Any) -> Any:
    """The elements of an argument.

    Raises:
        RuntimeError: the gradient of another pure function would flow through it.
    """
    if not isinstance(leaf, Tensor):
        return leaf
    watch = local.recorder.watch
    if watch is not None and leaf._current_node() is not None:
        watch.escapes(leaf)
    return leaf._jax_array()


def _positions(given: Any, name: str) -> tuple[int, ...]:
    """Positions of arguments as a tuple; given as one or several.

    Raises:
        TypeError: a position is not an integer.
        ValueError: a position is negative.
    """
    positions = tuple(given) if isinstance(given, Iterable) else (given,)
    for k in positions:
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
            raise TypeError(f"{name} takes positions of arguments, not {k!r}")
        if k < 0:
            raise ValueError(f"{name} counts arguments from 0, so that {k} is none")
    return tuple([int(k) for k in positions])
