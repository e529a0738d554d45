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


# Parts of PyTorch that make no sense on JAX: why, and the way out. Their submodules and names are found by the beginning.
_REASONS = {
    **dict.fromkeys(
        ("onnx", "export"),
        "it writes graphs of PyTorch's own ops. jax.export writes a function made by funcgrad.pure(module) to a file, as StableHLO",
    ),
    "package": "it packs Python code into an archive. torch.save(module.state_dict(), file) keeps a trained module",
    **dict.fromkeys(
        ("ao", "quantization", "nn.intrinsic", "nn.qat", "nn.quantizable", "nn.quantized"),
        "XLA has no kernels of quantized tensors. bfloat16 and float16 compute in half the memory",
    ),
    **dict.fromkeys(
        ("classes", "utils._python_dispatch", "utils.cpp_extension"),
        "there are no aten ops and no dispatcher here. torch.library.custom_op and torch.from_jax make ops, and "
        "torch.overrides.TorchFunctionMode sees the calls of functions",
    ),
    **dict.fromkeys(
        ("distributed", "numa"),
        "it is for several processes, and funcgrad computes in one. JAX spreads arrays over devices by their sharding "
        "(jax.sharding), and over machines after jax.distributed.initialize()",
    ),
    **dict.fromkeys(
        ("_C", "_dynamo", "_higher_order_ops", "_inductor", "_subclasses", "fx.experimental"),
        "it is a part of PyTorch's own compiler. JAX traces and XLA compiles: torch.compile or funcgrad.pure and jax.jit",
    ),
    **dict.fromkeys(
        ("SymBool", "SymFloat", "SymInt"),
        "sizes are Python's numbers here",
    ),
    **dict.fromkeys(
        ("PyTorchFileReader", "PyTorchFileWriter"),
        "torch.save and torch.load write and read its files, which are zip archives",
    ),
    **dict.fromkeys(
        ("chalf", "complex32"),
        "JAX has no complex numbers of half precision. complex64 is the smallest",
    ),
    **dict.fromkeys(
        (
            "autograd.profiler.emit_itt",
            "autograd.profiler.emit_nvtx",
            "autograd.profiler.load_nvprof",
        ),
        "it is for a profiler of CUDA or of Intel. jax.profiler.trace writes what XLA does",
    ),
    "nn.utils._per_sample_grad": "torch.func.vmap of torch.func.grad gives the gradients of samples",
    **dict.fromkeys(
        ("cuda.CUDAGraph", "cuda.graph", "cuda.graphs", "cuda.make_graphed_callables"),
        "XLA launches whole programs. torch.compile or funcgrad.pure and jax.jit make one of a step",
    ),
    **dict.fromkeys(
        ("utils.mkldnn", "utils.mobile_optimizer", "backends.xnnpack", "backends.nnpack"),
        "it is of a library that XLA does not use. Leave it out",
    ),
    **dict.fromkeys(
        ("utils.data.IterDataPipe", "utils.data.MapDataPipe", "utils.data.datapipes"),
        "PyTorch deprecates pipes of data. utils.data.IterableDataset and Dataset do the same",
    ),
}


def reason(name: str) -> str | None:
    """Why a part of PyTorch is missing for good; `name` is without "torch."."""
    parts = name.split(".")
    found = (_REASONS.get(".".join(parts[:k])) for k in range(1, len(parts) + 1))
    return next(filter(None, found), None)


def no_attribute(place: str, name: str) -> AttributeError:
    """The error for an attribute of a module of the shim.

    Args:
        place: the module's name, such as "funcgrad.torch.nn".
        name: the attribute.
    """
    theirs = _THEIRS + place.removeprefix(_OURS)
    full = f"{theirs}.{name}"
    module = full.removeprefix(f"{_THEIRS}.")
    owner, why = f"module '{place}' has no attribute '{name}'", reason(module)
    is_module = module in _names()["modules"]
    if why is not None and (is_module or name in _names().get(theirs, (name,))):
        return AttributeError(f"{owner}: PyTorch has {full}, but {why}", name=name)
    if is_module:
        return AttributeError(f"{owner}: {_missing_module(module)}", name=name)
    if name in _names().get(theirs, ()):
        return AttributeError(_known(full, f"module '{place}'", name), name=name)
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


def _missing_module(name: str) -> str:
    """The words for a module that is not here; `name` is without "torch."."""
    full = f"{_THEIRS}.{name}"
    return (
        f"PyTorch has {full}, but {reason(name) or 'funcgrad has not got it'}. Leave out the import and what needs it, or "
        f"import it from PyTorch itself ({full}) for work apart from these tensors; tensors go there and back by "
        "torch.from_dlpack"
    )


class _ModulesOfPyTorch(MetaPathFinder):
    """Asked last for a module: it finds none, and tells of those that PyTorch has."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Nothing.

        Raises:
            ModuleNotFoundError: PyTorch has a module of this name.
        """
        place, _, theirs = fullname.partition(f"{_OURS}.")
        known = theirs in _names()["modules"] or reason(theirs)
        if not place and known and not _is_here(theirs):
            raise ModuleNotFoundError(
                f"No module named '{fullname}': {_missing_module(theirs)}", name=fullname
            )


def _is_here(module: str) -> bool:
    """Whether the shim has the module: pytest asks finders one by one, in folders that it guesses."""
    place = Path(__file__).parents[1].joinpath(*module.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def tell_of_missing_modules() -> None:
    """From now on `import funcgrad.torch.x` says that PyTorch has `torch.x`, if it has."""
    sys.meta_path.append(_ModulesOfPyTorch())
