"""The base of all optimizers: groups of parameters, state dicts and hooks. `_updating` holds the step that ours share.

Behaviour: https://pytorch.org/docs/stable/optim.html#base-class
"""

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from funcgrad.engine import Aval, Value, local
from funcgrad.engine.nodes import HookTable
from funcgrad.torch._autograd.hooks import RemovableHandle, added
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.typename import typename

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]


def __dir__() -> list[str]:
    return __all__


ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class _RequiredParameter:
    """Marks an option that every group has to set."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()
_before_all = HookTable()
_after_all = HookTable()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before each step of every optimizer; see `register_step_pre_hook`."""
    return added(_before_all, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after each step of every optimizer."""
    return added(_after_all, hook)


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(step)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        optimizer = args[0]
        if "_optimizer_step_pre_hooks" not in vars(optimizer):
            return step(*args, **kwargs)  # a wrapper that is an optimizer by its class alone
        before, after = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
        for hook in [*_before_all.values(), *before.values()]:
            given = hook(optimizer, args, kwargs)
            if given is None:
                continue
            if not isinstance(given, tuple) or len(given) != 2:
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), but got {given}."
                )
            args, kwargs = given
        result = step(*args, **kwargs)
        for hook in [*after.values(), *_after_all.values()]:
            hook(optimizer, args, kwargs)
        return result

    hooked.hooked = True  # type: ignore[attr-defined]
    return hooked


def _counted(number: float) -> None:
    """Tell the watch of a number that Python counts: a program that repeats the call would not count on."""
    if local.recorder.watch is not None:
        kind = np.dtype(np.float64)
        local.recorder.watch.creates(Value(kind.type(number), Aval((), kind)))


class Optimizer:
    """The base of every optimizer. One of your own defines `step`, which reads `param_groups` and `state`.

    Args:
        params: tensors, pairs of a name and a tensor, or groups of them as dicts with options of their own.
        defaults: the options of groups that do not set them.

    Raises:
        TypeError, ValueError: see `add_param_group`.

    >>> import funcgrad.torch as torch
    >>> class Descent(torch.optim.Optimizer):
    ...     def step(self):
    ...         for group in self.param_groups:
    ...             for parameter in group["params"]:
    ...                 parameter.data -= group["lr"] * parameter.grad
    >>> w = torch.ones(2, requires_grad=True)
    >>> (w * w).sum().backward()
    >>> Descent([w], {"lr": 0.25}).step()
    >>> w.data
    tensor([0.5000, 0.5000])
    """

    _optimizer_step_pre_hooks: HookTable
    _optimizer_step_post_hooks: HookTable
    _optimizer_state_dict_pre_hooks: HookTable
    _optimizer_state_dict_post_hooks: HookTable
    _optimizer_load_state_dict_pre_hooks: HookTable
    _optimizer_load_state_dict_post_hooks: HookTable

    _last_options: tuple[Any, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = _with_hooks(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._add_tables()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                + typename(params)
            )
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def _add_tables(self) -> None:
        for name in Optimizer.__annotations__:
            if name.endswith("_hooks"):
                vars(self).setdefault(name, HookTable())

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("defaults", "state", "param_groups")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._add_tables()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        groups = [
            f"Parameter Group {k}\n"
            + "".join(f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params")
            for k, group in enumerate(self.param_groups)
        ]
        return "\n".join([f"{type(self).__name__} (", *groups]) + ")"

    # -- hooks ----------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return other `(args, kwargs)`."""
        return added(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return added(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict`; with `prepend`, before the other hooks."""
        return added(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; it may return another one."""
        return added(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before `load_state_dict`; it may return another one."""
        return added(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after `load_state_dict`."""
        return added(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # -- state ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state and the groups, with parameters numbered in order; PyTorch's optimizers read it.

        The tensors in it are the optimizer's own: later steps change them.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups, start = [], 0
        for group in self.param_groups:
            for k, parameter in enumerate(group["params"], start):
                numbers.setdefault(id(parameter), k)
            start += len(group["params"])
            options = {name: option for name, option in group.items() if name != "params"}
            groups.append({**options, "params": [numbers[id(each)] for each in group["params"]]})
        state = {
            numbers[id(key)] if isinstance(key, Tensor) else key: held
            for key, held in self.state.items()
        }
        made = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, made)
            made = made if changed is None else changed
        return made

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, of this optimizer or of one with groups of the same sizes.

        Floating-point state takes the parameter's dtype, but for `step`.

        Raises:
            ValueError: the groups are others in number or size.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        saved = deepcopy(state_dict["param_groups"])
        if len(self.param_groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        pairs = list(zip(self.param_groups, saved, strict=True))
        if any(len(mine["params"]) != len(given["params"]) for mine, given in pairs):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        parameters: dict[Any, tuple[Tensor, dict[str, Any]]] = {}
        for mine, given in pairs:
            for number, parameter in zip(given["params"], mine["params"], strict=True):
                parameters[number] = parameter, given
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, held in state_dict["state"].items():
            if key in parameters:
                state[parameters[key][0]] = _fitted(held, *parameters[key])
            else:
                state[key] = held
        for mine, given in pairs:
            given["params"] = mine["params"]
            if "param_names" in mine:
                given.setdefault("param_names", mine["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # -- parameters -----------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with options of their own.

        Args:
            param_group: `"params"`, a tensor or several, and options; those it leaves out are the defaults.

        Raises:
            TypeError: it is no dict, its parameters are no tensors, or they have no order.
            ValueError: a parameter is a result, belongs to another group, or only some have names; or an option that
                every group has to set is missing.

        Warns:
            UserWarning: a parameter comes twice.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        given = param_group["params"]
        if isinstance(given, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
                "will change between runs. Please use a list instead."
            )
        given = [given] if isinstance(given, Tensor) else list(given)
        names = [each[0] for each in given if isinstance(each, tuple)]
        params = [each[1] if isinstance(each, tuple) else each for each in given]
        param_group["params"] = params
        if names:
            if len(names) != len(params):
                raise ValueError(
                    "all optimizer params should be with/without names. Some param names are missing"
                )
            param_group["param_names"] = names
        for parameter in params:
            self._check_parameter(parameter)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter {name}"
                )
            param_group.setdefault(name, default)
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                how = "with" if "param_names" in param_group else "without"
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param group "
                    f"{how} names to the optimizer"
                )
        if not set(params).isdisjoint(self._parameters()):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def _check_parameter(self, parameter: Any) -> None:
        if not isinstance(parameter, Tensor):
            raise TypeError(
                f"optimizer can only optimize Tensors, but one of the params is {typename(parameter)}"
            )
        leaf = parameter.is_leaf or parameter.retains_grad
        if not leaf and not self.defaults.get("differentiable"):
            raise ValueError("can't optimize a non-leaf Tensor")

    def _parameters(self) -> Iterator[Tensor]:
        return chain.from_iterable(group["params"] for group in self.param_groups)

    def _options(self) -> tuple[Any, ...]:
        """The numbers in the groups; the same object as long as they are the same."""
        now = tuple(
            option.item() if isinstance(option, Tensor) else option
            for group in self.param_groups
            for name, option in group.items()
            if name not in ("params", "param_names")
        )
        if now != self._last_options:
            self._last_options = now
        return self._last_options

    def _tell(self) -> None:
        """Tell the watch that the parameters, or their gradients, are about to be changed."""
        watch = local.recorder.watch
        if watch is not None:
            watch.depends(self._options)
            for parameter in self._parameters():
                watch.writes(parameter, f"the optimizer {type(self).__name__}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        self._tell()
        for parameter in self._parameters():
            grad = parameter.grad
            if grad is None:
                continue
            if set_to_none:
                parameter.grad = None
                continue
            if grad.grad_fn is None:
                grad.requires_grad_(False)
            else:
                grad.detach_()
            grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters.

        Args:
            closure: evaluates the loss, and its gradients anew; what it returns is returned.
        """
        raise NotImplementedError


def _fitted(held: Any, parameter: Tensor, group: dict[str, Any], name: Any = None) -> Any:
    """Loaded state as the parameter needs it."""
    if isinstance(held, Tensor):
        if name == "step":
            wide = group.get("capturable") or group.get("fused")
            return held.float() if wide else held
        if parameter.dtype.is_floating_point:
            held = held.to(dtype=parameter.dtype)
        same = held.device == parameter.device
        return held if same else held.to(device=parameter.device)
    if isinstance(held, dict):
        return {key: _fitted(each, parameter, group, key) for key, each in held.items()}
    if isinstance(held, Iterable):
        return type(held)(_fitted(each, parameter, group) for each in held)  # type: ignore[call-arg]
    return held
