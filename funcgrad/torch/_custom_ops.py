"""Ops of the user's own, under a name: `torch.library.custom_op`, and `torch.ops`, which finds them."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from funcgrad.engine import grad_mode
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.devices import device
from funcgrad.torch._types.dtypes import dtype
from funcgrad.torch.autograd.function import Function

# ------------------------------------------------------------------------------------------- schemas

_TYPES: dict[Any, str] = {Tensor: "Tensor", int: "SymInt", float: "float", bool: "bool", str: "str"}
_TYPES |= {dtype: "ScalarType", device: "Device", complex: "complex"}
_NUMBERS = typing.Union[int, float, bool]  # noqa: UP007


def _type_of(annotation: Any) -> str | None:
    """An annotation's type in a schema; None if there is none."""
    if annotation in _TYPES:
        return _TYPES[annotation]
    if annotation == _NUMBERS:
        return "Scalar"
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        kinds = [each for each in parts if each is not type(None)]
        inner = _type_of(kinds[0]) if len(kinds) == 1 < len(parts) else None
        return f"{inner}?" if inner else None
    if origin in (list, Sequence) or (origin is tuple and parts[1:] == (...,)):
        inner = _type_of(parts[0])
        return f"{inner}[]" if inner else None
    return None


# An argument's name in a schema.
_NAMED = re.compile(r"(\w+) *(?:=[^,]*)?[,)]")


def infer_schema(
    prototype_function: Callable[..., Any], /, *, mutates_args: Any, op_name: str | None = None
) -> str:
    """The schema of a function by its annotations.

    Args:
        prototype_function: the function.
        mutates_args: the names of the arguments that it changes in place; or "unknown" for all.
        op_name: a name to put in front.

    Raises:
        ValueError: an annotation is missing, or of a type that a schema has no name for.

    >>> import funcgrad.torch as torch
    >>> def scaled(x: torch.Tensor, by: float = 2.0) -> torch.Tensor:
    ...     return x * by
    >>> infer_schema(scaled, mutates_args=())
    '(Tensor x, float by=2.0) -> Tensor'
    """
    signature = inspect.signature(prototype_function, eval_str=True)
    told = f"Got func with signature {signature})".replace("funcgrad.torch", "torch")
    parts, keyword = [], False
    for each in signature.parameters.values():
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            raise ValueError(f"infer_schema(func): We do not support *args or **kwargs. {told}")
        if each.kind is each.KEYWORD_ONLY and not keyword:
            parts.append("*")
            keyword = True
        if each.annotation is each.empty:
            raise ValueError(
                f"infer_schema(func): Parameter {each.name} must have a type annotation. {told}"
            )
        kind = _type_of(each.annotation)
        if kind is None:
            raise ValueError(
                f"infer_schema(func): Parameter {each.name} has unsupported type {each.annotation}. {told}"
            )
        if mutates_args == "unknown" or each.name in mutates_args:
            changed = chr(ord("a") + sum("!)" in part for part in parts))
            kind = kind.replace("Tensor", f"Tensor({changed}!)", 1)
        text = f"{kind} {each.name}"
        if each.default is not each.empty:
            shown = f'"{each.default}"' if isinstance(each.default, str) else str(each.default)
            text += f"={shown}"
        parts.append(text)
    return f"{op_name or ''}({', '.join(parts)}) -> {_returned(signature.return_annotation, told)}"


def _returned(annotation: Any, told: str) -> str:
    if annotation is inspect.Signature.empty:
        raise ValueError(
            f"infer_schema(func): No return type annotation was provided. Please add one. {told}"
        )
    if annotation is None:
        return "()"
    parts = typing.get_args(annotation)
    several = typing.get_origin(annotation) is tuple and ... not in parts
    kinds = [_type_of(each) for each in (parts if several else (annotation,))]
    if None in kinds:
        raise ValueError(f"infer_schema(func): Return has unsupported type {annotation}. {told}")
    return f"({', '.join(map(str, kinds))})" if several else str(kinds[0])


# ------------------------------------------------------------------------------------------- ops

OPS: dict[str, "CustomOpDef"] = {}


