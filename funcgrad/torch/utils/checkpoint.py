"""Checkpoints: backward computes forward values again, so that they need not be saved.

There are PyTorch's two variants. One runs the function without a graph, and again inside a custom function's `backward`.
The other records the graph, with holders in place of the saved tensors, which are computed again on request.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary, ref

from funcgrad.engine import Aval, grad_mode, local
from funcgrad.engine.graph import Walk
from funcgrad.torch._ops.creation import FUNCTIONS as CREATION
from funcgrad.torch._random.generator import default_generator
from funcgrad.torch._tensor.tensor import Tensor, device_of
from funcgrad.torch._types.dtypes import from_numpy_dtype
from funcgrad.torch._types.size import Size
from funcgrad.torch.autograd._backward import backward
from funcgrad.torch.autograd.function import Function
from funcgrad.torch.autograd.graph import saved_tensors_hooks

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "checkpoint",
    "checkpoint_sequential",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]


def __dir__() -> list[str]:
    return __all__


_Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(RuntimeError):
    """The function did not do the same when it ran again."""


class _Settings:
    """The settings of the two context managers below; None if not set."""

    early_stop: bool | None = None
    debug: bool | None = None


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """A block that decides whether recomputation stops once all needed tensors exist. It overrides the calls' own option.

    Behaviour: https://pytorch.org/docs/stable/checkpoint.html#torch.utils.checkpoint.set_checkpoint_early_stop
    """
    before, _Settings.early_stop = _Settings.early_stop, enable
    try:
        yield
    finally:
        _Settings.early_stop = before


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """A block that decides whether errors list the saved tensors. It overrides the calls' own option.

    Behaviour: https://pytorch.org/docs/stable/checkpoint.html#torch.utils.checkpoint.set_checkpoint_debug_enabled
    """
    before, _Settings.debug = _Settings.debug, enabled
    try:
        yield
    finally:
        _Settings.debug = before


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """The devices of tensors that are not on the CPU, and the states of their generators: none has one of its own here."""
    return [], []


def set_device_states(devices: Any, states: Any, *, device_type: str | None = None) -> None:
    """Set the states of the generators of devices, of which `get_device_states` finds none."""


def noop_context_fn() -> _Contexts:
    """Two empty contexts: the default of `context_fn`."""
    return nullcontext(), nullcontext()


# The facts of a saved tensor that are compared between the two runs.
_CHECKS: dict[str, Callable[[Tensor], Aval | None]] = {
    "default": lambda tensor: tensor._storage.aval,
    "none": lambda _: None,
}


def _told(note: Aval | None) -> dict[str, Any] | None:
    """A note in the form for errors."""
    if note is None:
        return None
    dtype, device = from_numpy_dtype(note.dtype), device_of(note)
    return {"shape": Size(note.shape), "dtype": dtype, "device": device}


@contextmanager
def _random_numbers(state: Any) -> Iterator[None]:
    """A block whose random numbers start from `state`; its end restores the generator. None: no effect."""
    if state is None:
        yield
        return
    before = default_generator.position()
    default_generator.go_to(state)
    try:
        yield
    finally:
        default_generator.go_to(before)


# ------------------------------------------------------------------------------------------- without a graph


class CheckpointFunction(Function):
    """A function run without a graph, and run again with one in backward."""

    @staticmethod
    def forward(ctx: Any, run_function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        """Run the function, and save only its arguments."""
        if not any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=4
            )
        ctx.run_function = run_function
        ctx.random = default_generator.position() if preserve else None
        ctx.rest = [None if isinstance(arg, Tensor) else arg for arg in args]
        ctx.places = [k for k, arg in enumerate(args) if isinstance(arg, Tensor)]
        ctx.save_for_backward(*[args[k] for k in ctx.places])
        return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Run the function again with a graph, and run backward through it."""
        walk: Any = local.recorder.walking
        if walk is not None and walk.partial:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` "
                "parameter to .backward(). To resolve this error, you can either set use_reentrant=False, or call "
                ".backward() without passing the `inputs` argument."
            )
        args = list(ctx.rest)
        for place, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[place] = tensor.detach()
            args[place].requires_grad = tensor.requires_grad
        with _random_numbers(ctx.random), grad_mode(True):
            outputs = ctx.run_function(*args)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        kept = [
            (output, gradient)
            for output, gradient in zip(outputs, gradients, strict=True)
            if isinstance(output, Tensor) and output.requires_grad
        ]
        if not kept:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        backward([output for output, _ in kept], [gradient for _, gradient in kept])
        return (None, None, *[arg.grad if isinstance(arg, Tensor) else None for arg in args])


# ------------------------------------------------------------------------------------------- with a graph that is empty


class _Holder:
    """Stands in the graph for a saved tensor."""

    __slots__ = ("__weakref__",)


_KEPT = object()  # stands for a tensor among arguments


class _StopRecomputationError(Exception):
    """All needed tensors have been computed again."""


class _Again:
    """The tensors computed again for one walk.

    Attributes:
        count: the number of tensors saved in the second run.
        tensors: the tensors that the graph still needs, by holder.
        unpacked: the holders that the walk has unpacked.
    """

    def __init__(self) -> None:
        self.count = 0
        self.tensors: WeakKeyDictionary[_Holder, Tensor] = WeakKeyDictionary()
        self.unpacked: WeakKeyDictionary[_Holder, bool] = WeakKeyDictionary()


class _Arguments(Function):
    """Saves tensors as any node does: hooks get them, and a change in place is an error."""

    @staticmethod
    def forward(ctx: Any, leaf: Tensor, *tensors: Tensor) -> Tensor:
        """Save the tensors; only the node of the result is used."""
        ctx.save_for_backward(*tensors)
        return leaf.detach()

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> None:
        """No tangents."""


class _Frame:
    """One checkpointed call.

    Attributes:
        args: the function's arguments; a node saves the tensors among them.
        holders: weak references to the holders, in the order of saving; only the graph keeps holders alive.
        notes: for each saved tensor, the facts that `determinism_check` compares.
        again: for each present walk, the tensors computed again.
    """

    def __init__(
        self,
        run: Callable[..., None],
        args: tuple[Any, ...],
        early_stop: bool,
        check: str,
        debug: bool,
    ) -> None:
        self.run, self.early_stop, self.debug = run, early_stop, debug
        self.kept: Any = None
        if local.recorder.levels:
            self.args = args
        else:
            tensors = [arg for arg in args if isinstance(arg, Tensor)]
            self.args = tuple([_KEPT if isinstance(arg, Tensor) else arg for arg in args])
            self.kept = _Arguments.apply(CREATION["zeros"](0, requires_grad=True), *tensors).grad_fn
        self.note = _CHECKS[check]
        self.holders: list[ref[_Holder]] = []
        self.notes: list[Aval | None] = []
        self.again: WeakKeyDictionary[Walk, _Again] = WeakKeyDictionary()
        self.completed = False
        self.lenient = False

    def pack(self, tensor: Tensor) -> _Holder:
        """Replace a saved tensor by a holder, in the forward run."""
        holder = _Holder()
        self.holders.append(ref(holder))
        self.notes.append(self.note(tensor))
        return holder

    def unpack(self, holder: _Holder) -> Tensor:
        """Return the tensor of a holder. The first request of a walk computes all tensors again."""
        walk: Any = local.recorder.walking
        if walk is None:
            walk = Walk()  # outside of a walk, when a user reads saved tensors
        again = self.again.get(walk)
        if again is None:
            again = self.again[walk] = _Again()
            self.recompute(again)
        if holder in again.unpacked:
            raise CheckpointError(
                "torch.utils.checkpoint: Unpack is being triggered for a tensor that was already unpacked once. If you "
                "are calling ctx.saved_tensors in backward, make sure to do so only once. Otherwise please open an "
                "issue with details on your use case."
            )
        again.unpacked[holder] = True
        return again.tensors.pop(holder)

    def recompute(self, again: _Again) -> None:
        """Run the function again, and check that it saves the same."""
        tensors = iter(() if self.kept is None else self.kept.saved_tensors)
        args = [next(tensors) if arg is _KEPT else arg for arg in self.args]
        notes: list[Aval | None] = []

        def pack(tensor: Tensor) -> Tensor:
            tensor = tensor.detach()
            position, again.count = again.count, again.count + 1
            if position >= len(self.holders):
                if not self.completed:
                    self.lenient = True
                    return tensor
                raise CheckpointError(
                    "torch.utils.checkpoint: trying to save more tensors during recomputation than during the original "
                    f"forward pass.\n{_TIP}"
                )
            notes.append(self.note(tensor))
            holder = self.holders[position]()
            if holder is not None:
                again.tensors[holder] = tensor
            if self.early_stop and again.count == len(self.holders):
                raise _StopRecomputationError
            return tensor

        try:
            with saved_tensors_hooks(pack, lambda tensor: tensor), grad_mode(True):
                self.run(*args)
        except _StopRecomputationError:
            pass
        if not self.lenient:
            self.check(again, notes)

    def check(self, again: _Again, notes: list[Aval | None]) -> None:
        """Check that both runs saved the same number of tensors, of the same types."""
        saved = ""
        if self.debug:
            saved = _LISTED.format(list(map(_told, self.notes)), list(map(_told, notes)))
        if again.count != len(self.holders):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {len(self.holders)}\nNumber of tensors saved "
                f"during recomputation: {again.count}.\n{saved or _TIP}"
            )
        different = [
            f"tensor at position {position}:\nsaved metadata: {_told(before)}\nrecomputed metadata: "
            f"{_told(now)}\n"
            for position, (before, now) in enumerate(zip(self.notes, notes, strict=True))
            if before != now and self.holders[position]() is not None
        ]
        if different:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than "
                f"during the forward pass.\n{''.join(different)}.\n{saved or _TIP}"
            )


_TIP = (
    "\nTip: To see a more detailed error message, either pass `debug=True` to\n"
    "`torch.utils.checkpoint.checkpoint(...)` or wrap the code block\n"
    "with `with torch.utils.checkpoint.set_checkpoint_debug_enabled(True):` to\n"
    "enable checkpoint-debug mode globally.\n"
)
_LISTED = (
    "\nYou are seeing this because you passed `debug=True` to checkpoint.\n"
    "Saved during the original forward:\n{0}\nSaved during recomputation:\n{1}\n"
)
_EXPLICIT = (
    "{0}: the use_reentrant parameter should be passed explicitly. {1} use_reentrant=False is recommended, but if you need "
    "to preserve the current default behavior, you can pass use_reentrant=True. Refer to docs for more details on the "
    "differences between the two variants."
)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], _Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Call a function without saving its inner values; backward computes them again.

    Args:
        function: called with `args` and `kwargs`.
        use_reentrant: True for the older variant, which takes no keywords and works only with `backward()` of all
            leaves; False for the recommended variant. None: the older variant, with a warning.
        context_fn: returns two contexts: one for the first run, one for each recomputation.
        determinism_check: "default" compares shapes, dtypes and devices of both runs, "none" only their number.
        debug: list the saved tensors in errors.
        early_stop: stop the recomputation once all needed tensors exist.
        kwargs: for the function; `preserve_rng_state=False` lets random numbers differ in the recomputation.

    Raises:
        ValueError: the variant does not take these options.
        CheckpointError: in backward, if the function did not do the same again.

    >>> import funcgrad.torch as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.utils.checkpoint.checkpoint(lambda x: x.exp().log(), x, use_reentrant=False).sum().backward()
    >>> x.grad
    tensor([1., 1.])

    Behaviour: https://pytorch.org/docs/stable/checkpoint.html#torch.utils.checkpoint.checkpoint
    """
    if use_reentrant is None:
        soon = "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an exception."
        warnings.warn(_EXPLICIT.format("torch.utils.checkpoint", soon), stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError(f"Unexpected keyword arguments: {','.join(kwargs)}")
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)
    debug = debug if _Settings.debug is None else _Settings.debug
    if debug and context_fn is not noop_context_fn:
        raise ValueError("debug=True is incompatible with non-default context_fn")
    if determinism_check not in _CHECKS:
        raise ValueError(
            f"determinism_check should be one of {list(_CHECKS)}, but got {determinism_check}"
        )
    first, again = context_fn()
    random = default_generator.position() if preserve else None

    def run(*args: Any) -> None:
        with _random_numbers(random), again:
            function(*args, **kwargs)

    if not local.recorder.grad_enabled:
        return function(*args, **kwargs)
    stop = early_stop if _Settings.early_stop is None else _Settings.early_stop
    frame = _Frame(run, args, stop, determinism_check, debug)
    with saved_tensors_hooks(frame.pack, frame.unpack), first:
        output = function(*args, **kwargs)
        frame.completed = True
    if not frame.completed:
        raise RuntimeError(
            "torch.utils.checkpoint: the forward context provided by context_fn suppressed an exception raised during "
            "the checkpointed forward. This is not supported because checkpoint cannot return a value for a failed "
            "forward."
        )
    return output


def checkpoint_sequential(
    functions: Sequence[Callable[..., Any]] | Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Call functions one after the other, in segments. All segments but the last are checkpointed.

    Args:
        functions: each takes the result of the one before; a sequence, or an object with `children()`.
        segments: the number of segments.
        input: the argument of the first function.
        use_reentrant: as of `checkpoint`.
        kwargs: `preserve_rng_state`.

    Raises:
        ValueError: there is another keyword.

    Behaviour: https://pytorch.org/docs/stable/checkpoint.html#torch.utils.checkpoint.checkpoint_sequential
    """
    if use_reentrant is None:
        soon = "In version 2.9 we will raise an exception if use_reentrant is not passed."
        where = "torch.utils.checkpoint.checkpoint_sequential"
        warnings.warn(_EXPLICIT.format(where, soon), stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError(f"Unexpected keyword arguments: {','.join(kwargs)}")
    listed = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def segment(start: int, stop: int) -> Callable[[Any], Any]:
        def run(input: Any) -> Any:
            for function in listed[start:stop]:
                input = function(input)
            return input

        return run

    size = len(listed) // segments
    stop = 0
    for start in range(0, size * (segments - 1), size):
        stop = start + size
        input = checkpoint(
            segment(start, stop), input, use_reentrant=use_reentrant, preserve_rng_state=preserve
        )
    return segment(stop, len(listed))(input)
