"""`torch.jit`, as far as it goes without TorchScript: marks for its compiler change nothing, and `script` gives back its argument.

Scripted code computes the same as Python's, so a program that uses `script` for speed runs as it is. `torch.compile` is the way to
speed here. So does a trace, unless a branch depends on elements: `trace` looks for one, and refuses it.
"""

import builtins
import warnings
from collections.abc import Callable
from types import UnionType
from typing import Any, Final, NamedTuple, TypeVar, Union, get_args, get_origin

import jax

from funcgrad.torch._compile.modules import is_module
from funcgrad.torch._compile.pure import pure
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch._types.trees import tree_map
from funcgrad.torch.futures import Future

__all__ = [
    "Attribute",
    "Error",
    "Final",
    "Future",
    "ScriptModule",
    "TracerWarning",
    "annotate",
    "enable_onednn_fusion",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "save",
    "script",
    "script_if_tracing",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "unused",
    "wait",
]

_Scripted = TypeVar("_Scripted")
_isinstance = builtins.isinstance


__path__: list[str] = []  # its modules are stand-ins


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class TracerWarning(Warning):
    """A trace depends on elements. Here it is refused, so nothing warns."""


class ScriptModule:
    """The type of scripted modules in PyTorch. There are none here, so `isinstance` says no.

    Raises:
        NotImplementedError: one is made.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "funcgrad has no TorchScript: derive from torch.nn.Module, and use torch.compile for speed"
        )


def script(
    obj: _Scripted,
    optimize: Any = None,
    _frames_up: int = 0,
    _rcb: Any = None,
    example_inputs: Any = None,
) -> _Scripted:
    """`obj` itself, a function, a class or a module: it computes what its script computes in PyTorch.

    >>> import funcgrad.torch as torch
    >>> @torch.jit.script
    ... def double(x):
    ...     return 2 * x
    >>> double(torch.ones(2))
    tensor([2., 2.])
    """
    return obj


def trace(
    func: _Scripted,
    example_inputs: Any = None,
    optimize: Any = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: Any = None,
    _compilation_unit: Any = None,
    example_kwarg_inputs: dict[str, Any] | None = None,
    _store_inputs: bool = True,
) -> _Scripted:
    """`func` itself, after it is sure that it takes the same branches for all elements.

    Args:
        func: a function of tensors, or a module.
        example_inputs: a tensor, or a tuple of the arguments.
        example_kwarg_inputs: the arguments by name, in place of `example_inputs`.
        optimize, check_trace, check_inputs, check_tolerance, strict: accepted; a function gives no other results than itself.

    Raises:
        NotImplementedError: a branch, or a number that Python reads, depends on elements of the example. PyTorch's trace keeps
            the example's.
        RuntimeError: both kinds of example are given, or none.

    >>> import warnings
    >>> import funcgrad.torch as torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> with warnings.catch_warnings(action="ignore"):  # PyTorch's, which calls it deprecated
    ...     torch.jit.trace(layer, torch.ones(1, 2)) is layer
    True
    """
    warnings.warn(
        "`torch.jit.trace` is deprecated. Please switch to `torch.compile` or `torch.export`.",
        DeprecationWarning,
        stacklevel=2,
    )
    if (example_inputs is None) == (example_kwarg_inputs is None):
        raise RuntimeError("example_inputs or example_kwarg_inputs must be given, and only one")
    single = _isinstance(example_inputs, Tensor) or not _isinstance(example_inputs, (tuple, list))
    args = () if example_inputs is None else (example_inputs,) if single else example_inputs
    made: Any = pure(func)  # type: ignore[arg-type]
    first: tuple[Any, ...] = ()
    options: dict[str, Any] = {}
    if is_module(func):
        first, options = (made.parameters(), made.buffers()), {"random_key": jax.random.key(0)}
    try:
        jax.eval_shape(
            lambda args, kwargs: made(*first, *args, **options, **kwargs),
            *_arrays((tuple(args), example_kwarg_inputs or {})),
        )
    except jax.errors.ConcretizationTypeError as error:
        raise NotImplementedError(
            "torch.jit.trace: a branch, or a number that Python reads, depends on the elements of the example. PyTorch's trace "
            "would keep what it is for the example; call the function itself, or torch.compile of it"
        ) from error
    return func


def _arrays(given: Any) -> Any:
    """The arguments with arrays for tensors."""
    return tree_map(lambda each: each._jax_array() if _isinstance(each, Tensor) else each, given)


def freeze(mod: Any, preserved_attrs: Any = None, optimize_numerics: bool = True) -> Any:
    """The module itself.

    Raises:
        RuntimeError: it is in training.
    """
    if mod.training:
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module before "
            "freezing."
        )
    return mod


def optimize_for_inference(mod: Any, other_methods: Any = None) -> Any:
    """The module itself, in evaluation."""
    return freeze(mod.eval())


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """Refuse: the file would hold TorchScript.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        "torch.jit.save writes TorchScript, which funcgrad has not got: torch.save(module.state_dict(), file) keeps the module"
    )