class CustomOpDef:
    """An op of the user's: its function, and what is registered for it.

    Behaviour: https://docs.pytorch.org/docs/stable/library.html#torch.library.custom_op

    Args:
        qualname: its name, such as "mylib::sine".
        schema: its schema.
        fn: the function of tensors without graph.
        parameters: of the function.
        mutates: the names of the arguments that it changes in place.
    """

    def __init__(
        self, qualname: str, schema: str, fn: Any, parameters: inspect.Signature, mutates: Any
    ) -> None:
        self._qualname, self._schema, self._init_fn = qualname, schema, fn
        self._signature, self._mutates = parameters, mutates
        self._kernels: dict[str | None, Callable[..., Any]] = {} if fn is None else {None: fn}
        self._fake: Callable[..., Any] | None = None
        self._backward: Callable[..., Any] | None = None
        self._setup: Callable[..., Any] | None = None
        self._vmap: Callable[..., Any] | None = None
        self.__name__ = qualname.split("::")[1]
        OPS[qualname] = self
        node = f"GeneratedBackwardFor_{qualname.replace('::', '_')}_default"
        parts = {"forward": _forward, "setup_context": _setup_context, "backward": _backward, "vmap": _vmap}  # fmt: skip
        made = {name: staticmethod(part(self)) for name, part in parts.items()}
        self._function: Any = type(node, (Function,), made)

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    # -- registering ----------------------------------------------------------------------------------------------

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Say what the results look like: a function of the same arguments, for tensors without elements."""
        self._fake = fn
        return fn

    def register_kernel(self, device_types: Any, fn: Callable[..., Any] | None = None, /) -> Any:
        """Set the function for devices of some types; for all if None. Without a function: a decorator."""

        def register(fn: Callable[..., Any]) -> Callable[..., Any]:
            names = [device_types] if isinstance(device_types, (str, type(None))) else device_types
            self._kernels |= dict.fromkeys(names, fn)
            return fn

        return register if fn is None else register(fn)

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """Set the derivative.

        Args:
            backward: takes a context and the cotangents of the results, and returns one for each argument.
            setup_context: takes the context, the inputs and the output, and saves what `backward` needs.
        """
        self._backward, self._setup = backward, setup_context

    def register_vmap(self, func: Callable[..., Any] | None = None) -> Any:
        """Set the rule of `vmap`; without it the op is called once for each element of the batch."""
        if func is None:
            return self.register_vmap
        self._vmap = func
        return func

    # -- calling --------------------------------------------------------------------------------------------------

    def _bound(self, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """All arguments, by position, and those that have to be named.

        Raises:
            RuntimeError: they do not fit the schema.
        """
        told = f" Declaration: {self._qualname}{self._schema}"
        most = sum(p.kind is not p.KEYWORD_ONLY for p in self._signature.parameters.values())
        if len(args) > most:
            raise RuntimeError(
                f"{self._qualname}() expected at most {most} argument(s) but received {len(args)} argument(s).{told}"
            )
        try:
            found = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            name = str(error).rsplit("'", 2)[-2] if "missing" in str(error) else ""
            told = f"is missing value for argument '{name}'.{told}" if name else f"{error}.{told}"
            raise RuntimeError(f"{self._qualname}() {told}") from None
        found.apply_defaults()
        for place, (name, value) in enumerate(found.arguments.items()):
            wanted = self._signature.parameters[name].annotation
            if wanted is Tensor and not isinstance(value, Tensor):
                raise RuntimeError(
                    f"{self._qualname}() Expected a value of type 'Tensor' for argument '{name}' but instead found type "
                    f"'{type(value).__name__}'.\nPosition: {place}\nValue: {value}\nDeclaration: "
                    f"{self._qualname}{self._schema}\nCast error details: Unable to cast {value} to Tensor"
                )
        return found.args, found.kwargs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The op's results; the derivative is the one that is registered."""
        positional, named = self._bound(args, kwargs)
        found = self._function.apply(named, *positional)
        for name, value in zip(self._signature.parameters, positional, strict=False):
            changed = self._mutates == "unknown" or name in self._mutates
            for each in _tensors((value,)) if changed else ():
                each._storage.version += 1  # also where NumPy wrote to it
        return list(found) if self._schema.endswith("[]") else found

    def _computed(self, args: Any, kwargs: Any) -> Any:
        """The results of the function for the arguments' device.

        Raises:
            RuntimeError: there is no function for it, or a result is an argument.
        """
        tensors = _tensors((*args, *kwargs.values()))
        kind = tensors[0].device.type if tensors else None
        if any(each.device.type == "meta" for each in tensors):
            if self._fake is None:
                raise RuntimeError(
                    f"There was no fake impl registered for {self}. This is necessary for torch.compile/export/fx tracing to work. "
                    f"Please use `{self.__name__}.register_fake` to add an fake impl."
                )
            return self._fake(*args, **kwargs)
        kernel = self._kernels.get(kind, self._kernels.get(None))
        if kernel is None:
            raise NotImplementedError(f"{self._qualname}: no function is registered for {kind}")
        with grad_mode(False):
            found = kernel(*args, **kwargs)
        held = {id(each._storage) for each in tensors}
        if any(id(each._storage) in held for each in _tensors((found,))):
            raise RuntimeError(
                f"{self.__name__}: The output of this custom operator (1) must not also be an input to this custom operator and "
                "(2) may not alias any inputs to this custom operator or other returns. The most common way to trigger this "
                "error is if we have y = custom_op(x) and y and x are the same Tensor. Please instead return a clone of the "
                "offending output tensor(s) (e.g. return x.clone()) or refactor the custom operator to not return y."
            )
        return found


