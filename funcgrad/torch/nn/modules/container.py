"""Modules that hold others, or parameters, in order or by name.

Behaviour: https://pytorch.org/docs/stable/nn.html#containers
"""

import operator
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, TypeVar

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.typename import typename
from funcgrad.torch.nn.modules._printing import indented, on_lines
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.parameter import Parameter

__all__ = [
    "Container",
    "ModuleDict",
    "ModuleList",
    "ParameterDict",
    "ParameterList",
    "Sequential",
]


def __dir__() -> list[str]:
    return __all__


class Container(Module):
    """A module of submodules by name; deprecated.

    Warns:
        FutureWarning: always.
    """

    def __init__(self, **kwargs: Any) -> None:
        warnings.warn(
            "`nn.Container` is deprecated. All of its functionality is now implemented in `nn.Module`. Subclass that "
            "instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__()
        for key, value in kwargs.items():
            self.add_module(key, value)


def _position(index: Any, size: int) -> int:
    """An index counted from the front.

    Raises:
        IndexError: it is out of range.
    """
    index = operator.index(index)
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of range")
    return index % size


def _pairs(given: Any, kind: str, function: str, *, in_order: tuple[type, ...]) -> Iterator[Any]:
    """The keys and things of a mapping or of pairs.

    Args:
        given: the mapping, or pairs.
        kind: the container's name.
        function: for the error of a thing that cannot be iterated.
        in_order: mappings whose order counts; the keys of others are sorted.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(given, Iterable):
        raise TypeError(
            f"{function}.update should be called with an iterable of key/value pairs, but got {type(given).__name__}"
        )
    if isinstance(given, (Mapping, *in_order)):
        things: Any = given
        yield from things.items() if isinstance(given, in_order) else sorted(things.items())
        return
    for k, pair in enumerate(given):
        if not isinstance(pair, Iterable):
            raise TypeError(
                f"{kind} update sequence element #{k} should be Iterable; is{type(pair).__name__}"
            )
        if len(pair) != 2:  # type: ignore[arg-type]
            raise ValueError(
                f"{kind} update sequence element #{k} has length {len(pair)}; 2 is required"  # type: ignore[arg-type]
            )
        yield pair[0], pair[1]  # type: ignore[index]


Self = TypeVar("Self", bound="_Listed")


class _Listed(Module):
    """Modules in order, under the names "0", "1" and so on."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def _key(self, index: Any) -> str:
        return next(islice(self._modules, _position(index, len(self)), None))

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._key(index), module)

    def __delitem__(self, index: Any) -> None:
        chosen = list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]
        for key in chosen:
            delattr(self, key)
        held = {str(k): module for k, module in enumerate(self._modules.values())}
        self._modules = held

    def append(self: Self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: Any) -> Any:
        """Remove a module, or those of a slice, and return it."""
        found = self[key]  # type: ignore[index]
        del self[key]
        return found

    def _insert(self, index: int, module: Module) -> None:
        for k in range(len(self), index, -1):
            self._modules[str(k)] = self._modules[str(k - 1)]
        self._modules[str(index)] = module


class Sequential(_Listed):
    """Modules called one after another, each with the result of the one before.

    Args:
        args: the modules; or one `OrderedDict` of them.

    >>> import funcgrad.torch as torch
    >>> torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity())
    Sequential(
      (0): Identity()
      (1): Identity()
    )

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.Sequential.html
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = len(args) == 1 and isinstance(args[0], OrderedDict)
        given = args[0] if named else {str(k): module for k, module in enumerate(args)}
        for name, module in given.items():
            self.add_module(name, module)

    def forward(self, input: Any) -> Any:
        """The last module's result."""
        for module in self:
            input = module(input)
        return input

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._key(index)]

    def __add__(self, other: Any) -> "Sequential":
        _check_sequential(other)
        return Sequential(*self, *other)

    def __iadd__(self, other: Any) -> "Sequential":
        _check_sequential(other)
        return self.extend(other)

    def __mul__(self, other: Any) -> "Sequential":
        self._check_factor(other)
        return Sequential(*[module for _ in range(other) for module in self])

    __rmul__ = __mul__

    def __imul__(self, other: Any) -> "Sequential":
        self._check_factor(other)
        own = list(self)
        for _ in range(other - 1):
            self.extend(own)
        return self

    def _check_factor(self, other: Any) -> None:
        if not isinstance(other, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(other)}")
        if other <= 0:
            raise ValueError(f"Non-positive multiplication factor {other} for {type(self)}")

    def insert(self, index: int, module: Module) -> "Sequential":
        """Add a module in front of the one at `index`.

        Raises:
            AssertionError: it is not a module.
            IndexError: the index is out of range.
        """
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        size = len(self)
        if not -size <= index <= size:
            raise IndexError(f"Index out of range: {index}")
        self._insert(index + size if index < 0 else index, module)
        return self

    def extend(self, sequential: Iterable[Module]) -> "Sequential":
        """Add modules at the end."""
        for layer in sequential:
            self.append(layer)
        return self


def _check_sequential(other: Any) -> None:
    if not isinstance(other, Sequential):
        raise ValueError(
            f"add operator supports only objects of Sequential class, but {type(other)} is given."
        )


