"""`functional_call` and related functions, for any object with tensors as attributes."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from funcgrad.torch._tensor.axes import stack
from funcgrad.torch._tensor.tensor import Tensor


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call an object with other tensors in place of its own.

    Args:
        module: anything callable that holds tensors as attributes, its own or, by a dotted name, its attributes'.
            Its `named_parameters()` and `named_buffers()`, if present, list them, as in PyTorch's modules.
        parameter_and_buffer_dicts: tensors by name; or several such dictionaries, without a name in common. A tensor
            under a name that is not there is an attribute during the call.
        args: a tuple of arguments, or a single argument.
        kwargs: further arguments by name.
        tie_weights: one tensor under two names stays one tensor if either name is given.
        strict: refuse missing names and unknown names.

    Raises:
        ValueError: a name comes twice, or tied tensors are given different values.
        RuntimeError: what `strict` refuses.
        AttributeError: a dotted name goes through an attribute that is not there.
        TypeError: an attribute is not a tensor.

    >>> import funcgrad.torch as torch
    >>> class Line:
    ...     def __init__(self):
    ...         self.slope = torch.ones(1)
    ...     def __call__(self, x):
    ...         return self.slope * x
    >>> torch.func.functional_call(Line(), {"slope": torch.tensor([3.0])}, torch.tensor([2.0]))
    tensor([6.])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.functional_call.html
    """
    given = _merged(parameter_and_buffer_dicts)
    tensors = _tied(module, given) if tie_weights else dict(given)
    if strict:
        _check_names(module, tensors)
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _swapped(module, tensors, given):
        return module(*args, **(kwargs or {}))


def _merged(dicts: Any) -> dict[str, Tensor]:
    if isinstance(dicts, dict):
        return dicts
    if not isinstance(dicts, Sequence):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(dicts)}"
        )
    if not all(isinstance(each, dict) for each in dicts):
        raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
    names = [name for each in dicts for name in each]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ValueError(
            f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous"
        )
    return {name: tensor for each in dicts for name, tensor in each.items()}


def named_tensors(module: Any) -> dict[str, Tensor]:
    """The tensors that an object lists, under every name of a tied tensor."""
    found: dict[str, Tensor] = {}
    for method in ("named_parameters", "named_buffers"):
        listed = getattr(module, method, None)
        if listed is not None:
            try:
                found.update(listed(remove_duplicate=False))
            except TypeError:
                found.update(listed())
    return found


def _tied(module: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
    names_of: dict[int, list[str]] = {}
    for name, tensor in named_tensors(module).items():
        names_of.setdefault(id(tensor), []).append(name)
    tensors = dict(given)
    for names in names_of.values():
        values = {id(given[name]): given[name] for name in names if name in given}
        if len(names) > 1 and len(values) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, which are tied. Consider using "
                "tie_weights=False"
            )
        for name in names if values else ():
            (tensors[name],) = values.values()
    return tensors


def _check_names(module: Any, tensors: dict[str, Tensor]) -> None:
    own = named_tensors(module)
    unexpected = [name for name in tensors if name not in own]
    missing = [name for name in own if name not in tensors]
    complaints = []
    if unexpected:
        complaints.append(f"Unexpected key(s): {', '.join(map(repr, unexpected))}.")
    if missing:
        complaints.append(f"Missing key(s): {', '.join(map(repr, missing))}.")
    if complaints:
        raise RuntimeError(
            f"Error(s) in reparametrizing for {_name(module)}:\n\t" + "\n\t".join(complaints)
        )


def _name(module: Any) -> str:
    return type(module).__name__


@contextmanager
def _swapped(module: Any, tensors: dict[str, Tensor], given: dict[str, Tensor]) -> Iterator[None]:
    """A block with these tensors in place of the object's own. New assignments by the call go into `given`, as in PyTorch."""
    before: list[tuple[Any, str, str, Any]] = []
    try:
        for name, tensor in tensors.items():
            holder, attribute = _holder(module, name)
            own = getattr(holder, attribute, _MISSING)
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(f"{tensor} is not an instance of torch.Tensor")
            if own is not None and own is not _MISSING and not isinstance(own, Tensor):
                raise TypeError(
                    f"attribute `{attribute}`: {own} is not an instance of torch.Tensor"
                )
            before.append((holder, attribute, name, own))
            _put(holder, attribute, tensor)
        yield
    finally:
        for holder, attribute, name, own in reversed(before):
            if name in given:
                given[name] = getattr(holder, attribute)
            if own is _MISSING:
                delattr(holder, attribute)
            else:
                _put(holder, attribute, own)


_MISSING = object()


def _put(holder: Any, attribute: str, tensor: Any) -> None:
    """Set an attribute; of a module of `torch.nn`, which takes only parameters by assignment, in its own table."""
    for place in ("_parameters", "_buffers"):
        table = getattr(holder, place, None)
        if isinstance(table, dict) and attribute in table:
            table[attribute] = tensor
            return
    setattr(holder, attribute, tensor)


def _holder(module: Any, name: str) -> tuple[Any, str]:
    *path, attribute = name.split(".")
    for part in path:
        if not hasattr(module, part):
            raise AttributeError(f"{_name(module)} has no attribute `{part}`")
        module = getattr(module, part)
    return module, attribute


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of objects of one class, each stacked along a new first dimension.

    Args:
        models: objects with `named_parameters()` and `named_buffers()`.

    Raises:
        RuntimeError: there are none, or they are of different classes or modes, or differ in what requires grad.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.stack_module_state.html
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({bool(getattr(model, "training", True)) for model in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if any(type(model) is not type(models[0]) for model in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(method: str) -> dict[str, Tensor]:
        held = [dict(getattr(model, method)()) for model in models]
        return {name: _stacked_leaf([each[name] for each in held], name) for name in held[0]}

    return stacked("named_parameters"), stacked("named_buffers")


def _stacked_leaf(tensors: list[Tensor], name: str) -> Tensor:
    wanting = {tensor.requires_grad for tensor in tensors}
    if len(wanting) > 1:
        raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
    made = stack(tensors)
    return made.detach().requires_grad_() if True in wanting else made


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """The function itself: its in-place ops already run as pure ops here.

    Raises:
        RuntimeError: `remove` is neither "mutations" nor "mutations_and_views".

    Behaviour: https://pytorch.org/docs/stable/generated/torch.func.functionalize.html
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. Valid options are:\n"
            "     remove='mutations': all inplace and out= operators will be removed from the program, and replaced "
            "with their out-of-place equivalents.\n"
            "     remove='mutations_and_views': In addition to the above, all aliasing operators {view} will be "
            "replaced with their non-aliasing counterparts, {view}_copy.\n"
        )

    @functools.wraps(func)
    def functional(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return functional
