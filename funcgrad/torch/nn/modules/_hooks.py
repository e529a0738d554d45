"""Hooks of modules: the tables that all modules share, a call with hooks, and the hooks that run in backward."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import funcgrad.torch as torch
from funcgrad.engine.nodes import HookTable
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.autograd.function import Function


class Tables:
    """The hooks that every module calls.

    Attributes:
        full: whether the backward hooks are full ones; None while there is none.
    """

    full: bool | None = None

    def __init__(self) -> None:
        self.forward_pre, self.forward = HookTable(), HookTable()
        self.backward_pre, self.backward = HookTable(), HookTable()
        self.with_kwargs: dict[int, bool] = {}
        self.always_called: dict[int, bool] = {}
        self.parameters, self.modules, self.buffers = HookTable(), HookTable(), HookTable()

    def any(self) -> Any:
        """Whether there is a hook for calls."""
        return self.backward_pre or self.backward or self.forward_pre or self.forward


ALL = Tables()


def registered(table: HookTable, module: Any, name: str, value: Any) -> Any:
    """A thing that a module registers, after the hooks of all modules have seen it."""
    for hook in table.values():
        found = hook(module, name, value)
        value = value if found is None else found
    return value


# ------------------------------------------------------------------------------------------- a call


def call_module(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a module's `forward`, with its hooks and those of all modules."""
    ran: set[int] = set()
    state: list[Any] = [args, kwargs, None]
    try:
        return _call(module, state, ran)
    except Exception:
        _run_always_called(module, state, ran)
        raise


def _call(module: Any, state: list[Any], ran: set[int]) -> Any:
    full, partial = _backward_hooks(module)
    before = [*ALL.backward_pre.values(), *module._backward_pre_hooks.values()]
    for key, hook in [*ALL.forward_pre.items(), *module._forward_pre_hooks.items()]:
        if key in module._forward_pre_hooks_with_kwargs:
            given = hook(module, state[0], state[1])
            if given is None:
                continue
            if not (isinstance(given, tuple) and len(given) == 2):
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
                    f"{given}."
                )
            state[0], state[1] = given
        else:
            given = hook(module, state[0])
            if given is not None:
                state[0] = given if isinstance(given, tuple) else (given,)
    backward = BackwardHooks(module, full, before) if full or before else None
    if backward is not None:
        state[0] = backward.at_inputs(state[0])
    state[2] = module.forward(*state[0], **state[1])
    for key, hook in [*ALL.forward.items(), *module._forward_hooks.items()]:
        if key in module._forward_hooks_always_called or key in ALL.always_called:
            ran.add(key)
        found = _forward_hook(module, key, hook, state)
        state[2] = state[2] if found is None else found
    if backward is not None:
        if not isinstance(state[2], (Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                f"{type(state[2])}",
                stacklevel=4,
            )
        state[2] = backward.at_outputs(state[2])
    if partial:
        _add_partial(module, partial, state[0], state[2])
    return state[2]


def _forward_hook(module: Any, key: int, hook: Callable[..., Any], state: list[Any]) -> Any:
    args, kwargs, result = state
    if key in module._forward_hooks_with_kwargs or key in ALL.with_kwargs:
        return hook(module, args, kwargs, result)
    return hook(module, args, result)


def _run_always_called(module: Any, state: list[Any], ran: set[int]) -> None:
    """After an error: call the hooks that are always called and were not yet."""
    for table, always, whose in (
        (ALL.forward, ALL.always_called, "global module"),
        (module._forward_hooks, module._forward_hooks_always_called, "module"),
    ):
        for key, hook in table.items():
            if key not in always or key in ran:
                continue
            try:
                found = _forward_hook(module, key, hook, state)
                state[2] = state[2] if found is None else found
            except Exception as error:
                warnings.warn(
                    f"{whose} forward hook with ``always_call=True`` raised an exception that was silenced as another "
                    f"error was raised in forward: {error!s}",
                    stacklevel=5,
                )


def _backward_hooks(module: Any) -> tuple[list[Any], list[Any]]:
    """The full backward hooks, and the others."""
    full: list[Any] = []
    partial: list[Any] = []
    for table, is_full in (
        (ALL.backward, ALL.full),
        (module._backward_hooks, module._is_full_backward_hook),
    ):
        (full if is_full is True else partial).extend(table.values())
    return full, partial


# ------------------------------------------------------------------------------------------- full backward hooks


class BackwardHookFunction(Function):
    """The identity. Its node stands at a module's inputs or outputs, and hooks on it see all their gradients."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """The tensors themselves."""
        ctx.mark_non_differentiable(*[arg for arg in args if not arg.requires_grad])
        return args

    @staticmethod
    def backward(ctx: Any, *args: Any) -> Any:
        """The gradients themselves."""
        return args


class BackwardHooks:
    """The full backward hooks of one call of a module.

    Args:
        module: the module.
        hooks: called with the module and the gradients of its inputs and outputs.
        before: called with the module and the gradients of its outputs.
    """

    def __init__(self, module: Any, hooks: list[Any], before: list[Any]) -> None:
        self.module, self.hooks, self.before = module, hooks, before
        self.of_outputs: Any = None
        self.inputs = self.outputs = 0
        self.input_places: list[int] | None = None
        self.without_grad: list[Any] = []
        self.output_places: list[int] | None = None

    def at_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, with a node in front of the module."""
        made, self.input_places = _through_a_node(args, self._inputs_reached)
        self.inputs = len(args)
        self.without_grad = [(k, args[k]) for k in self.input_places or () if not args[k].requires_grad]  # fmt: skip
        return made

    def at_outputs(self, result: Any) -> Any:
        """The result, with a node behind the module."""
        results = result if isinstance(result, tuple) else (result,)
        made, self.output_places = _through_a_node(results, self._outputs_reached)
        self.outputs = len(results)
        return made if isinstance(result, tuple) else made[0]

    def _outputs_reached(self, _: Any, gradients: Any) -> Any:
        self.of_outputs = _spread(gradients, self.output_places, self.outputs)
        for hook in self.before:
            given = hook(self.module, self.of_outputs)
            if given is None:
                continue
            if len(given) != self.outputs:
                raise RuntimeError(
                    f"Backward pre hook returned an invalid number of grad_output, got {len(given)}, but expected "
                    f"{self.outputs}"
                )
            self.of_outputs = given
        found = self.of_outputs
        if self.input_places is None:
            self._call_without_inputs()
        return tuple([found[k] for k in self.output_places or ()])

    def _call_without_inputs(self) -> None:
        """No input requires grad: the hooks are called when the outputs' gradients are there."""
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs require "
            "gradients. See https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details.",
            stacklevel=5,
        )
        none = (None,) * self.inputs
        for hook in self.hooks:
            given = hook(self.module, none, self.of_outputs)
            if given is not None and not (
                isinstance(given, tuple) and all(each is None for each in given)
            ):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None or None for all "
                    "gradients."
                )
        self.of_outputs = None

    def _inputs_reached(self, gradients: Any, _: Any) -> Any:
        if self.of_outputs is None:
            return None  # the gradient came past the outputs, as in the backward of a backward
        found = _spread(gradients, self.input_places, self.inputs)
        if self.without_grad:
            # As in PyTorch, whose node gives zeros for an input that requires no gradient.
            zeros = {k: torch.zeros_like(tensor) for k, tensor in self.without_grad}
            found = tuple([zeros.get(k, each) for k, each in enumerate(found)])
        for hook in self.hooks:
            given = hook(self.module, found, self.of_outputs)
            if given is None:
                continue
            if len(given) != len(found):
                raise RuntimeError(
                    f"Backward hook returned an invalid number of grad_input, got {len(given)}, but expected {len(found)}"
                )
            found = given
        self.of_outputs = None
        without = {k for k, _ in self.without_grad}
        return tuple([None if k in without else found[k] for k in self.input_places or ()])