def _tensors(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for each in values:
        if isinstance(each, Tensor):
            found.append(each)
        elif isinstance(each, (list, tuple)):
            found += _tensors(each)
    return found


def _forward(op: CustomOpDef) -> Callable[..., Any]:
    def forward(named: dict[str, Any], *args: Any) -> Any:
        found = op._computed(args, named)
        return tuple(found) if isinstance(found, list) else found

    return forward


def _setup_context(op: CustomOpDef) -> Callable[..., Any]:
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        named, *args = inputs
        if op._setup is None:
            return
        more = {"keyword_only_inputs": named} if "keyword_only_inputs" in inspect.signature(op._setup).parameters else {}  # fmt: skip
        op._setup(ctx=ctx, inputs=tuple(args), output=output, **more)

    return setup_context


def _backward(op: CustomOpDef) -> Callable[..., Any]:
    def backward(ctx: Any, *cotangents: Any) -> Any:
        if op._backward is None:
            name = op._qualname.replace("::", ".")
            raise RuntimeError(
                f"Trying to backward through {name}.default but no autograd formula was registered. Please use "
                "register_autograd to add one."
            )
        found = op._backward(ctx, *cotangents)
        return (None, *(found if isinstance(found, tuple) else (found,)))

    return backward


def _vmap(op: CustomOpDef) -> Callable[..., Any]:
    def vmap(info: Any, in_dims: Any, named: dict[str, Any], *args: Any) -> Any:
        dims = in_dims[1:]
        if op._vmap is not None:
            return op._vmap(info, dims, *args, **named)
        results = []
        for k in range(info.batch_size):
            one = [a if d is None else a.select(d, k) for a, d in zip(args, dims, strict=True)]
            results.append(op(*one, **named))
        if isinstance(results[0], (tuple, list)):
            made = tuple(FUNCTIONS["stack"](each) for each in zip(*results, strict=True))
            return made, (0,) * len(made)
        return FUNCTIONS["stack"](results), 0

    return vmap


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: Any,
    device_types: Any = None,
    schema: str | None = None,
    tags: Any = None,
) -> Any:
    """An op of a function of tensors, which may compute with NumPy or anything else.

    Args:
        name: its name, of the form "namespace::name".
        fn: the function, with annotations; a decorator is returned if None.
        mutates_args: the names of the arguments that it changes in place; "unknown" for all.
        device_types: the devices that the function is for; all if None.
        schema: of the form "(Tensor x, int k=2) -> Tensor", with the function's arguments; the annotations give it if None.
        tags: accepted.

    Raises:
        ValueError: the name has another form, an annotation is missing, or the schema has other arguments.

    >>> import numpy as np, funcgrad.torch as torch
    >>> @custom_op("example::sine", mutates_args=())
    ... def sine(x: torch.Tensor) -> torch.Tensor:
    ...     return torch.from_numpy(np.sin(x.numpy()))
    >>> sine.register_autograd(
    ...     lambda ctx, grad: grad * ctx.saved_tensors[0].cos(),
    ...     setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    ... )
    >>> x = torch.zeros(1, requires_grad=True)
    >>> sine(x).backward()
    >>> x.grad
    tensor([1.])
    """

    def make(fn: Callable[..., Any]) -> CustomOpDef:
        if name.count("::") != 1:
            raise ValueError(f"Expected qualname {name!r} to have the form 'namespace::name'")
        parameters = inspect.signature(fn, eval_str=True)
        found = schema or infer_schema(fn, mutates_args=mutates_args)
        named = [each.group(1) for each in _NAMED.finditer(found.rpartition("->")[0])]
        if named != list(parameters.parameters):
            raise ValueError(
                f"the schema {found!r} has the arguments {named}, the function has {list(parameters.parameters)}"
            )
        made = CustomOpDef(name, found, fn, parameters, mutates_args)
        if device_types is not None:
            made._kernels = {}
            made.register_kernel(device_types, fn)
        return made

    return make if fn is None else make(fn)


# Compiled libraries that were not loaded. A package may register functions for their ops, which nobody calls.
REFUSED_LIBRARIES: list[Any] = []


def found_op(op: Any) -> CustomOpDef:
    """An op given itself, from `torch.ops`, or by name.

    Raises:
        RuntimeError: there is none of this name.
    """
    if isinstance(op, CustomOpDef):
        return op
    name = getattr(op, "_qualified_op_name", op)
    if name not in OPS:
        raise RuntimeError(
            f"there is no op {name!r}: ops of torch.library.custom_op are known by name"
        )
    return OPS[name]
