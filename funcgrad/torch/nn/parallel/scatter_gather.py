"""PyTorch's `torch.nn.parallel.scatter_gather`, which libraries import: there are no replicas, so nothing is spread or joined."""

from typing import Any, NoReturn

from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = ["gather", "scatter", "scatter_kwargs"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


def scatter(inputs: Any, target_gpus: Any, dim: int = 0) -> NoReturn:
    """Refuse.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        "a module has no replicas on several devices here: place the batch with jax.sharding instead"
    )


def scatter_kwargs(inputs: Any, kwargs: Any, target_gpus: Any, dim: int = 0) -> NoReturn:
    """Refuse, as `scatter`."""
    scatter(inputs, target_gpus, dim)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> NoReturn:
    """Refuse, as `scatter`."""
    scatter(outputs, target_device, dim)