def load(f: Any, map_location: Any = None, _extra_files: Any = None) -> Any:
    """Refuse: the file holds TorchScript.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        "torch.jit.load reads TorchScript, which funcgrad has not got: save module.state_dict() with PyTorch, and load it into a "
        "module of torch.nn"
    )


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Mark a function that TorchScript should leave to Python: nothing changes. A decorator, also with options."""
    return drop if callable(drop) else _unchanged


def _unchanged(fn: _Scripted) -> _Scripted:
    return fn


def unused(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that a script does not call: nothing changes."""
    return fn


def export(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method that is an entry of a script: nothing changes."""
    return fn


_overload = _overload_method = unused  # marks of a script's other signatures


def is_scripting() -> bool:
    """Whether TorchScript runs the code: never."""
    return False


def is_tracing() -> bool:
    """Whether a trace is taken: never."""
    return False


class Error(Exception):
    """An error inside TorchScript. Here errors are Python's own."""


class Attribute(NamedTuple):
    """A value with a type for TorchScript."""

    value: Any
    type: Any


def annotate(the_type: Any, the_value: _Scripted) -> _Scripted:
    """The value; the type is for TorchScript."""
    return the_value


def interface(obj: _Scripted) -> _Scripted:
    """Mark a class that only names methods: nothing changes."""
    return obj


def script_if_tracing(fn: _Scripted) -> _Scripted:
    """The function itself."""
    return fn


_script_if_tracing = script_if_tracing


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether a thing is of a type, such as `list[int]`: of containers every element is asked.

    >>> isinstance([1, 2], list[int]), isinstance({"a": 1.0}, dict[str, int]), isinstance((1, "a"), tuple[int, str])
    (True, False, True)
    """
    kind, parts = get_origin(target_type), get_args(target_type)
    if kind in (Union, UnionType):
        return any(isinstance(obj, each) for each in parts)
    if kind is None:
        if _isinstance(target_type, tuple):
            return any(isinstance(obj, each) for each in target_type)
        return obj is None if target_type is None else _isinstance(obj, target_type)
    if not _isinstance(obj, kind):
        return False
    if kind is dict:
        return all(isinstance(k, parts[0]) and isinstance(v, parts[1]) for k, v in obj.items())
    if kind is tuple and parts[1:] != (...,):
        return len(obj) == len(parts) and all(map(isinstance, obj, parts))
    return all(isinstance(each, parts[0]) for each in obj)


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future:
    """The future of a call. It is done at once: ops run side by side in XLA's own threads.

    >>> wait(fork(max, 1, 2))
    2
    """
    future = Future()
    future.set_result(func(*args, **kwargs))
    return future


def wait(future: Future) -> Any:
    """The value of a future."""
    return future.wait()


class strict_fusion:
    """A `with` block in which all is to be one program, and nothing says if it is not: `torch.compile` makes one here."""

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, *error: object) -> None:
        """End the block."""


class _Settings:
    """Settings that are kept and change nothing."""

    onednn = False
    strategy: list[tuple[str, int]] = [("STATIC", 2), ("DYNAMIC", 10)]  # noqa: RUF012 -- replaced as a whole


def enable_onednn_fusion(enabled: bool) -> None:
    """Keep a setting: XLA fuses by itself."""
    _Settings.onednn = enabled


def onednn_fusion_enabled() -> bool:
    """The last argument of `enable_onednn_fusion`; False at first."""
    return _Settings.onednn


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Keep a setting, and return the one before: XLA fuses by itself."""
    before, _Settings.strategy = _Settings.strategy, strategy
    return before
