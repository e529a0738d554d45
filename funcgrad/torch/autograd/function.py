"""Custom functions: `torch.autograd.Function`, with a derivative written by the user.

Behaviour: https://pytorch.org/docs/stable/notes/extending.html and https://pytorch.org/docs/stable/autograd.html#function
"""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

from funcgrad.engine import grad_mode, local
from funcgrad.engine.levels import duals
from funcgrad.torch._autograd.custom_nodes import BackwardCFunction, CustomNode, Error, FunctionCtx
from funcgrad.torch._compile import keeping
from funcgrad.torch._func.custom_functions import apply_transformed, transposed
from funcgrad.torch._memory.storages import Creation
from funcgrad.torch._ops.views.reshaped_in_place import detach_
from funcgrad.torch._tensor.rebasing import rebase
from funcgrad.torch._tensor.tensor import AccumulateGrad, Tensor, tensor_of, without_history
from funcgrad.torch._tensor.view import ViewTensor, view_of_itself

__all__ = ["BackwardCFunction", "Function", "FunctionCtx", "InplaceFunction", "once_differentiable"]


def __dir__() -> list[str]:
    return __all__


class Function:
    """A function with its own derivative: write `forward` and `backward` as static methods, and call `apply`.

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
    _backward_cls: ClassVar[type[BackwardCFunction]] = BackwardCFunction
    _node: ClassVar[type[CustomNode]] = CustomNode

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the types of the function's context and node, named as in PyTorch."""
        super().__init_subclass__(**kwargs)
        name, names = f"{cls.__name__}Backward", {"__module__": "torch.autograd.function"}
        cls._backward_cls = type(name, (BackwardCFunction,), dict(names))
        cls._node = type(name, (CustomNode,), {**names, "__slots__": ()})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: a function needs no instance.

        Warns:
            DeprecationWarning: always.
        """
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should "
            "invoke them on the class itself. Instantiating an autograd function will raise an error in a future "
            "version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

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
        """Save data for `backward`; to be overridden if `forward` takes no `ctx`."""
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
        if ctx.primals_of_jvp is not None and not (has_backward or has_vjp):
            return transposed(cls, ctx, ctx.primals_of_jvp, gradients)
        return (cls.vjp if has_vjp else cls.backward)(ctx, *gradients)

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the function, and record a node if a gradient is wanted."""
        sets_up = cls.setup_context is not Function.setup_context
        if sets_up:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        if kwargs:
            args = _placed(cls.forward, args, kwargs, 0 if sets_up else 1)
        if local.recorder.levels or duals:
            return apply_transformed(cls, args, sets_up, functools.partial(cls._run, sets_up))
        return cls._run(sets_up, args)[0]

    @classmethod
    def _has_vmap(cls) -> bool:
        """Whether the function has a `vmap` of its own."""
        return cls.vmap is not Function.vmap

    @staticmethod
    def _made_of(name: str, methods: dict[str, Any]) -> type["Function"]:
        """A new function made of these methods."""
        return type(name, (Function,), methods)

    @classmethod
    def _new_context(cls, args: tuple[Any, ...] = ()) -> BackwardCFunction:
        """A new context, for methods called outside a call of the function."""
        return cls._node(cls, args, False).face

    @classmethod
    def _run(
        cls, sets_up: bool, args: tuple[Any, ...], forward: Callable[..., Any] | None = None
    ) -> tuple[Any, FunctionCtx]:
        """The results of a call, and its context; `forward` replaces the function's own."""
        wanted = any(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
        records = local.recorder.grad_enabled and wanted
        # Before the function can write to its arguments.
        node = cls._node(cls, args, records)
        ctx = node.face
        if keeping.state.keeps and cls.jvp is not Function.jvp:
            ctx.primals_of_jvp = args
        if records and local.recorder.observer is not None:
            local.recorder.observer.made(node, ())
        output = None if forward is None else forward(*args)
        with grad_mode(False):
            if forward is None:
                output = cls.forward(*args) if sets_up else cls.forward(ctx, *args)
            if sets_up:
                cls.setup_context(ctx, args, output)
        _check_marks(ctx)
        outputs = output if isinstance(output, tuple) else (output,)
        without = tuple(k for k, each in enumerate(outputs) if _among(each, ctx.non_differentiable))
        node.returned(outputs, without)
        wrapped = _wrap(node, ctx, args, outputs, records)
        if records:
            node.save(ctx.to_save or (), outputs, wrapped)
        # The marked tensors hold the node.
        ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = None
        return (tuple(wrapped) if isinstance(output, tuple) else wrapped[0]), ctx


class InplaceFunction(Function):
    """A function that may write to its arguments; only for old code.

    Args:
        inplace: whether the function writes to its arguments.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _placed(
    function: Callable[..., Any], args: Any, kwargs: dict[str, Any], skipped: int
) -> tuple[Any, ...]:
    """The arguments in order, including arguments given by name.

    Raises:
        TypeError: there is no such name, or an earlier argument is missing.
    """
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    names = [each.name for each in parameters if each.kind in by_position][skipped:]
    for name in kwargs:
        if name not in names:
            raise TypeError(f"forward() got an unexpected keyword argument '{name}'")
        if names.index(name) < len(args):
            raise TypeError(f"forward() got multiple values for argument '{name}'")
    placed = list(args)
    for position in range(len(args), 1 + max(names.index(name) for name in kwargs)):
        name = names[position]
        if name not in kwargs:
            raise TypeError(f"forward() missing required argument: '{name}' (position {position})")
        placed.append(kwargs[name])
    return tuple(placed)


def _check_marks(ctx: FunctionCtx) -> None:
    """Check that only tensors were saved and marked.

    Raises:
        TypeError, RuntimeError: an object that is not a tensor was.
    """
    for position, each in enumerate(ctx.to_save or ()):
        if not (each is None or isinstance(each, Tensor)):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {position} is of type "
                f"{type(each).__name__}"
            )
    for position, each in enumerate(ctx.dirty_tensors or ()):
        if not isinstance(each, Tensor):
            raise RuntimeError(
                f"mark_dirty can only accept variables, but argument {position} is of type {type(each).__name__}"
            )
    for position, each in enumerate(ctx.non_differentiable or ()):
        if not isinstance(each, Tensor):
            raise RuntimeError(
                f"mark_non_differentiable only accepts variable arguments, but got {type(each).__name__} at "
                f"position {position}"
            )


def _among(tensor: Any, group: Any) -> bool:
    """Whether a tensor is one of a group, by identity, since `==` is an op of tensors."""
    return any(tensor is each for each in group or ())


def _wrap(
    node: CustomNode,
    ctx: FunctionCtx,
    args: tuple[Any, ...],
    outputs: tuple[Any, ...],
    records: bool,
) -> list[Any]:
    """The results for the caller, each with its edge in the graph."""
    for dirty in ctx.dirty_tensors or ():
        if not _among(dirty, args):
            warnings.warn(
                "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been mutated "
                "should be passed to ctx.mark_dirty().",
                stacklevel=4,
            )
    if not all(_among(dirty, outputs) for dirty in ctx.dirty_tensors or ()):
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as output. The inputs that "
            "are modified inplace must all be outputs of the Function."
        )
    wrapped = []
    for number, output in enumerate(outputs):
        if not isinstance(output, Tensor):
            wrapped.append(output)
            continue
        dirty, given = _among(output, ctx.dirty_tensors), _among(output, args)
        if dirty:
            output._storage.version += 1
        elif given and not (records and output.requires_grad and number in node.without_gradient):
            output = view_of_itself(output) if local.recorder.grad_enabled else output.detach()
        if records and output._storage.aval.inexact and number not in node.without_gradient:
            if dirty:
                _move(output, node, number, args, len(outputs))
            else:
                output._set_edge(node, number)
        else:
            output = _without_gradient(output, given)
        if isinstance(output, ViewTensor) and not dirty:
            output._creation = Creation.FUNCTION
            output._see_version()
        wrapped.append(output)
    with_node = [each for each in wrapped if isinstance(each, Tensor) and records]
    if len(with_node) > 1:
        for each in with_node:
            if isinstance(each, ViewTensor):
                each._creation = Creation.SEVERAL
    return wrapped


def _move(
    output: Tensor, node: CustomNode, number: int, args: tuple[Any, ...], several: int
) -> None:
    """Make the function's node the `grad_fn` of a tensor that it changed in place.

    Raises:
        RuntimeError: the tensor must not be written, or it is a view and there are other results.
    """
    if output.requires_grad and not output._is_result():
        raise RuntimeError(
            "a leaf Variable that requires grad has been used in an in-place operation."
        )
    output._grad = None
    if not isinstance(output, ViewTensor):
        rebase(output, node, number)
        return
    if several > 1:
        raise RuntimeError(
            "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return "
            "more than one Tensor. This is not supported by the current autograd engine. You should either make sure the "
            "input is not a view (using .clone() for example) or make your Function only return one Tensor (potentially "
            "splitting it into two Functions: one doing the inplace that returns a single Tensor and a second one that "
            "does the other operations). You can ask on the forum https://discuss.pytorch.org/ if you need help to do "
            "this change."
        )
    wanted = [arg for arg, aval in zip(args, node.avals, strict=True) if aval is not None]
    output._rebase_on(node, next(k for k, arg in enumerate(wanted) if arg is output))


def _without_gradient(output: Tensor, given: bool) -> Tensor:
    """A result that no gradient flows through."""
    if not output.requires_grad:
        return output
    # The function must not change whether an argument requires grad.
    if given:
        return output.detach()
    return output if output._is_view() else detach_(output)


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that makes no graph. Differentiating its result is then an error, not a zero.

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
        # As in PyTorch, only leaves that nobody holds are behind the node: `backward` runs it, `grad` skips it.
        types = [result._storage.aval if isinstance(result, Tensor) else None for result in results]
        behind = [result for result in results if isinstance(result, Tensor)]
        edges = [(AccumulateGrad(without_history(each._storage)), 0) for each in behind]
        node = Error(tuple(edges), tuple(types))
        made = tuple(
            tensor_of(result._storage.read(), node, number)
            if isinstance(result, Tensor)
            else result
            for number, result in enumerate(results)
        )
        return made if several else made[0]

    return wrapper
