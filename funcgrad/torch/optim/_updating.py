"""The step that all optimizers but LBFGS share: one engine op a parameter, whatever the formula.

An optimizer names its state and gives a rule, a pure function of the parameter, its gradient, the state and numbers. The
numbers are inputs of the op: a learning rate that decays compiles nothing.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Op, Storage, Value, Variable, grad_mode, local, record
from funcgrad.engine.ops import zeros_like
from funcgrad.engine.values import is_tracer, settled, with_wide_types
from funcgrad.torch._sparse.tensor import SparseTensor
from funcgrad.torch._tensor.in_place import writable, write
from funcgrad.torch._tensor.operands import number
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import (
    bfloat16,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
)
from funcgrad.torch.optim._arithmetic import add, mul
from funcgrad.torch.optim.optimizer import Optimizer

Rule = Callable[..., Any]
# A rule with some of its keywords bound; the same object each time, as the cache of ops needs it.
variant = cache(partial)

# Options that PyTorch's optimizers did not always have, as state dicts of then mean them.
_LATER_OPTIONS: dict[str, Any] = {
    **dict.fromkeys(("foreach", "fused"), None),
    **dict.fromkeys(("maximize", "differentiable", "capturable", "nesterov", "amsgrad"), False),
    **dict.fromkeys(("centered", "decoupled_weight_decay"), False),
    "momentum": 0,
}
_PHRASES = {"lr": "learning rate", "eps": "epsilon value"}


def check_not_negative(**options: Any) -> None:
    """Check options of an optimizer.

    Raises:
        ValueError: one is negative, or is a tensor of other than one element.
    """
    for name, option in options.items():
        if name == "lr" and isinstance(option, Tensor) and option.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not option >= 0.0:
            raise ValueError(f"Invalid {_PHRASES.get(name, f'{name} value')}: {option}")


def check_betas(betas: Any) -> None:
    """Check the rates at which averages forget.

    Raises:
        ValueError: one is not in [0, 1).
    """
    for k in range(2):
        if not 0.0 <= betas[k] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {k}: {betas[k]}")


def check_fused(options: dict[str, Any]) -> None:
    """Check what goes together with `fused`, which changes nothing here.

    Raises:
        RuntimeError: `differentiable` or `foreach` does not.
    """
    if options["fused"]:
        if options["differentiable"]:
            raise RuntimeError("`fused` does not support `differentiable`")
        if options["foreach"]:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


class OneByOne(Optimizer):
    """An optimizer that changes one parameter after the other."""

    def _update(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        """Change a parameter, in place; tensors among the group's options are numbers."""
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Args:
            closure: evaluates the loss, and its gradients anew; what it returns is returned.
        """
        self._tell()
        loss = None
        if closure is not None:
            with grad_mode(True):
                loss = closure()
        with grad_mode(self.defaults.get("differentiable", False)):
            for group in self.param_groups:
                options = _numeric(group)
                self._planned: dict[Any, Any] = {}
                for parameter in group["params"]:
                    grad = parameter.grad
                    if grad is not None:
                        if isinstance(grad, SparseTensor):
                            grad = self._dense(grad, options)
                        self._update(parameter, grad, options)
        return loss

    # The refusal of weight decay beside a sparse gradient; None if no sparse gradient is taken.
    _sparse_with_decay: str | None = None

    def _dense(self, grad: Any, group: dict[str, Any]) -> Any:
        """A sparse gradient made dense, for an optimizer whose step with it is the same.

        Raises:
            RuntimeError: PyTorch's optimizer takes none, or none with weight decay.
        """
        if self._sparse_with_decay is None:
            name = type(self).__name__
            if name in ("Adam", "AdamW"):
                raise RuntimeError(
                    "Adam does not support sparse gradients, please consider SparseAdam instead"
                )
            raise RuntimeError(f"{name} does not support sparse gradients")
        if group["weight_decay"] != 0:
            raise RuntimeError(self._sparse_with_decay)
        return grad.to_dense()


class Updating(OneByOne):
    """An optimizer whose step is one op a parameter. Subclasses say what its state is, and give the rule."""

    # 0-d state, and what it starts with. It lives in Python, so that a rule's numbers are computed in double precision.
    _held: ClassVar[dict[str, float]] = {"step": 0.0}

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The names of the state that has the parameter's shape."""
        raise NotImplementedError

    def _rule(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Rule, list[Any]]:
        """The rule `(p, g, *buffers, *numbers) -> (p, *buffers)`, and its numbers.

        Args:
            group: the options; tensors among them as numbers.
            held: the 0-d state, its step counted already; what is put in is kept.
            fresh: whether this is the parameter's first step.
        """
        raise NotImplementedError

    def _start(self, name: str, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """A buffer before the first step."""
        return filled(parameter, 0)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, option in _LATER_OPTIONS.items():
                if name in self.defaults:
                    group.setdefault(name, option)
            for parameter in group["params"]:
                held = self.state.get(parameter, {})
                for name in self._held:
                    # State dicts of older versions hold numbers.
                    if name in held and not isinstance(held[name], Tensor):
                        held[name] = _scalar(float(held[name]), group)

    def _update(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        names = self._buffers(group)
        state = self.state[parameter] if names or self._held else {}
        fresh = all(state.get(name) is None for name in (*self._held, *names))
        if fresh:
            self._begin(parameter, group, state)
        held = {name: _read(state[name]) for name in self._held}
        scalar = _scalar_of(parameter)
        if isinstance(group["lr"], jax.Array) or any(map(is_tracer, held.values())):
            # Inside `funcgrad.pure`.
            op, numbers = with_wide_types(self._plan, group, held, fresh)
        else:
            # Parameters of a group mostly have one plan.
            key = (fresh, scalar, *held.values())
            known = self._planned.get(key)
            if known is None:
                op, numbers = self._plan(group, held, fresh)
                numbers = [_number(each, scalar) for each in numbers]
                known = self._planned[key] = op, numbers, held
            op, numbers, held = known
        for name, value in held.items():
            _write(state[name], value)
        change(op, parameter, grad, [state[name] for name in names], numbers)

    def _plan(
        self, group: dict[str, Any], held: dict[str, Any], fresh: bool
    ) -> tuple[Op, list[Any]]:
        if held:
            held["step"] = held["step"] + 1
        rule, numbers = self._rule(group, held, fresh)
        decay, decoupled = group.get("weight_decay", 0), group.get("decoupled_weight_decay", False)
        if decay != 0:
            numbers.append(1 - group["lr"] * decay if decoupled else decay)
        return _op(rule, group["maximize"], bool(decay != 0), decoupled), numbers

    def _begin(self, parameter: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Make the state of a parameter."""
        if group.get("fused") and not parameter.dtype.is_floating_point:
            raise RuntimeError(
                "`fused=True` requires all the params to be floating point Tensors of supported devices: "
                f"['mps', 'cuda', 'xpu', 'hpu', 'cpu', 'mtia'] but {parameter.dtype} and {parameter.device.type}"
            )
        with grad_mode(False):
            for name, value in self._held.items():
                state[name] = _scalar(value, group)
            for name in self._buffers(group):
                state[name] = self._start(name, parameter, group)


def filled(parameter: Tensor, value: Any) -> Tensor:
    """A tensor like the parameter, full of `value`; of a complex one both parts are."""
    made = tensor_of(record(zeros_like, (parameter,))[0])
    if value == 0:
        return made
    return made.fill_(complex(value, value) if made.dtype.is_complex else value)


# -- numbers ------------------------------------------------------------------------------------------------------


def _numeric(group: dict[str, Any]) -> dict[str, Any]:
    """The options, with NumPy scalars for tensors: arithmetic with them is rounded as with PyTorch's 0-d tensors."""
    found = {}
    for name, option in group.items():
        if isinstance(option, Tensor):
            found[name] = _option(name, option)
        elif name == "betas" and isinstance(option[0], Tensor):
            found[name] = tuple(_option(name, beta) for beta in option)
    return {**group, **found} if found else group


def _option(name: str, option: Tensor) -> Any:
    if option.requires_grad and local.recorder.grad_enabled:
        raise NotImplementedError(
            f"an optimizer with differentiable=True is not differentiated with respect to {name}: give it as a number"
        )
    return _read(option.detach().reshape(()))


def wide(value: Any) -> Any:
    """A number of the state in double precision."""
    return value.astype(np.float64) if is_tracer(value) else float(value)


def choose(condition: Any, a: Any, b: Any) -> Any:
    """One of two numbers."""
    return jnp.where(condition, a, b) if is_tracer(condition) else (a if condition else b)


def _read(tensor: Tensor) -> Any:
    """The element of a 0-d tensor, as a NumPy scalar; inside a transformation of JAX, as its tracer."""
    array = tensor._array()
    return array if is_tracer(array) else np.asarray(array)[()]


def _write(tensor: Tensor, value: Any) -> None:
    """Store a number in a 0-d tensor. Nothing is recorded, so that reading it again runs nothing."""
    storage = tensor._storage
    aval = storage.aval
    if not storage.is_plain or aval.device is not None:
        tensor.fill_(float(value))
        return
    storage.write(_value(value, aval))
    storage.version += 1


def _scalar(value: float, group: dict[str, Any]) -> Tensor:
    """A 0-d tensor of an optimizer's state; float64 only where that is the default dtype."""
    wide = get_default_dtype() is float64 and not group.get("fused")
    return tensor_of(_value(value, Aval((), np.dtype(np.float64 if wide else np.float32))))


def _value(value: Any, aval: Aval) -> Value:
    if isinstance(value, jax.Array):
        made = Value(with_wide_types(value.astype, aval.dtype), aval)
    else:
        made = Value(aval.dtype.type(value), aval)
    if local.recorder.watch is not None:
        # A program that repeats the call would not count on: let it be seen that numbers are made.
        local.recorder.watch.creates(made)
    return made


# -- the op -------------------------------------------------------------------------------------------------------

# The dtype in which numbers meet the parameter's elements.
_NUMBER_DTYPES: dict[dtype, dtype] = {
    float16: float32,
    bfloat16: float32,
    complex64: float32,
    complex128: float64,
}


def change(op: Op, parameter: Tensor, grad: Tensor, buffers: list[Tensor], numbers: list) -> None:
    """Record one op on a parameter, its gradient and its state, and write its results in place."""
    writable(parameter)
    scalar = _scalar_of(parameter)
    constants = [_number(each, scalar) for each in numbers]
    while True:
        given: list[Variable] = [parameter, grad, *buffers]
        before = parameter._storage.read()
        if local.recorder.grad_enabled:
            # The way back needs their present elements, whatever is written to them later.
            given = [Variable(Storage(settled(t._storage.read())), *t._edge()) for t in given]
        results = record(op, [*given, *constants])
        first, *others = results if buffers else [results]
        # Several threads may train the same parameters, each with an optimizer of its own.
        if write(parameter, first, before):
            break
    for target, result in zip(buffers, others, strict=True):
        write(target, result)


def _scalar_of(parameter: Tensor) -> Aval:
    """The type in which numbers meet a parameter."""
    kind = parameter.dtype
    return Aval((), _NUMBER_DTYPES.get(kind, kind).numpy_dtype)


def _number(value: Any, scalar: Aval) -> Variable:
    """A number as an input of the op; inside `funcgrad.pure` it can be an array."""
    if isinstance(value, Variable):
        return value
    if isinstance(value, jax.Array):
        return Variable(Storage(Value.of(with_wide_types(value.astype, scalar.dtype))))
    return number(float(value), scalar)


@cache
def _op(rule: Rule, maximize: bool, decays: bool, decoupled: bool) -> Op:
    """The op of a rule, with what all rules have in common: signs, weight decay, complex numbers as pairs of reals."""
    function = rule.func if isinstance(rule, partial) else rule

    def update(p: Any, g: Any, *rest: Any) -> Any:
        is_complex = jnp.iscomplexobj(p)
        if is_complex:
            p, g, *rest = (_as_real(each) for each in (p, g, *rest))  # type: ignore[assignment]
        if maximize:
            g = -g
        if decays:
            *rest, decay = rest  # type: ignore[assignment]
            if decoupled:
                p = mul(p, decay)
            else:
                g = add(g, p, decay)
        results = rule(p, g, *rest)
        if is_complex:
            results = jax.tree.map(lambda each: jax.lax.complex(each[0], each[1]), results)
        return results

    return Op(function.__name__.strip("_"), update)


def _as_real(each: Any) -> Any:
    return jnp.stack([each.real, each.imag]) if jnp.iscomplexobj(each) else each