def _spread(values: Sequence[Any], places: Sequence[int] | None, size: int) -> tuple[Any, ...]:
    spread = [None] * size
    for place, value in zip(places or (), values, strict=True):
        spread[place] = value
    return tuple(spread)


def _through_a_node(things: tuple[Any, ...], hook: Callable[..., Any]) -> tuple[Any, Any]:
    """The things, with the tensors among them behind a node with a hook, and the tensors' places; None without a graph.

    Raises:
        RuntimeError: no tensor among them requires grad where one has to.
    """
    places = [k for k, each in enumerate(things) if isinstance(each, Tensor)]
    if not (torch.is_grad_enabled() and any(things[k].requires_grad for k in places)):
        return things, None
    made = list(things)
    for k, tensor in zip(places, BackwardHookFunction.apply(*[things[k] for k in places]), strict=True):  # fmt: skip
        made[k] = tensor
    node = next(made[k].grad_fn for k in places if made[k].grad_fn is not None)
    node.register_hook(hook)
    return (tuple(made) if type(things) is tuple else type(things)(*made)), places


# ------------------------------------------------------------------------------------------- hooks on one node

_NOT_TENSORS = (
    "Using non-full backward hooks on a Module that does not {} a single Tensor or a tuple of Tensors is deprecated and will "
    "be removed in future versions. This hook will be missing some of the {}. Please use register_full_backward_hook to get "
    "the documented behavior."
)
_NESTED = (
    "Using a non-full backward hook when outputs are nested in python data structure is deprecated and will be removed in "
    "future versions. This hook will be missing some grad_output."
)
_SEVERAL = (
    "Using a non-full backward hook when outputs are generated by different autograd Nodes is deprecated and will be removed "
    "in future versions. This hook will be missing some grad_output. Please use register_full_backward_hook to get the "
    "documented behavior."
)
_INSIDE = (
    "Using a non-full backward hook when the forward contains multiple autograd Nodes is deprecated and will be removed in "
    "future versions. This hook will be missing some grad_input. Please use register_full_backward_hook to get the documented "
    "behavior."
)


def _add_partial(module: Any, hooks: list[Any], args: Any, result: Any) -> None:
    """Hook the node of the first result, as PyTorch's old backward hooks do."""
    first = result
    while not isinstance(first, Tensor):
        first = (
            next(each for each in first.values() if isinstance(each, Tensor))
            if isinstance(first, dict)
            else first[0]
        )
    node = first.grad_fn
    if node is None:
        return
    for hook in hooks:
        node.register_hook(lambda *gradients, hook=hook: hook(module, *gradients))
    complaint = _what_is_missed(args, result, node)
    if complaint:
        warnings.warn(complaint, FutureWarning, stacklevel=5)


def _what_is_missed(args: Any, result: Any, node: Any) -> str:
    results, inputs = _as_tensors(result), _as_tensors(args)
    if results is None:
        return _NOT_TENSORS.format("return", "grad_output")
    if inputs is None:
        return _NOT_TENSORS.format("take as input", "grad_input")
    nodes = {each.grad_fn for each in results} - {None}
    if not nodes or (len(nodes) == 1 and node not in nodes):
        return _NESTED
    if len(nodes) > 1:
        return _SEVERAL
    before = {each.grad_fn for each in inputs} - {None}
    return _INSIDE if before != {each for each, _ in node.next_functions} else ""


def _as_tensors(things: Any) -> tuple[Tensor, ...] | None:
    things = (things,) if isinstance(things, Tensor) else things
    fits = isinstance(things, tuple) and all(isinstance(each, Tensor) for each in things)
    return things if fits else None
