"""Custom functions inside `torch.func`'s transformations and on dual tensors use their own derivatives at every level.

PyTorch's design: https://docs.pytorch.org/docs/stable/notes/extending.func.html
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from funcgrad.engine import Storage, Value, grad_mode, local
from funcgrad.engine.levels import BatchLevel, DualLevel, GradLevel, Level, TangentLevel
from funcgrad.engine.values import Wrapped
from funcgrad.torch._compile.derivatives import edge_of, pull
from funcgrad.torch._func.batching import batch_of
from funcgrad.torch._func.inputs import leave, looked_at, settled_tensor
from funcgrad.torch._levels.storages import DetachedStorage, dual_of
from funcgrad.torch._ops.creation import FUNCTIONS as CREATION
from funcgrad.torch._tensor.axes import expand, move_axis
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.trees import broadcast, flatten, unflatten

_NOTES = "For more details, please see https://pytorch.org/docs/main/notes/extending.func.html"


class VmapInfo(NamedTuple):
    """The batch's facts for a function's `vmap`."""

    batch_size: int
    randomness: str


class _Context:
    """A function's context with other saved tensors."""

    def __init__(self, context: Any, saved: Sequence[Tensor | None]) -> None:
        self.__dict__["context"], self.__dict__["saved_tensors"] = context, tuple(saved)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.context, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.context, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.context, name)


def apply_transformed(
    cls: Any, args: tuple[Any, ...], sets_up: bool, run: Callable[..., Any]
) -> Any:
    """Call a custom function inside a transformation or on dual tensors.

    Args:
        cls: the function.
        args: its arguments.
        sets_up: whether it has `setup_context`.
        run: the usual call. Takes the arguments, and a replacement for `forward`; returns results and context.

    Raises:
        RuntimeError: the function lacks a method that the transformation needs.
    """
    levels = local.recorder.levels
    level: Any = levels[-1] if levels else None
    for arg in args:
        dual = dual_of(arg) if isinstance(arg, Tensor) else None
        if dual is not None and (level is None or dual.level.order > level.order):
            level = dual.level
    if level is None:
        return run(args)[0]
    if isinstance(level, DualLevel):
        return _with_tangents(level, cls, args, run)
    if not sets_up:
        raise RuntimeError(
            "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, ...), it must "
            f"override the setup_context staticmethod. {_NOTES}"
        )
    if isinstance(level, GradLevel):
        return _with_gradients(level, cls, args, run)
    if isinstance(level, TangentLevel):
        return _pushed_forward(level, cls, args)
    return _over_batch(level, cls, args)


def _taken_out(level: Level, args: Sequence[Any]) -> list[Any]:
    """The arguments one level further out."""
    return [leave(level, arg) if isinstance(arg, Tensor) else arg for arg in args]


def _brought_in(
    output: Any, inner: Sequence[Any], args: Sequence[Any], wrap: Callable[[Tensor, int], Value]
) -> Any:
    """Bring results from the next level out to this level.

    A returned argument stays the same tensor. If it was changed in place, it changes here too.
    """
    made: list[Any] = []
    for number, each in enumerate(_as_tuple(output)):
        same = next((arg for mine, arg in zip(inner, args, strict=True) if mine is each), None)
        if not isinstance(each, Tensor):
            made.append(each)
            continue
        if same is None:
            same = tensor_of(wrap(each, number))
        elif each._storage.version:
            same._storage.write(wrap(each, number))
        made.append(same)
    return tuple(made) if isinstance(output, tuple) else made[0]


def _with_gradients(level: GradLevel, cls: Any, args: tuple[Any, ...], run: Any) -> Any:
    """The function called one level further out, with a node of its own here."""
    # A tensor captured from further out has no edge at this level; the inner call keeps its graph.
    here = tuple(
        [
            tensor_of(level.wrap(arg)) if isinstance(arg, Tensor) and not level.holds(arg) else arg
            for arg in args
        ]
    )

    def forward(*given: Any) -> Any:
        inner = _taken_out(level, given)
        with level.below():
            output = cls.apply(*inner)
        return _brought_in(output, inner, given, lambda each, _: level.wrap(each))

    return run(here, forward)[0]


