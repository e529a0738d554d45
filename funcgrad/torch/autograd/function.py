"""Custom functions: `torch.autograd.Function`, whose derivative is written by whoever writes it.

Behaviour: https://pytorch.org/docs/stable/notes/extending.html and https://pytorch.org/docs/stable/autograd.html#function
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from weakref import ref

from funcgrad.engine import (
    Aval,
    FunctionNode,
    GraphNode,
    ModifiedError,
    Storage,
    Variable,
    grad_mode,
    local,
)
from funcgrad.engine.levels import duals
from funcgrad.engine.nodes import Edge, Packed
from funcgrad.torch.autograd.complaints import as_pytorch
from funcgrad.torch.autograd.hooks import as_tensor
from funcgrad.torch.autograd.observing import saved_entry
from funcgrad.torch.autograd.shaping import as_gradient_of
from funcgrad.torch.tensor import Tensor, move_retained, place, rebase, tensor_of
from funcgrad.torch.view_tensor import Creation, ViewTensor, view_of_itself

__all__ = ["Function", "FunctionCtx", "once_differentiable"]

_FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
    "been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
    "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved "
    "tensors after calling backward."
)


class FunctionCtx:
    """What `forward` leaves for `backward`: tensors, by `save_for_backward`, and anything else as attributes.

    Attributes:
        needs_input_grad: for each argument, whether a gradient flows to it.
    """

    needs_input_grad: tuple[bool, ...] = ()
    materialize_grads = True
    saved_for_forward: tuple[Any, ...] = ()
    _to_save: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()
    _without_gradient: tuple[Any, ...] = ()
    # What the node keeps of `_to_save`, as its `saved` does; None once freed.
    _entries: Any = ()
    _kept: Any = ()
    _node: Any = None  # a weak reference
    _are_tensors: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, which finds them in `saved_tensors`; in-place changes until then are noticed."""
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `jvp`."""
        for tensor in tensors:
            if not (isinstance(tensor, Tensor) or tensor is None):
                raise TypeError(
                    "save_for_forward expects all arguments to be tensors; you should save non-tensors as "
                    "attributes on ctx."
                )
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Say that `forward` changed these arguments in place; it has to return them."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say that no gradient flows through these results."""
        self._without_gradient = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (as it does if nothing is said) or None where no gradient arrives."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept.

        Raises:
            RuntimeError: it was freed by an earlier walk, or changed in place since.
        """
        if self._entries is None:
            raise RuntimeError(_FREED)
        node = self._node() if self._entries else None
        return tuple(
            None if entry is None else _restored(entry, kept, node)
            for entry, kept in zip(self._entries, self._kept, strict=True)
        )


def _restored(entry: Any, kept: Any, node: Any) -> Tensor:
    """A saved tensor with its history."""
    value, storage, version, _ = entry
    if type(value) is Packed:
        value = value.unpack()
        storage = Storage(value)
        if isinstance(kept, Tensor):
            kept = kept.node, kept.nr
    elif storage.version != version:
        own = not isinstance(kept, Tensor)
        made = (node, kept[1]) if own else (kept.grad_fn, kept.nr)
        raise as_pytorch(ModifiedError(storage, version, made, of_result=own))
    if isinstance(kept, Tensor):
        return kept
    source, number = kept
    tensor = tensor_of(value, node if source is _OWN else source, number)
    tensor.storage = storage
    return tensor


_OWN: Any = object()  # in place of a result's node, which would be a cycle


class _FunctionNode(FunctionNode):
    """The node of a custom function. Each has a subclass of its own, named as PyTorch names it."""

    __slots__ = ("avals", "ctx", "function", "inputs")

    ctx: FunctionCtx
    function: type["Function"]
    inputs: tuple[bool, ...]  # of the tensors among the arguments, which have an edge
    avals: tuple[Aval | None, ...]  # for each argument, its type where it has an edge

    @property
    def saved(self) -> Any:
        """What the function's context keeps."""
        entries = self.ctx._entries
        return entries and [entry for entry in entries if entry is not None]

    @saved.setter
    def saved(self, entries: Any) -> None:
        if entries is None:
            self.ctx._entries = self.ctx._kept = None

    def __getattr__(self, name: str) -> Any:
        """What `forward` put on its context."""
        if name == "ctx":
            raise AttributeError(name)
        return getattr(self.ctx, name)

    def pull_back(self, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
        """Call `backward`, and check what it gives."""
        given: list[Tensor | None] = []
        for cotangent, aval in zip(cotangents, self.types, strict=True):
            if cotangent is not None:
                given.append(as_tensor(cotangent))
            elif aval is not None and self.ctx.materialize_grads:
                given.append(_zeros(aval))
            else:
                given.append(None)
        gradients = self.function._backward(self.ctx, *given)
        return self._checked(gradients if isinstance(gradients, tuple) else (gradients,))

    def _checked(self, gradients: tuple[Any, ...]) -> list[Variable | None]:
        name = type(self).__name__
        wanted, found = len(self.avals), list(gradients)
        while len(found) > wanted and found[-1] is None:
            found.pop()
        if len(found) != wanted:
            raise RuntimeError(
                f"function {name} returned an incorrect number of gradients (expected {wanted}, got {len(gradients)})"
            )
        results: list[Variable | None] = []
        tensors = self.ctx._are_tensors
        for position, (gradient, aval) in enumerate(zip(found, self.avals, strict=True)):
            if gradient is not None and not isinstance(gradient, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(gradient).__name__})")
            if gradient is not None and not tensors[position]:
                raise RuntimeError(
                    f"function {name} returned a gradient different than None at position {position + 1}, but the "
                    "corresponding forward input was not a Variable"
                )
            if aval is not None:
                results.append(
                    None if gradient is None else as_gradient_of(aval, gradient, name, position)
                )
        return results


