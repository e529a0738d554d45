"""The errors for a name or a module that is not here: they say whether PyTorch has it, and what to do then."""

import sys
from functools import cache
from importlib.abc import MetaPathFinder
from pathlib import Path

_OURS, _THEIRS = "funcgrad.torch", "torch"


@cache
def _names() -> dict[str, frozenset[str]]:
    """PyTorch's public names by module; they are read when first asked for."""
    lines = Path(__file__).with_name("pytorch_names.txt").read_text().splitlines()
    found = (line.split(": ", 1) for line in lines)
    return {module: frozenset(names.split()) for module, names in found}


def no_attribute(place: str, name: str) -> AttributeError:
    """The error for an attribute of a module of the shim.

    Args:
        place: the module's name, such as "funcgrad.torch.nn".
        name: the attribute.
    """
    theirs = _THEIRS + place.removeprefix(_OURS)
    if name in _names().get(theirs, ()):
        return AttributeError(_known(f"{theirs}.{name}", f"module '{place}'", name), name=name)
    return AttributeError(f"module '{place}' has no attribute '{name}'", name=name)


def no_tensor_attribute(kind: str, name: str) -> AttributeError:
    """The error for an attribute of a tensor of a class."""
    if name in _names()["torch.Tensor"]:
        return AttributeError(_known(f"torch.Tensor.{name}", f"'{kind}' object", name), name=name)
    return AttributeError(f"'{kind}' object has no attribute '{name}'", name=name)


def _known(full: str, owner: str, name: str) -> str:
    return (
        f"{owner} has no attribute '{name}': PyTorch has {full}, but funcgrad has not got it yet. torch.from_jax(function) makes "
        "a differentiable op of a JAX function that does the same"
    )


class _ModulesOfPyTorch(MetaPathFinder):
    """Asked last for a module: it finds none, and tells of those that PyTorch has."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Nothing.

        Raises:
            ModuleNotFoundError: PyTorch has a module of this name.
        """
        place, _, theirs = fullname.partition(f"{_OURS}.")
        if not place and theirs in _names()["modules"] and not _is_here(theirs):
            raise ModuleNotFoundError(
                f"No module named '{fullname}': PyTorch has {_THEIRS}.{theirs}, but funcgrad has not got it. Leave out the "
                f"import and what needs it, or import it from PyTorch itself ({_THEIRS}.{theirs}) for work apart from these "
                "tensors; tensors go there and back by torch.from_dlpack",
                name=fullname,
            )


def _is_here(module: str) -> bool:
    """Whether the shim has the module: pytest asks finders one by one, in folders that it guesses."""
    place = Path(__file__).parents[1].joinpath(*module.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def tell_of_missing_modules() -> None:
    """From now on `import funcgrad.torch.x` says that PyTorch has `torch.x`, if it has."""
    sys.meta_path.append(_ModulesOfPyTorch())