def _tangents(ctx: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """The tangents for `jvp`: zeros if a tensor has none, unless the function wants None."""
    return [
        CREATION["zeros_like"](primal.detach())
        if tangent is None and isinstance(primal, Tensor) and ctx.materialize_grads
        else tangent
        for primal, tangent in zip(primals, tangents, strict=True)
    ]


def transposed(cls: Any, ctx: Any, primals: Sequence[Any], cotangents: Sequence[Any]) -> Any:
    """The gradients of a function that has only a `jvp`: its transpose, since tangents are linear.

    Args:
        cls: the function.
        ctx: its context.
        primals: its arguments.
        cotangents: the gradients of its results.
    """
    graph = local.recorder.grad_enabled
    with grad_mode(True):
        given = _tangents(ctx, primals, [None] * len(primals))
        ends = {
            k: edge_of(each.requires_grad_())
            for k, each in enumerate(given)
            if isinstance(each, Tensor) and each._storage.aval.inexact
        }
        carried = _as_tuple(cls.jvp(_Context(ctx, ctx.saved_for_forward), *given))
    pairs = [
        (tangent, cotangent)
        for tangent, cotangent in zip(carried, cotangents, strict=True)
        if isinstance(tangent, Tensor) and cotangent is not None
    ]
    found = pull([a for a, _ in pairs], [b for _, b in pairs], list(ends.values()), graph)
    gradients = dict(zip(ends, found, strict=True))
    return tuple([gradients.get(k) for k in range(len(primals))])


def _checked(carried: Any, outputs: Sequence[Any]) -> list[Any]:
    """The tangents that `jvp` returned, one for each output.

    Raises:
        RuntimeError: the number of tangents is wrong, or one is not a tensor or has another size.
    """
    found = list(carried) if isinstance(carried, tuple) else [carried]
    for number, each in enumerate(found):
        if each is not None and not isinstance(each, Tensor):
            raise RuntimeError(
                f"expected Variable or None (got {type(each).__name__}) for grad output {number}."
            )
    if len(found) != len(outputs):
        raise RuntimeError(
            f"Function's jvp returned an invalid number of forward gradients (expected {len(outputs)} but got "
            f"{len(found)})"
        )
    for tangent, output in zip(found, outputs, strict=True):
        if isinstance(tangent, Tensor) and tangent.shape != output.shape:
            raise RuntimeError(
                "Trying to set a forward gradient that has a different size than that of the original Tensor, this is "
                f"not supported. Tensor is of size {list(output.shape)} while the given forward gradient is of size "
                f"{list(tangent.shape)}."
            )
    return found


def _check_sharing(
    args: Sequence[Any],
    given: Sequence[Any],
    versions: Sequence[int],
    outputs: Sequence[Any],
    carried: Sequence[Any],
) -> None:
    """Check that tangents share storage as outputs do: if `forward` returns a view, so must `jvp`.

    If `forward` changed an argument in place, `jvp` must change the given tangent in place.

    Raises:
        RuntimeError: `jvp` did not.
    """
    for output, tangent in zip(outputs, carried, strict=False):
        if not (isinstance(output, Tensor) and isinstance(tangent, Tensor)):
            continue
        changed = [k for k, arg in enumerate(args) if arg is output]
        if any(tangent is not given[k] or tangent._version == versions[k] for k in changed):
            raise RuntimeError(
                "An inplace custom Function is not modifying the forward mode gradients inplace. If the forward is "
                "modifying an input inplace, then the jvp function must modify the corresponding gradient inplace."
            )
        if not changed and output._is_view() and not tangent._is_view():
            raise RuntimeError(
                "A custom Function's forward is returning a view (or an input as-is) but the jvp is not returning a view."
            )
        if not changed and output._is_view():
            _check_viewed(args, given, output, tangent)


def _check_viewed(
    args: Sequence[Any], given: Sequence[Any], output: Tensor, tangent: Tensor
) -> None:
    """Check that the tangent of a view of an argument is a view of that argument's tangent.

    Raises:
        RuntimeError: the tangent is not such a view.
    """
    for arg, of_arg in zip(args, given, strict=True):
        if not (isinstance(arg, Tensor) and isinstance(of_arg, Tensor)):
            continue
        if _viewed(output) is _viewed(arg) and _viewed(tangent) is not _viewed(of_arg):
            whose = (
                "the same base as the given grad input"
                if of_arg._is_view()
                else "the given grad input"
            )
            raise RuntimeError(
                f"A custom Function is returning a view but the jvp is not returning a view of {whose}."
            )


def _viewed(tensor: Tensor) -> Tensor:
    base = tensor._base
    return tensor if base is None else base


def _as_tuple(output: Any) -> tuple[Any, ...]:
    return output if isinstance(output, tuple) else (output,)


def _with_tangents(level: DualLevel, cls: Any, args: tuple[Any, ...], run: Any) -> Any:
    """Call the function on dual tensors: the usual call, then its `jvp` for the tangents."""
    held = [dual_of(arg) if isinstance(arg, Tensor) else None for arg in args]
    tangents = [
        None if value is None or value.tangent is None else settled_tensor(value.tangent)
        for value in held
    ]
    enabled, local.recorder.forward_enabled = local.recorder.forward_enabled, False
    try:
        output, ctx = run(args)
        if not enabled:
            return output
        outputs = _as_tuple(output)
        given = _tangents(ctx, args, tangents)
        versions = [each._version if isinstance(each, Tensor) else 0 for each in given]
        carried = cls.jvp(_Context(ctx, ctx.saved_for_forward), *given)
        _check_sharing(args, given, versions, outputs, _as_tuple(carried))
        carried = _checked(carried, outputs)
    finally:
        local.recorder.forward_enabled = enabled
    for each, tangent in zip(outputs, carried, strict=True):
        if tangent is not None and isinstance(each, Tensor):
            value = each._storage.read()
            primal = (
                value.inner._storage.read()
                if isinstance(value, Wrapped) and value.level is level
                else value
            )
            dual = level.wrap_dual(primal, tangent)
            if isinstance(each._storage, DetachedStorage):
                each._storage = Storage(dual)  # the argument's elements, with a new tangent
            else:
                each._storage.write(dual)
    return output


def _pushed_forward(level: TangentLevel, cls: Any, args: tuple[Any, ...]) -> Any:
    """The function called one level further out, and its `jvp` there."""
    primals = _taken_out(level, args)
    held: list[Any] = [
        arg._storage.read() if isinstance(arg, Tensor) and level.holds(arg) else None
        for arg in args
    ]
    tangents = [None if v is None or v.tangent is None else settled_tensor(v.tangent) for v in held]
    with level.below():
        output = cls.apply(*primals)
        outputs = _as_tuple(output)
        carried: list[Any] = [None] * len(outputs)
        if any(tangent is not None for tangent in tangents):
            ctx = cls._new_context(tuple(primals))
            cls.setup_context(ctx, tuple(primals), output)
            given = _tangents(ctx, primals, tangents)
            carried = _checked(cls.jvp(_Context(ctx, ctx.saved_for_forward), *given), outputs)
    return _brought_in(
        output,
        primals,
        args,
        lambda each, number: level.wrap_dual(each, carried[number]),
    )


# ------------------------------------------------------------------------------------------- batches


def _over_batch(level: BatchLevel, cls: Any, args: tuple[Any, ...]) -> Any:
    """Call the function for a batch: by its own `vmap`, or by a rule that maps each of its methods."""
    inner = _taken_out(level, args)
    in_dims = tuple([_axis(level, arg) for arg in args])
    own = cls._has_vmap()
    if own and cls.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an overridden vmap "
            "staticmethod. Please set generate_vmap_rule=False or delete the overridden vmap staticmethod to avoid "
            f"ambiguity. {_NOTES}"
        )
    if not own and not cls.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please override and implement "
            f"the vmap staticmethod or set generate_vmap_rule=True. {_NOTES}"
        )
    if all(dim is None for dim in in_dims):
        with level.below():
            return cls.apply(*args)
    with level.below():
        if own:
            output, out_dims = _checked_rule(
                cls.vmap(VmapInfo(level.size, level.randomness), in_dims, *inner)
            )
        else:
            rule = _Rule(cls, in_dims, level)
            output = rule.function().apply(*inner)
            out_dims = tuple(rule.out_dims) if isinstance(output, tuple) else rule.out_dims[0]
    flat, spec = flatten(output)
    dims = broadcast(out_dims, spec)
    if dims is None:
        raise RuntimeError(
            "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) tuple. Expected "
            f"out_dims={out_dims} to be compatible with the structure of `output`. out_dims has structure "
            f"{flatten(out_dims)[1]} but output has structure {spec}. {_NOTES}"
        )

    def wrap(each: Any, number: int) -> Value:
        dim = dims[number]
        return each._storage.read() if dim is None else level.wrap_batch(each, dim % each.ndim)

    return unflatten(list(_brought_in(tuple(flat), inner, args, wrap)), spec)