def _zeros(aval: Aval) -> Tensor:
    import numpy as np

    return tensor_of(place(np.zeros(aval.shape, aval.dtype)))


class Function:
    """A function with a derivative of its own: write `forward` and `backward` as static methods, and call `apply`.

    `forward(ctx, *args)`, or `forward(*args)` with `setup_context(ctx, inputs, output)`, computes without a graph;
    `backward(ctx, *grad_outputs)` returns a gradient, or None, for each argument of `forward`.

    >>> import funcgrad.torch as torch
    >>> class Cube(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return grad * 3 * x**2
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)

    Behaviour: https://pytorch.org/docs/stable/autograd.html#function
    """

    generate_vmap_rule = False
    _context: ClassVar[type[FunctionCtx]] = FunctionCtx
    _node: ClassVar[type[_FunctionNode]] = _FunctionNode

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the types of the function's context and node, named as PyTorch names them."""
        super().__init_subclass__(**kwargs)
        names = {"__module__": "torch.autograd.function"}
        cls._context = type(f"{cls.__name__}Backward", (FunctionCtx,), names)
        cls._node = type(f"{cls.__name__}Backward", (_FunctionNode,), {**names, "__slots__": ()})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse PyTorch's oldest way to write a function."""
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
            "function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the function; to be overridden."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep what `backward` needs; to be overridden where `forward` takes no `ctx`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Give the gradients of the arguments; to be overridden."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    # PyTorch's other name for `backward`.
    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Give the tangents of the results; to be overridden."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """Compute the function for a batch, and return the output and `out_dims`; to be overridden."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or set "
            "generate_vmap_rule=True."
        )

    @classmethod
    def _backward(cls, ctx: FunctionCtx, *gradients: Any) -> Any:
        has_backward = cls.backward is not Function.backward
        has_vjp = cls.vjp is not Function.vjp
        if has_backward and has_vjp:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only "
                "implement one of them."
            )
        return (cls.vjp if has_vjp else cls.backward)(ctx, *gradients)

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the function, leaving a node behind where a gradient is wanted."""
        sets_up = cls.setup_context is not Function.setup_context
        if sets_up:
            args = _bound(cls.forward, args, kwargs)
        elif kwargs:
            args = _bound(functools.partial(cls.forward, None), args, kwargs)
        if local.recorder.levels or duals:
            from funcgrad.torch.autograd import transformed_functions

            return transformed_functions.apply(
                cls, args, sets_up, functools.partial(cls._run, sets_up)
            )
        return cls._run(sets_up, args)[0]

    @classmethod
    def _run(
        cls, sets_up: bool, args: tuple[Any, ...], forward: Callable[..., Any] | None = None
    ) -> tuple[Any, FunctionCtx]:
        """The results of a call, and its context; `forward` takes the place of the function's own."""
        ctx = cls._context()
        ctx._are_tensors = tuple(isinstance(arg, Tensor) for arg in args)
        ctx.needs_input_grad = tuple(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
        records = local.recorder.grad_enabled and any(ctx.needs_input_grad)
        # Before the function may write to its arguments.
        edges = [
            (arg.node, arg.nr)
            for arg, needed in zip(args, ctx.needs_input_grad, strict=True)
            if records and needed
        ]
        output = None if forward is None else forward(*args)
        with grad_mode(False):
            if forward is None:
                output = cls.forward(*args) if sets_up else cls.forward(ctx, *args)
            if sets_up:
                cls.setup_context(ctx, args, output)
        _check_marks(ctx)
        outputs = output if isinstance(output, tuple) else (output,)
        node = _node_of(cls, ctx, args, outputs, tuple(edges)) if records else None
        wrapped = _wrap(cls, ctx, args, outputs, node)
        if node is not None:
            _save(ctx, node, outputs, wrapped)
            if local.recorder.observer is not None:
                local.recorder.observer.made(node, ())
        return (tuple(wrapped) if isinstance(output, tuple) else wrapped[0]), ctx


def _bound(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, ...]:
    """The arguments in order, with the function's defaults."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args


def _check_marks(ctx: FunctionCtx) -> None:
    """Check that only tensors were saved and marked.

    Raises:
        TypeError, RuntimeError: something else was.
    """
    for position, each in enumerate(ctx._to_save):
        if not (each is None or isinstance(each, Tensor)):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {position} is of type "
                f"{type(each).__name__}"
            )
    for position, each in enumerate(ctx._dirty):
        if not isinstance(each, Tensor):
            raise RuntimeError(
                f"mark_dirty can only accept variables, but argument {position} is of type {type(each).__name__}"
            )
    for position, each in enumerate(ctx._without_gradient):
        if not isinstance(each, Tensor):
            raise RuntimeError(
                f"mark_non_differentiable only accepts variable arguments, but got {type(each).__name__} at "
                f"position {position}"
            )


def _among(tensor: Any, group: Any) -> bool:
    """Whether a tensor is one of a group: the same object, since `==` is an op of tensors."""
    return any(tensor is each for each in group)


def _types(outputs: tuple[Any, ...]) -> tuple[Aval | None, ...]:
    return tuple(each.storage.value.aval if isinstance(each, Tensor) else None for each in outputs)


def _node_of(
    cls: type[Function],
    ctx: FunctionCtx,
    args: tuple[Any, ...],
    outputs: tuple[Any, ...],
    edges: tuple[Edge, ...],
) -> _FunctionNode:
    node = cls._node(edges, _types(outputs))
    node.function, node.ctx = cls, ctx
    node.inputs = tuple(arg.requires_grad for arg in args if isinstance(arg, Tensor))
    node.avals = tuple(
        arg.storage.value.aval if needed else None
        for arg, needed in zip(args, ctx.needs_input_grad, strict=True)
    )
    return node


def _wrap(
    cls: type[Function],
    ctx: FunctionCtx,
    args: tuple[Any, ...],
    outputs: tuple[Any, ...],
    node: _FunctionNode | None,
) -> list[Any]:
    """The results as the caller gets them, each with its place in the graph."""
    if not all(_among(dirty, outputs) for dirty in ctx._dirty):
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as output. The inputs that "
            "are modified inplace must all be outputs of the Function."
        )
    wrapped = []
    for number, output in enumerate(outputs):
        if not isinstance(output, Tensor):
            wrapped.append(output)
            continue
        dirty, given = _among(output, ctx._dirty), _among(output, args)
        differentiable = (
            node is not None
            and output.storage.value.aval.inexact
            and not _among(output, ctx._without_gradient)
        )
        if given and not dirty:
            output = view_of_itself(output) if local.recorder.grad_enabled else output.detach()
        if dirty:
            output.storage.version += 1
            if differentiable and output.requires_grad and not output._is_result():
                raise RuntimeError(
                    "a leaf Variable that requires grad has been used in an in-place operation."
                )
            if differentiable:
                output._grad = None
        if differentiable and node is not None and dirty and type(output) is ViewTensor:
            wanted = [arg for arg, needed in zip(args, ctx.needs_input_grad, strict=True) if needed]
            output.rebase_on(node, next(k for k, arg in enumerate(wanted) if arg is output))
        elif differentiable:
            if dirty and node is not None:
                rebase(output, node, number)
            else:
                output.node, output.nr = node, number
                if output._retained is not None:
                    move_retained(output)
        if type(output) is ViewTensor and not dirty:
            output.creation = Creation.FUNCTION
            output.see_version()
        wrapped.append(output)
    with_node = [each for each in wrapped if isinstance(each, Tensor) and node is not None]
    if len(with_node) > 1:
        for each in with_node:
            if type(each) is ViewTensor:
                each.creation = Creation.SEVERAL
    return wrapped


def _save(ctx: FunctionCtx, node: GraphNode, outputs: tuple[Any, ...], wrapped: list[Any]) -> None:
    """Keep what `save_for_backward` named, as a node keeps what it saves."""
    ctx._node = ref(node)
    entries: list[Any] = []
    kept: list[Any] = []
    for tensor in ctx._to_save:
        if tensor is None:
            entries.append(None)
            kept.append(None)
            continue
        entries.append(saved_entry(tensor))
        number = next((k for k, output in enumerate(outputs) if output is tensor), None)
        own = number is not None and wrapped[number].node is node
        if own:
            kept.append((_OWN, number))
        else:
            kept.append(tensor)
    ctx._entries, ctx._kept = tuple(entries), tuple(kept)
    ctx._to_save = ()


class _TwiceNode(FunctionNode):
    """The node of a gradient that was computed without a graph."""

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """Refuse."""
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that computes without a graph, so that differentiating its result is an error, not a zero.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.function.once_differentiable.html
    """

    @functools.wraps(function)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with grad_mode(False):
            outputs = function(ctx, *args)
        if not local.recorder.grad_enabled or not any(
            isinstance(arg, Tensor) and arg.requires_grad for arg in args
        ):
            return outputs
        several = isinstance(outputs, tuple)
        results = outputs if several else (outputs,)
        # As in PyTorch, nothing is behind the node: `backward` meets it, `grad` goes past it.
        node = _TwiceNode((), _types(results))
        made = tuple(
            tensor_of(result.storage.value, node, number) if isinstance(result, Tensor) else result
            for number, result in enumerate(results)
        )
        return made if several else made[0]

    return wrapper
