"""The state of modules: what `state_dict` gives and `load_state_dict` takes."""

import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn.parameter import Parameter, is_lazy

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """The names that `load_state_dict` missed, and those that it did not know."""

    __slots__ = ()

    def __repr__(self) -> str:
        """As PyTorch prints it."""
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


def saved(module: Any, args: tuple[Any, ...], destination: Any, prefix: str, keep_vars: bool) -> Any:  # fmt: skip
    """The state of a module and its children; see `Module.state_dict`."""
    if args:
        warnings.warn(
            "Positional args are being deprecated, use kwargs instead. Refer to "
            "https://pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.state_dict for details.",
            FutureWarning,
            stacklevel=3,
        )
        given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
        destination = given["destination"] if destination is None else destination
        prefix, keep_vars = prefix or given.get("prefix", ""), keep_vars or given.get("keep_vars", False)  # fmt: skip
    if destination is None:
        destination = OrderedDict()
        destination._metadata = OrderedDict()
    metadata = {"version": module._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = metadata
    for hook in module._state_dict_pre_hooks.values():
        hook(module, prefix, keep_vars)
    module._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)  # fmt: skip
    for hook in module._state_dict_hooks.values():
        given = hook(module, destination, prefix, metadata)
        if given is not None:
            if getattr(hook, "_from_public_api", False):
                raise RuntimeError("state_dict post-hook must return None")
            destination = given
    return destination


def own_tensors(module: Any) -> dict[str, Any]:
    """A module's own parameters and persistent buffers."""
    lasting = {k: v for k, v in module._buffers.items() if k not in module._non_persistent_buffers_set}  # fmt: skip
    return {name: each for name, each in [*module._parameters.items(), *lasting.items()] if each is not None}  # fmt: skip


def loaded(module: Any, state_dict: Any, strict: bool, assign: bool) -> _IncompatibleKeys:
    """Load the state of a module and its children; see `Module.load_state_dict`."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    missing: list[str] = []
    unexpected: list[str] = []
    complaints: list[str] = []
    metadata = getattr(state_dict, "_metadata", None)
    given: Any = OrderedDict(state_dict)
    if metadata is not None:
        given._metadata = metadata

    def load(module: Any, given: Any, prefix: str) -> None:
        local = {} if metadata is None else metadata.get(prefix[:-1], {})
        if assign:
            local["assign_to_params_buffers"] = assign
        module._load_from_state_dict(given, prefix, local, True, missing, unexpected, complaints)
        for name, child in module._modules.items():
            if child is not None:
                start = f"{prefix}{name}."
                load(child, {k: v for k, v in given.items() if k.startswith(start)}, start)
        found = _IncompatibleKeys(missing, unexpected)
        for hook in module._load_state_dict_post_hooks.values():
            if hook(module, found) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new values, if "
                    "incompatible_keys need to be modified, it should be done inplace."
                )

    load(module, given, "")
    if strict:
        for kind, names in (("Unexpected", unexpected), ("Missing", missing)):
            if names:
                listed = ", ".join(f'"{name}"' for name in names)
                complaints.insert(0, f"{kind} key(s) in state_dict: {listed}. ")
    if complaints:
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(module).__name__}:\n\t"
            + "\n\t".join(complaints)
        )
    return _IncompatibleKeys(missing, unexpected)


def load_own(
    module: Any,
    given: Any,
    prefix: str,
    metadata: dict[str, Any],
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    complaints: list[str],
    has_extra: bool,
) -> None:
    """Load a module's own tensors, without its children's; see `Module._load_from_state_dict`."""
    for hook in module._load_state_dict_pre_hooks.values():
        hook(given, prefix, metadata, strict, missing, unexpected, complaints)
    own = own_tensors(module)
    for name, tensor in own.items():
        key = prefix + name
        if key in given:
            complaint = _load_tensor(module, name, key, tensor, given[key], metadata)
            complaints.extend([complaint] if complaint else [])
        elif strict:
            missing.append(key)
    extra = prefix + _EXTRA_STATE_KEY_SUFFIX
    if has_extra:
        if extra in given:
            module.set_extra_state(given[extra])
        elif strict:
            missing.append(extra)
    elif strict and extra in given:
        unexpected.append(extra)
    for key in given if strict else ():
        if key.startswith(prefix) and key != extra:
            first, *rest = key[len(prefix) :].split(".", 1)
            if first not in (module._modules if rest else own):
                unexpected.append(key)


def _load_tensor(
    module: Any, name: str, key: str, tensor: Any, given: Any, metadata: dict[str, Any]
) -> str:
    """Load one tensor; the complaint, if it does not fit."""
    if not isinstance(given, Tensor):
        return (
            f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint but '
            f"received {type(given)}"
        )
    assigns = metadata.get("assign_to_params_buffers", False)
    if is_lazy(tensor) and is_lazy(given) and not assigns:
        return ""  # there are no elements to copy
    if not is_lazy(tensor):
        if tensor.shape == () and given.shape == (1,):
            given = torch.squeeze(given, 0)
        if given.shape != tensor.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, the shape in current "
                f"model is {tensor.shape}."
            )
        if tensor.is_meta and not given.is_meta and not assigns:
            warnings.warn(
                f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in the current model, which "
                "is a no-op. (Did you mean to pass `assign=True` to assign items in the state dictionary to their corresponding "
                "key in the module instead of copying them in place?)",
                stacklevel=2,
            )
    try:
        with torch.no_grad():
            if not assigns:
                tensor.copy_(given)
            else:
                if isinstance(given, Parameter) and isinstance(tensor, Parameter):
                    given.requires_grad_(tensor.requires_grad)
                elif isinstance(tensor, Parameter):
                    given = Parameter(given, requires_grad=tensor.requires_grad)
                setattr(module, name, given)
    except Exception as error:
        return (
            f'While copying the parameter named "{key}", whose dimensions in the model are {tensor.size()} and whose '
            f"dimensions in the checkpoint are {given.size()}, an exception occurred : {error.args}."
        )
    return ""
