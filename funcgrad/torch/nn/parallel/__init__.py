"""PyTorch's `torch.nn.parallel`, for one device: `DataParallel` calls its module as PyTorch does without a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.nn.modules.module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class DataParallel(Module):
    """A module under the name `module`, called with the whole batch.

    JAX spreads a batch over devices by its sharding, so there are no replicas here.

    Args:
        module: the module.
        device_ids: None, or one device.
        output_device: None, or that device.
        dim: the batch's dimension.

    Raises:
        NotImplementedError: several devices are asked for.

    >>> import funcgrad.torch as torch
    >>> torch.nn.DataParallel(torch.nn.Linear(2, 1))
    DataParallel(
      (module): Linear(in_features=2, out_features=1, bias=True)
    )

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.DataParallel.html
    """

    def __init__(
        self, module: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        _check_devices(device_ids)
        self.module = module
        self.device_ids: list[Any] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's result."""
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """A module under the name `module`, in a group of one process: gradients are their own mean.

    Args:
        module: the module.
        device_ids, output_device, dim, more: accepted.

    Raises:
        ValueError: there is no process group.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html
    """

    def __init__(
        self,
        module: Any,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        **more: Any,
    ) -> None:
        super().__init__()
        torch.distributed.get_world_size()
        if not any(parameter.requires_grad for parameter in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter that requires a gradient."
            )
        self.module = module
        self.device_ids, self.output_device, self.dim = device_ids, output_device, dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's result."""
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block in which gradients are not joined: there are no others."""
        yield


def data_parallel(
    module: Any,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Call a module with a whole batch; see `DataParallel`.

    Args:
        module: the module.
        inputs: its arguments, a tuple or one tensor.
        device_ids, output_device, dim: as of `DataParallel`.
        module_kwargs: its arguments by name.

    Raises:
        RuntimeError: there is no GPU, as in PyTorch.
        NotImplementedError: several devices are asked for.
    """
    if not torch.cuda.is_available():
        raise RuntimeError("device type could not be determined")
    _check_devices(device_ids)
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*given, **(module_kwargs or {}))


def _check_devices(device_ids: Any) -> None:
    if device_ids is not None and len(device_ids) > 1:
        raise NotImplementedError(
            "DataParallel makes no replicas on several devices; place the batch with jax.sharding instead"
        )
