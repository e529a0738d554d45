"""The error for a name that is not here: it says whether PyTorch has the name, and what to do then."""

from functools import cache
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