class ModuleList(_Listed):
    """Modules in a list.

    Args:
        modules: the modules.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.ModuleList.html
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])
        return self._modules[str(_position(index, len(self)))]

    def __iadd__(self, modules: Iterable[Module]) -> "ModuleList":
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> "ModuleList":
        return ModuleList(chain(self, other))

    def insert(self, index: int, module: Module) -> None:
        """Add a module in front of the one at `index`."""
        self._insert(index, module)

    def extend(self, modules: Iterable[Module]) -> "ModuleList":
        """Add modules at the end.

        Raises:
            TypeError: they cannot be iterated.
        """
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"ModuleList.extend should be called with an iterable, but got {type(modules).__name__}"
            )
        start = len(self)
        for k, module in enumerate(modules):
            self.add_module(str(start + k), module)
        return self

    def __repr__(self) -> str:
        """As PyTorch prints it: equal modules in a row on one line."""
        runs: list[list[Any]] = []
        for k, printed in enumerate(map(repr, self)):
            if runs and runs[-1][2] == printed:
                runs[-1][1] = k
            else:
                runs.append([k, k, printed])
        lines = [
            f"({first}): {printed}"
            if first == last
            else f"({first}-{last}): {last - first + 1} x {printed}"
            for first, last, printed in runs
        ]
        return f"{self._get_name()}({on_lines(map(indented, lines))})"


class ModuleDict(Module):
    """Modules by name.

    Args:
        modules: a mapping, or pairs.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Remove a module and return it."""
        return self._modules.pop(key)

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def items(self) -> Any:
        """The names with their modules."""
        return self._modules.items()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add the modules of a mapping or of pairs.

        Raises:
            TypeError, ValueError: it is none.
        """
        for key, module in _pairs(
            modules, "ModuleDict", "ModuleDict", in_order=(Mapping, ModuleDict)
        ):
            self[key] = module


def _described(thing: Any, name: str) -> str:
    """The printed form of one member of a container of parameters."""
    if not isinstance(thing, Tensor):
        return f"Object of type: {type(thing).__name__}"
    kind = "Parameter" if isinstance(thing, Parameter) else "Tensor"
    size = "x".join(map(str, thing.shape))
    where = f" ({thing.device})" if thing.device.type == "cuda" else ""
    return f"{kind} containing: [{name} of size {size}{where}]"


def _as_parameter(thing: Any) -> Any:
    is_tensor = isinstance(thing, Tensor) and not isinstance(thing, Parameter)
    return Parameter(thing) if is_tensor else thing


class ParameterList(Module):
    """Parameters in a list; anything else in it is kept as it is.

    Args:
        values: the things; a tensor becomes a parameter.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.ParameterList.html
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)([self[k] for k in range(len(self))[index]])
        return getattr(self, str(_position(index, len(self))))

    def __setitem__(self, index: int, param: Any) -> None:
        setattr(self, str(_position(index, len(self))), _as_parameter(param))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[k] for k in range(len(self))])

    def __iadd__(self, parameters: Iterable[Any]) -> "ParameterList":
        return self.extend(parameters)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def append(self, value: Any) -> "ParameterList":
        """Add a thing at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> "ParameterList":
        """Add things at the end.

        Raises:
            TypeError: they cannot be iterated, or are a tensor.
        """
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise TypeError(
                f"ParameterList.extend should be called with an iterable, but got {type(values).__name__}"
            )
        for value in values:
            self.append(value)
        return self

    def extra_repr(self) -> str:
        """The things, one a line."""
        return "\n".join(
            f"  ({k}): {_described(each, str(getattr(each, 'dtype', '')))}"
            for k, each in enumerate(self)
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: it computes nothing."""
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """Parameters by name; anything else in it is kept as it is.

    Args:
        parameters: a mapping, or pairs; a tensor becomes a parameter.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.ParameterDict.html
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, _checked(key))

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, _checked(key), _as_parameter(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, _checked(key))

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def copy(self) -> "ParameterDict":
        """Another one that holds the same things."""
        return ParameterDict(OrderedDict(self.items()))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The thing of a name, which is put there if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove all things."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key: str) -> Any:
        """Remove a thing and return it."""
        found = self[key]
        del self[key]
        return found

    def popitem(self) -> tuple[str, Any]:
        """Remove the last thing and return it with its name."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The thing of a name, or `default`."""
        try:
            return self[key]
        except AttributeError:
            return default

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> "ParameterDict":
        """Another one that holds `default` under each name."""
        return ParameterDict((key, default) for key in keys)

    def keys(self) -> Any:
        """The names."""
        return self._keys.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names with their things."""
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Iterable[Any]:
        """The things."""
        return (self[key] for key in self._keys)

    def update(self, parameters: Any) -> None:
        """Add the things of a mapping or of pairs.

        Raises:
            TypeError, ValueError: it is none.
        """
        for key, value in _pairs(
            parameters, "ParameterDict", "ParametersDict", in_order=(OrderedDict, ParameterDict)
        ):
            self[key] = value

    def extra_repr(self) -> str:
        """The things, one a line."""
        return "\n".join(
            f"  ({key}): {_described(each, typename(each))}" for key, each in self.items()
        )

    def __call__(self, input: Any) -> Any:
        """Refuse: it computes nothing."""
        raise RuntimeError("ParameterDict should not be called.")

    def __or__(self, other: "ParameterDict") -> "ParameterDict":
        found = self.copy()
        found.update(other)
        return found

    def __ror__(self, other: "ParameterDict") -> "ParameterDict":
        found = other.copy()
        found.update(self)
        return found

    def __ior__(self, other: "ParameterDict") -> "ParameterDict":
        self.update(other)
        return self


def _checked(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(
            "Index given to ParameterDict cannot be used as a key as it is not a string (type is "
            f"'{type(key).__name__}'). Open an issue on github if you need non-string keys."
        )
    return key
