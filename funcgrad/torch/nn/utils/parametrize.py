"""Parametrized tensors: an attribute of a module that is computed from other tensors each time it is asked for.

Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.register_parametrization.html
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn.modules.container import ModuleDict, ModuleList
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]


def __dir__() -> list[str]:
    return __all__


class _Cache:
    """The tensors computed inside `cached()`.

    Attributes:
        depth: how many of these blocks are open.
        tensors: by the module's id and the attribute's name.
    """

    depth = 0

    def __init__(self) -> None:
        self.tensors: dict[tuple[int, str], Any] = {}


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """A block in which each parametrized tensor is computed once."""
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.tensors = {}


def _register(module: Module, name: str, tensor: Any) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check_kept(what: str, name: str, before: Any, words: str, after: Any) -> None:
    """Check that a tensor keeps its dtype and shape.

    Raises:
        ValueError: it does not.
    """
    for fact in ("dtype", "shape"):
        one, other = getattr(before, fact), getattr(after, fact)
        if one != other:
            raise ValueError(f"{what.format(fact)}\n{name}{fact}: {one}\n{words}{fact}: {other}")


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, the first applied first; it holds the tensors that they start from.

    Args:
        modules: the parametrizations.
        original: the parameter or buffer that is parametrized.
        unsafe: whether the dtype and shape may change; nothing is checked then.

    Attributes:
        is_tensor: whether there is one tensor, `original`; else there are `ntensors`, `original0` and so on.

    Raises:
        ValueError: a `right_inverse`, or the result, is not such a tensor.
    """

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        like = torch.empty_like(original, requires_grad=False)
        with torch.no_grad():
            new: Any = original
            for module in reversed(list(self)):
                with suppress(NotImplementedError):
                    new = module.right_inverse(new) if hasattr(module, "right_inverse") else new
        one = isinstance(new, Tensor)
        if not one and not isinstance(new, Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        self.is_tensor = one
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            if original.dtype != new.dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {new.dtype}"
                )
            with torch.no_grad():
                original.set_(new)
            _register(self, "original", original)
        else:
            for k, each in enumerate(new):
                if not isinstance(each, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                        f"Got element {k} of the sequence with type {type(each).__name__}."
                    )
                if isinstance(original, Parameter):
                    each = Parameter(each, original.requires_grad)
                _register(self, f"original{k}", each.requires_grad_(original.requires_grad))
        if not unsafe:
            made = self()
            if not isinstance(made, Tensor):
                raise ValueError(
                    f"A parametrization must return a tensor. Got {type(made).__name__}."
                )
            _check_kept(
                "Registering a parametrization may not change the {} of the tensor, unless `unsafe` flag is enabled.",
                "unparametrized ",
                like,
                "parametrized ",
                made,
            )

    @property
    def _originals(self) -> list[Any]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{k}") for k in range(self.ntensors)]

    def right_inverse(self, value: Any) -> None:
        """Give the tensors the values that `value` comes from.

        Raises:
            RuntimeError: a parametrization has no `right_inverse`.
            ValueError: it returned other tensors than there are.
        """
        with torch.no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                value = module.right_inverse(value)
            if self.is_tensor:
                if not isinstance(value, Tensor):
                    raise ValueError(
                        f"`right_inverse` should return a tensor. Got {type(value).__name__}"
                    )
                if value.dtype != self.original.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {value.dtype} while `original` has dtype "
                        f"{self.original.dtype}"
                    )
                value = [value]
            elif not isinstance(value, Sequence):
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors. Got {type(value).__name__}."
                )
            elif len(value) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. "
                    f"Got a sequence of length {len(value)}."
                )
            for k, (held, new) in enumerate(zip(self._originals, value, strict=True)):
                if held.dtype != new.dtype:
                    raise ValueError(
                        f"Tensor {k} returned by `right_inverse` has dtype {new.dtype} while `original{k}` has dtype "
                        f"{held.dtype}"
                    )
                held.set_(new)

    def forward(self) -> Any:
        """The parametrized tensor."""
        first, *others = self
        made = first(*self._originals)
        for each in others:
            made = each(made)
        return made


# ------------------------------------------------------------------------------------------- classes of parametrized modules


def _deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    if id(self) not in memo:
        replica = memo[id(self)] = self.__new__(type(self))
        vars(replica).update(copy.deepcopy(vars(self), memo))
    return memo[id(self)]


