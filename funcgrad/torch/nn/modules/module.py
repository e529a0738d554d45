"""The base of all modules: parameters, buffers and submodules by name, hooks, and state dicts.

Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.Module.html
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

import funcgrad.torch as torch
from funcgrad.engine.nodes import HookTable
from funcgrad.torch._autograd.hooks import RemovableHandle, added
from funcgrad.torch._ops.conversions import parsed_target
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.typename import typename
from funcgrad.torch.nn.modules import _hooks, _state
from funcgrad.torch.nn.modules._hooks import ALL, registered
from funcgrad.torch.nn.modules._printing import indented, on_lines
from funcgrad.torch.nn.modules._state import (
    _EXTRA_STATE_KEY_SUFFIX,
    _IncompatibleKeys,  # noqa: F401 -- found here in PyTorch
)
from funcgrad.torch.nn.parameter import Buffer, Parameter

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]


def __dir__() -> list[str]:
    return __all__


# ------------------------------------------------------------------------------------------- hooks of all modules


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, buffer)` before any module registers a buffer; it may return another one."""
    return added(ALL.buffers, hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, submodule)` before any module registers a submodule; it may return another one."""
    return added(ALL.modules, hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, parameter)` before any module registers a parameter; it may return another one."""
    return added(ALL.parameters, hook)


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Module.register_forward_pre_hook`, for all modules."""
    return added(ALL.forward_pre, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """As `Module.register_forward_hook`, for all modules."""
    handle = added(ALL.forward, hook)
    if with_kwargs:
        ALL.with_kwargs[handle.id] = True
    if always_call:
        ALL.always_called[handle.id] = True
    return handle


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Module.register_full_backward_pre_hook`, for all modules."""
    return added(ALL.backward_pre, hook)


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Module.register_backward_hook`, for all modules."""
    return _add_global_backward(hook, full=False)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """As `Module.register_full_backward_hook`, for all modules."""
    return _add_global_backward(hook, full=True)


def _add_global_backward(hook: Callable[..., Any], *, full: bool) -> RemovableHandle:
    if ALL.full is (not full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. Please use only one of "
            "them."
        )
    ALL.full = full
    return added(ALL.backward, hook)


# ------------------------------------------------------------------------------------------- the module


def _forward_unimplemented(self: Any, *input: Any) -> NoReturn:
    """The computation of every call; a subclass defines it.

    Raises:
        NotImplementedError: the subclass does not.
    """
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


_TABLES = (
    *("_backward_pre_hooks", "_backward_hooks", "_forward_hooks"),
    *("_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"),
    *("_state_dict_hooks", "_state_dict_pre_hooks"),
    *("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
)  # fmt: skip
_PLACES = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")
_REPORT = (
    "Reached a code path in Module.{}() that should never be called. Please file an issue at "
    "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to report this bug."
)
_COMPLEX = (
    "Complex modules are a new feature under active development whose design may change, and some modules might not work as "
    "expected when using complex tensors as parameters or buffers. Please file an issue at "
    "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml if a complex module does not work as expected."
)
_MIXED_HOOKS = "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only one of them."
Self = TypeVar("Self", bound="Module")


class Module:
    """A part of a network: it holds parameters, buffers and other modules, and computes when it is called.

    A subclass assigns parameters and modules to its attributes after `super().__init__()`, and defines `forward`.

    >>> import funcgrad.torch as torch
    >>> class Line(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.slope = torch.nn.Parameter(torch.ones(1))
    ...     def forward(self, x):
    ...         return self.slope * x
    >>> line = Line()
    >>> line(torch.tensor([2.0]))
    tensor([2.], grad_fn=<MulBackward0>)
    >>> dict(line.state_dict())
    {'slope': tensor([1.])}

    Attributes:
        training: whether it trains; layers such as dropout behave otherwise in evaluation.
    """

    dump_patches = False
    _version = 1
    call_super_init = False
    _compiled_call_impl: Any = None
    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _is_full_backward_hook: bool | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = f"{type(self).__name__}.__init__()"
        if not self.call_super_init:
            if kwargs:
                raise TypeError(f"{name} got an unexpected keyword argument '{next(iter(kwargs))}'")
            if args:
                raise TypeError(
                    f"{name} takes 1 positional argument but {len(args) + 1} were given"
                )
        # Not by attributes, which take the slower way of `__setattr__`.
        state = vars(self)
        state["training"] = True
        state["_parameters"], state["_buffers"] = {}, {}
        state["_non_persistent_buffers_set"] = set()
        state["_is_full_backward_hook"] = None
        for table in _TABLES:
            state[table] = HookTable()
        state["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    forward: Callable[..., Any] = _forward_unimplemented

    # -- registering ----------------------------------------------------------------------------------------------

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the state and is not trained.

        Args:
            name: the attribute's name.
            tensor: the buffer; None for one that is not there and not in the `state_dict`.
            persistent: whether it is in the `state_dict`.

        Raises:
            AttributeError: `Module.__init__` has not been called.
            TypeError, KeyError: the name is not a string, is taken, empty or has a dot; or it is not a tensor.
        """
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = registered(ALL.buffers, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter.

        Args:
            name: the attribute's name.
            param: the parameter; None for one that is not there and not in the `state_dict`.

        Raises:
            AttributeError: `Module.__init__` has not been called.
            TypeError, KeyError: the name is not a string, is taken, empty or has a dot; or it is not a parameter.
            ValueError: it is a result.
        """
        self._check_name("parameter", name, "_parameters")
        if param is None:
            self._parameters[name] = None
            return
        if not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)"
            )
        if param.grad_fn:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. To "
                f"express '{name}' as a function of another Tensor, compute the value in the forward() method."
            )
        self._parameters[name] = registered(ALL.parameters, self, name, param)

    def _check_name(self, kind: str, name: Any, place: str) -> None:
        held = vars(self).get(place)
        if held is None:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in held:
            raise KeyError(f"attribute '{name}' already exists")

    def add_module(self, name: str, module: "Module | None") -> None:
        """Add a submodule.

        Raises:
            TypeError: it is not a module, or the name is not a string.
            KeyError: the name is taken, empty, or has a dot.
        """
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{typename(module)} is not a Module subclass")
        if not isinstance(name, str):
            raise TypeError(f"module name should be a string. Got {typename(name)}")
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'module name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError('module name can\'t be empty string ""')
        self._modules[name] = registered(ALL.modules, self, name, module)

    def register_module(self, name: str, module: "Module | None") -> None:
        """As `add_module`."""
        self.add_module(name, module)

    # -- attributes -----------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """A parameter, a buffer or a submodule."""
        held = self.__dict__
        for place in ("_parameters", "_buffers", "_modules"):
            things = held.get(place)
            if things is not None and name in things:
                return things[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        """Register a parameter, a module or a buffer; keep anything else as an ordinary attribute."""
        held = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in held:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif name in held.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in held:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            self._modules[name] = registered(ALL.modules, self, name, value)
        elif name in held.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            self._modules[name] = registered(ALL.modules, self, name, value)
        elif name in held.get("_buffers", ()) or isinstance(value, Buffer):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{typename(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None expected)"
                )
            known = name not in self._non_persistent_buffers_set
            persistent = value.persistent if isinstance(value, Buffer) else known
            # A subclass's `register_buffer` may not know `persistent`.
            self.register_buffer(name, value, *(() if persistent else (False,)))
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name: str, place: str) -> None:
        """Forget what an attribute held, before it becomes a thing of another kind."""
        held = self.__dict__
        held.pop(name, None)
        for each in _PLACES[:3]:
            if each != place:
                held[each].pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        """Remove a parameter, a buffer, a submodule, or an ordinary attribute."""
        for place in (self._parameters, self._buffers, self._modules):
            if name in place:
                del place[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        """The names of all attributes that are Python names."""
        names = [*dir(type(self)), *vars(self), *self._parameters, *self._modules, *self._buffers]
        return sorted(name for name in names if not name[0].isdigit())

    # -- by a dotted name -----------------------------------------------------------------------------------------

    def get_submodule(self, target: str) -> "Module":
        """The submodule of a dotted name; the module itself for "".

        Raises:
            AttributeError: there is none.
        """
        found: Any = self
        for name in target.split(".") if target else ():
            found = _attribute(found, name)
            if not isinstance(found, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return found

    def set_submodule(self, target: str, module: "Module", strict: bool = False) -> None:
        """Put a module at a dotted name.

        Args:
            target: the name.
            module: the new submodule.
            strict: whether the name has to exist already.

        Raises:
            ValueError: the name is empty, or it is not a module.
            AttributeError: there is no such place.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        replaces = strict or hasattr(parent, name)
        if replaces and not isinstance(_attribute(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name.

        Raises:
            AttributeError: there is none.
        """
        path, _, name = target.rpartition(".")
        found = _attribute(self.get_submodule(path), name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name.

        Raises:
            AttributeError: there is none.
        """
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = _attribute(module, name)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return found

    # -- calling --------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `forward`, with the hooks."""
        if self._compiled_call_impl is not None:
            return self._compiled_call_impl(*args, **kwargs)
        return self._call_impl(*args, **kwargs)

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        held = self.__dict__
        if not (
            held["_forward_hooks"]
            or held["_forward_pre_hooks"]
            or held["_backward_hooks"]
            or held["_backward_pre_hooks"]
            or ALL.any()
        ):
            return self.forward(*args, **kwargs)
        return _hooks.call_module(self, args, kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the module's call; the arguments are those of `torch.compile`."""
        self._compiled_call_impl = torch.compile(self._call_impl, *args, **kwargs)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; it may return other arguments.

        Args:
            hook: with `with_kwargs` it is called with `(module, args, kwargs)`, and may return `(args, kwargs)`.
            prepend: whether it comes before the other hooks.
            with_kwargs: whether it gets the keyword arguments.
        """
        handle = added(self._forward_pre_hooks, hook, prepend)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        return handle

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; it may return another output.

        Args:
            hook: with `with_kwargs` it is called with `(module, args, kwargs, output)`.
            prepend: whether it comes before the other hooks.
            with_kwargs: whether it gets the keyword arguments.
            always_call: whether it is called after an error too.
        """
        handle = added(self._forward_hooks, hook, prepend)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's backward; it may return other gradients."""
        return added(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` after the module's backward; it may return other `grad_input`.

        Raises:
            RuntimeError: the module has a hook of `register_backward_hook`.
        """
        return self._add_backward(hook, prepend, full=True)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` after the backward of the node of the output.

        Raises:
            RuntimeError: the module has a hook of `register_full_backward_hook`.
        """
        return self._add_backward(hook, False, full=False)

    def _add_backward(self, hook: Any, prepend: bool, *, full: bool) -> RemovableHandle:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(_MIXED_HOOKS)
        self._is_full_backward_hook = full
        return added(self._backward_hooks, hook, prepend)

    # -- state ----------------------------------------------------------------------------------------------------

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """All parameters and persistent buffers by their dotted names; they share the module's storages.

        Args:
            args: the others, in their order; deprecated.
            destination: the dictionary to fill.
            prefix: put before each name.
            keep_vars: whether to give the parameters themselves, not detached.
        """
        return _state.saved(self, args, destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Copy a state into the parameters and buffers.

        Args:
            state_dict: as `state_dict` gives it.
            strict: whether the names have to be the same.
            assign: whether to take the tensors themselves in place of their elements.

        Returns:
            The names that are missing in it, and those that are unknown.

        Raises:
            TypeError: it is not a mapping.
            RuntimeError: names or shapes do not fit.
        """
        return _state.loaded(self, state_dict, strict, assign)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put the module's own tensors into a dictionary."""
        for name, tensor in _state.own_tensors(self).items():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Copy the module's own tensors from a dictionary; complaints go into the lists."""
        has_extra = type(self).set_extra_state is not Module.set_extra_state
        lists = missing_keys, unexpected_keys, error_msgs
        _state.load_own(self, state_dict, prefix, local_metadata, strict, *lists, has_extra)

    def get_extra_state(self) -> Any:
        """Return the part of the `state_dict` that is no tensor; a subclass defines it."""
        raise RuntimeError(_REPORT.format("get_extra_state"))

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise RuntimeError(_REPORT.format("set_extra_state"))

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict`."""
        return added(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after `state_dict`; it may change the dictionary."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return added(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """As `register_state_dict_post_hook`; the hook may return another dictionary."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously registered via "
                "register_state_dict_post_hook"
            )
        return added(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors)` before loading."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        bound = _WithModule(hook, self) if with_module else hook
        return added(self._load_state_dict_pre_hooks, bound)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may change the lists of names."""
        return added(self._load_state_dict_post_hooks, hook)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes to copy or pickle."""
        return {name: held for name, held in vars(self).items() if name != "_compiled_call_impl"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes; those that older modules did not have are added."""
        held = vars(self)
        held.update(state)
        held.setdefault("_non_persistent_buffers_set", set())
        held.setdefault("_is_full_backward_hook", None)
        for table in _TABLES:
            held.setdefault(table, HookTable())

    # -- what it holds --------------------------------------------------------------------------------------------

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once; without those of submodules if `recurse` is False."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names.

        Args:
            prefix: put before each name, with a dot.
            recurse: whether those of submodules are included.
            remove_duplicate: whether one that is held twice comes once.
        """
        yield from self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once; without those of submodules if `recurse` is False."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names; arguments as for `named_parameters`."""
        yield from self._named_members(
            lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
        )

    def _named_members(
        self,
        get_members_fn: Callable[["Module"], Iterable[tuple[str, Any]]],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        """The things that `get_members_fn` lists for each module, with their dotted names."""
        seen: set[int] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in modules:
            for name, member in get_members_fn(module):
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield (f"{path}.{name}" if path else name), member

    def children(self) -> Iterator["Module"]:
        """The submodules that it holds itself, each once."""
        for _, module in self.named_children():
            yield module

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """The submodules that it holds itself, with their names."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate: bool = True) -> Iterator["Module"]:
        """The module itself and all modules under it."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(
        self,
        memo: "set[Module] | None" = None,
        prefix: str = "",
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, "Module"]]:
        """The module itself and all modules under it, with their dotted names.

        Args:
            memo: modules to leave out.
            prefix: the module's own name.
            remove_duplicate: whether one that is held twice comes once.
        """
        seen = set() if memo is None else memo
        if self in seen:
            return
        if remove_duplicate:
            seen.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(seen, path, remove_duplicate)

    # -- changing all of it ---------------------------------------------------------------------------------------

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the elements of each parameter, gradient and buffer by those that `fn` returns."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            gradient = parameter.grad
            with torch.no_grad():
                parameter.data = fn(parameter)
                if gradient is not None:
                    gradient.data = fn(gradient)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def apply(self: Self, fn: Callable[["Module"], None]) -> Self:
        """Call `fn` with each module under this one, then with the module itself."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device, and convert what is floating point to a dtype; arguments as for `Tensor.to`.

        Raises:
            TypeError: the arguments are of no form, or the dtype is neither floating point nor complex.
        """
        given = parsed_target(args, kwargs)
        where, wanted, layout = (given.get(key) for key in ("device", "dtype", "memory_format"))
        if wanted is not None:
            if not (wanted.is_floating_point or wanted.is_complex):
                raise TypeError(
                    f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={wanted}"
                )
            if wanted.is_complex:
                warnings.warn(_COMPLEX, stacklevel=2)

        def convert(tensor: Tensor) -> Tensor:
            inexact = tensor.dtype.is_floating_point or tensor.dtype.is_complex
            more = {"memory_format": layout} if layout and tensor.ndim in (4, 5) else {}
            try:
                return tensor.to(where, wanted if inexact else None, **more)
            except NotImplementedError as error:
                if str(error) != "Cannot copy out of meta tensor; no data!":
                    raise
                raise NotImplementedError(
                    f"{error} Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving module from "
                    "meta to a different device."
                ) from None

        return self._apply(convert)

    def type(self: Self, dst_type: Any) -> Self:
        """Convert all parameters and buffers to a type; see `Tensor.type`."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self: Self) -> Self:
        """Convert what is floating point to float32."""
        return self._in_dtype(torch.float32)

    def double(self: Self) -> Self:
        """Convert what is floating point to float64."""
        return self._in_dtype(torch.float64)

    def half(self: Self) -> Self:
        """Convert what is floating point to float16."""
        return self._in_dtype(torch.float16)

    def bfloat16(self: Self) -> Self:
        """Convert what is floating point to bfloat16."""
        return self._in_dtype(torch.bfloat16)

    def _in_dtype(self: Self, wanted: Any) -> Self:
        return self._apply(
            lambda tensor: tensor.to(wanted) if tensor.dtype.is_floating_point else tensor
        )

    def cpu(self: Self) -> Self:
        """Move to the CPU."""
        return self._apply(lambda tensor: tensor.to("cpu"))

    def cuda(self: Self, device: Any = None) -> Self:
        """Move to a GPU."""
        return self._apply(lambda tensor: tensor.cuda(device))

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device, without the elements."""
        return self._apply(lambda tensor: torch.empty_like(tensor, device=device), recurse=recurse)

    def share_memory(self: Self) -> Self:
        """Move to memory that processes share; see `Tensor.share_memory_`."""
        return self._apply(lambda tensor: tensor.share_memory_())

    def train(self: Self, mode: bool = True) -> Self:
        """Train from now on; evaluate if `mode` is False.

        Raises:
            ValueError: the mode is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Evaluate from now on."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Ask for the gradients of all parameters, or stop asking."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters; with `set_to_none` False, fill them with zeros."""
        for parameter in self.parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                if gradient.grad_fn is not None:
                    gradient.detach_()
                else:
                    gradient.requires_grad_(False)
                gradient.zero_()

    # -- printing -------------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Return the text that a subclass adds to its printed form."""
        return ""

    def __repr__(self) -> str:
        """As PyTorch prints it: the submodules, one a line."""
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) == 1 and not self._modules:
            return f"{self._get_name()}({extra})"
        for name, module in self._modules.items():
            lines.append(f"({name}): {indented(repr(module))}")
        return f"{self._get_name()}({on_lines(lines)})"


def _attribute(module: Module, name: str) -> Any:
    if not hasattr(module, name):
        raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
    return getattr(module, name)


class _WithModule:
    """A hook whose first argument is its module; a class, so that the module can be pickled and copied."""

    def __init__(self, hook: Callable[..., Any], module: Module) -> None:
        self.hook, self.module = hook, module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.hook(self.module, *args, **kwargs)