def _axis(level: BatchLevel, arg: Any) -> int | None:
    if not isinstance(arg, Tensor):
        return None
    value = arg._storage.read()
    return value.axis if isinstance(value, Wrapped) and value.level is level else None


def _checked_rule(result: Any) -> Any:
    """Check the result of a function's own `vmap`: output and out_dims.

    Raises:
        RuntimeError: the result is not this pair.
    """
    expected = (
        "Expected the vmap staticmethod to have two returns, an output and out_dims with pytree structure compatible "
        "with the output. "
    )
    if not isinstance(result, tuple):
        raise RuntimeError(f"{expected}Got a {type(result)} instead")
    if len(result) != 2:
        raise RuntimeError(f"{expected}Got {len(result)} returns instead")
    return result


Dims = Sequence[int | None]


class _Rule:
    """`generate_vmap_rule`: a function of batches. Each method is the original function's method, mapped."""

    def __init__(self, cls: Any, in_dims: Dims, level: BatchLevel) -> None:
        self.cls, self.in_dims = cls, in_dims
        self.size, self.randomness = level.size, level.randomness
        self.out_dims: list[int | None] = []
        self.saved_dims: list[int | None] = []
        self.forward_dims: list[int | None] = []
        self.context: Any = None

    def function(self) -> Any:
        """The function of batches."""
        methods: dict[str, Any] = {
            name: staticmethod(getattr(self, name))
            for name in ("forward", "setup_context", "backward", "jvp")
        }
        methods["generate_vmap_rule"] = True
        return self.cls._made_of(f"Vmapped{self.cls.__name__}", methods)

    def forward(self, *args: Any) -> Any:
        """`forward`, mapped."""
        with BatchLevel(self.size, self.randomness) as level:
            output = looked_at(self.cls.forward(*_put_in(level, args, self.in_dims)))
            outputs, self.out_dims = _taken_apart(level, _as_tuple(output))
        return tuple(outputs) if isinstance(output, tuple) else outputs[0]

    def setup_context(self, ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """`setup_context`, mapped, on an inner context; its saved tensors are saved as batches."""
        outputs = _as_tuple(output)
        inner = self.context = self.cls._new_context()
        inner.needs_input_grad = ctx.needs_input_grad
        with BatchLevel(self.size, self.randomness) as level:
            given = tuple(_put_in(level, inputs, self.in_dims))
            made = tuple(_put_in(level, outputs, self.out_dims))
            self.cls.setup_context(inner, given, made if isinstance(output, tuple) else made[0])
            saved, self.saved_dims = _taken_apart(level, inner.to_save or ())
            kept, self.forward_dims = _taken_apart(level, inner.saved_for_forward)
            without = [
                mine
                for mine, its in zip(outputs, made, strict=True)
                if any(its is each for each in inner.non_differentiable or ())
            ]
        ctx.save_for_backward(*_same(saved, (*inputs, *outputs)))
        ctx.save_for_forward(*kept)
        ctx.mark_non_differentiable(*without)
        ctx.set_materialize_grads(inner.materialize_grads)

    def backward(self, ctx: Any, *gradients: Any) -> Any:
        """`backward`, mapped; the gradient of an argument shared by the batch is summed."""
        dims = [None if g is None else dim for g, dim in zip(gradients, self.out_dims, strict=True)]
        saved = ctx.saved_tensors
        with BatchLevel(self.size, self.randomness) as level:
            context = _Context(self.context, _put_in(level, saved, self.saved_dims))
            found = looked_at(self.cls._backward(context, *_put_in(level, gradients, dims)))
            results, axes = _taken_apart(level, _as_tuple(found))
        return tuple(
            [
                self._placed(each, axis, dim)
                for each, axis, dim in zip(results, axes, self.in_dims, strict=False)
            ]
        )

    def jvp(self, ctx: Any, *tangents: Any) -> Any:
        """`jvp`, mapped."""
        dims = [None if t is None else dim for t, dim in zip(tangents, self.in_dims, strict=True)]
        with BatchLevel(self.size, self.randomness) as level:
            context = _Context(self.context, _put_in(level, ctx.saved_tensors, self.forward_dims))
            found = looked_at(self.cls.jvp(context, *_put_in(level, tangents, dims)))
            results, axes = _taken_apart(level, _as_tuple(found))
        return tuple(
            [
                self._placed(each, axis, dim)
                for each, axis, dim in zip(results, axes, self.out_dims, strict=False)
            ]
        )

    def _placed(self, each: Any, axis: int | None, dim: int | None) -> Any:
        """A gradient or tangent with its batch at `dim`, as in its tensor; summed over the batch if `dim` is None."""
        if not isinstance(each, Tensor):
            return each
        if dim is None:
            return each if axis is None else each.sum(axis)
        return expand(each, self.size, dim) if axis is None else move_axis(each, axis, dim)


def _same(saved: Sequence[Any], among: Sequence[Any]) -> list[Any]:
    """The saved tensors; an argument or result among them is the same object."""
    return [
        next((each for each in among if isinstance(each, Tensor) and each is mine), mine)
        for mine in saved
    ]


def _put_in(level: BatchLevel, args: Sequence[Any], dims: Dims) -> list[Any]:
    """One example of each tensor, with these dimensions as the batch."""
    return [
        arg if dim is None else batch_of(level, arg, dim)
        for arg, dim in zip(args, dims, strict=True)
    ]


def _taken_apart(level: BatchLevel, args: Sequence[Any]) -> tuple[list[Any], list[int | None]]:
    """Whole batches, and the batch dimension of each; None if a tensor is not batched."""
    dims = [_axis(level, arg) for arg in args]
    return [
        arg if dim is None else leave(level, arg) for arg, dim in zip(args, dims, strict=True)
    ], dims