def _getstate(self: Any) -> Any:
    """Refuse pickling.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _with_class_of_its_own(module: Any) -> None:
    kind = type(module)
    given: dict[str, Any] = {"__getstate__": _getstate}
    if not hasattr(kind, "__deepcopy__"):
        given["__deepcopy__"] = _deepcopy
    module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), given)


def _with_property(module: Any, name: str) -> None:
    def get(self: Any) -> Any:
        made = self.parametrizations[name]
        if not _cache.depth:
            return made()
        key = (id(self), name)
        if key not in _cache.tensors:
            _cache.tensors[key] = made()
        return _cache.tensors[key]

    def put(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, put))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let a parameter or buffer be computed by a module, `parametrization(original)`, whenever it is asked for.

    Args:
        module: it gets a class of its own, and `parametrizations`.
        tensor_name: the parameter or buffer.
        parametrization: the module; with a `right_inverse` the tensor can be assigned to.
        unsafe: whether the dtype and shape may change; nothing is checked then.

    Raises:
        ValueError: there is no such tensor, or the result does not fit.

    >>> import funcgrad.torch as torch
    >>> class Symmetric(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = register_parametrization(torch.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all())
    True
    """
    held: Any = module
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_added(held, tensor_name, parametrization)
        held.parametrizations[tensor_name].append(parametrization)
        held.parametrizations[tensor_name].unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        made = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _with_class_of_its_own(module)
            held.parametrizations = ModuleDict()
        _with_property(module, tensor_name)
        held.parametrizations[tensor_name] = made
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'"
        )
    return module


def _check_added(module: Any, name: str, parametrization: Any) -> None:
    before = getattr(module, name)
    made = parametrization(before)
    if not isinstance(made, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(made).__name__}.")
    _check_kept(
        "Registering a parametrization may not change the {} of the tensor, unless the `unsafe` flag is enabled.",
        f"module.{name}.",
        before,
        f"parametrization(module.{name}).",
        made,
    )
    if not hasattr(parametrization, "right_inverse"):
        return
    try:
        inverse = parametrization.right_inverse(made)
    except NotImplementedError:
        return
    if not isinstance(inverse, Tensor):
        raise ValueError(
            f"parametrization.right_inverse must return a tensor. Got: {type(inverse).__name__}"
        )
    for fact in ("dtype", "shape"):
        one, other = getattr(before, fact), getattr(inverse, fact)
        if one != other:
            raise ValueError(
                f"The tensor returned by parametrization.right_inverse must have the same {fact} as module.{name}, unless the "
                f"`unsafe` flag is enabled.\nmodule.{name}.{fact}: {one}\nreturned {fact}: {other}"
            )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of a module is parametrized; without a name, whether any is."""
    found = getattr(module, "parametrizations", None)
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make a parametrized tensor a plain one again.

    Args:
        module: has the tensor.
        tensor_name: its name.
        leave_parametrized: whether it keeps its present value; else it gets back the one it is computed from.

    Raises:
        ValueError: it is not parametrized, or is computed from several tensors and asked to get one back.
    """
    held: Any = module
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    found = held.parametrizations[tensor_name]
    if not found.is_tensor and not leave_parametrized:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a sequence "
            "of tensors."
        )
    if found.is_tensor:
        original = found.original
        if leave_parametrized:
            with torch.no_grad():
                original.set_(getattr(module, tensor_name))
    else:
        made = getattr(module, tensor_name)
        original = Parameter(made) if made.requires_grad else made
    delattr(type(module), tensor_name)
    del held.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del held.parametrizations
        held.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that a module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give a module the parametrizations of another, and the tensors that they start from.

    Args:
        from_module: has the parametrizations.
        to_module: gets them.
        tensor_name: the tensor; all if None.
    """
    if not is_parametrized(from_module):
        return to_module
    given: Any = from_module.parametrizations
    taker: Any = to_module
    names = list(given) if tensor_name is None else [tensor_name]
    for name in names:
        if not hasattr(taker, name):
            setattr(taker, name, Parameter(getattr(from_module, name)))
        for each in given[name]:
            register_parametrization(taker, name, each)
        theirs, own = given[name], taker.parametrizations[name]
        if hasattr(theirs, "original"):
            own.original = theirs.original
        else:
            for k in range(theirs.ntensors):
                setattr(own, f"original{k}", getattr(theirs, f"original{k}"))
    return to_module
