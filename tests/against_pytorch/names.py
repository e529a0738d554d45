"""PyTorch's public names, for the errors of the shim: `python -m tests.against_pytorch.names` writes the table anew."""

import importlib
import pkgutil
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

from tests.both_sides import theirs

MODULES = (
    "torch",
    "torch.Tensor",
    "torch.accelerator",
    "torch.amp",
    "torch.autograd",
    "torch.autograd.functional",
    "torch.autograd.graph",
    "torch.backends",
    "torch.compiler",
    "torch.cpu",
    "torch.cuda",
    "torch.distributed",
    "torch.distributions",
    "torch.distributions.constraints",
    "torch.distributions.transforms",
    "torch.fft",
    "torch.func",
    "torch.functional",
    "torch.fx",
    "torch.hub",
    "torch.jit",
    "torch.library",
    "torch.linalg",
    "torch.mps",
    "torch.nested",
    "torch.nn",
    "torch.nn.attention",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.parallel",
    "torch.nn.utils",
    "torch.nn.utils.rnn",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.optim.swa_utils",
    "torch.overrides",
    "torch.profiler",
    "torch.serialization",
    "torch.sparse",
    "torch.special",
    "torch.testing",
    "torch.utils",
    "torch.utils.benchmark",
    "torch.utils.checkpoint",
    "torch.utils.data",
    "torch.xpu",
)
TABLE = Path(__file__).parents[2] / "funcgrad" / "torch" / "_types" / "pytorch_names.txt"


def public_names(module: str) -> list[str]:
    """The public names of a module, or of the tensor."""
    space = theirs.Tensor if module == "torch.Tensor" else importlib.import_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sorted(
            name for name in dir(space) if not name.startswith("_") and is_pytorchs(space, name)
        )


def is_pytorchs(space: object, name: str) -> bool:
    """Whether a name is PyTorch's own, and not that of a module of Python's or of `typing` that it imports."""
    try:
        thing = getattr(space, name)
    except (AttributeError, ImportError, RuntimeError):
        return False
    home = (
        thing.__name__
        if isinstance(thing, types.ModuleType)
        else getattr(thing, "__module__", None)
    )
    return not isinstance(home, str) or home.split(".")[0] in ("torch", "builtins")


def public_modules(paths: list[str], prefix: str, depth: int) -> Iterator[str]:
    """The names of the modules in a package's folders, and in its packages down to a depth."""
    for each in pkgutil.iter_modules(paths):
        if not each.name.startswith("_"):
            yield f"{prefix}{each.name}"
            if each.ispkg and depth:
                inside = [f"{path}/{each.name}" for path in paths]
                yield from public_modules(inside, f"{prefix}{each.name}.", depth - 1)


def table() -> str:
    """The table's text: a line a module, then one with the names of all modules."""
    lines = [f"{module}: {' '.join(public_names(module))}\n" for module in MODULES]
    modules = sorted(public_modules(list(theirs.__path__), "", 1))
    return "".join([*lines, f"modules: {' '.join(modules)}\n"])


if __name__ == "__main__":
    TABLE.write_text(table())
