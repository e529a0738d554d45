"""Forward mode: dual tensors, which carry a tangent through every op."""

from contextlib import ContextDecorator
from typing import Any, NamedTuple

from funcgrad.engine import Op, Storage, Variable, local
from funcgrad.engine.levels import DualLevel, duals, node_of
from funcgrad.torch._levels.storages import DualStorage, dual_of
from funcgrad.torch._tensor.tangent_checks import check_dtypes, check_sizes
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._tensor.view import written_view

# The ops whose nodes mark the step into a dual tensor and out of it in the graph.
_VIEW = Op("view", lambda x: x, label="ViewBackward0")
_PRIMAL = Op("primal", lambda x: x, label="Identity")


class UnpackedDualTensor(NamedTuple):
    """The result of `unpack_dual`: the tensor without its tangent, and the tangent, or None."""

    primal: Tensor
    tangent: Tensor | None


def enter_dual_level() -> int:
    """Begin to carry tangents; returns the level's number.

    Raises:
        RuntimeError: a level is entered already; these levels do not nest, unlike `torch.func.jvp`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.forward_ad.enter_dual_level.html
    """
    if duals:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    duals.append(DualLevel())
    return len(duals) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """Drop all tangents.

    Raises:
        RuntimeError: `level` is not the one entered last, or none was.
    """
    current = len(duals) - 1
    if (current if level is None else level) != current:
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    if not duals:
        raise RuntimeError("Dual level must be a positive number.")
    duals.pop().alive = False


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """The tensor with a tangent of its shape; ops carry the tangent along.

    Raises:
        RuntimeError: no level was entered, the tensor has a tangent, or the sizes differ.
        ValueError: tensor or tangent has a dtype without derivatives.

    >>> import funcgrad.torch as torch
    >>> from funcgrad.torch.autograd import forward_ad
    >>> with forward_ad.dual_level():
    ...     dual = forward_ad.make_dual(torch.tensor(3.0), torch.tensor(1.0))
    ...     forward_ad.unpack_dual(dual * dual).tangent
    tensor(6.)

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.forward_ad.make_dual.html
    """
    number = len(duals) - 1 if level is None else level
    if number < 0:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    check_dtypes(tensor, tangent)
    if number >= len(duals):
        raise RuntimeError(
            "Invalid level given to _make_dual"
            if duals
            else "Trying to access a forward AD level with an invalid index. This index was either not created or is "
            "already deleted."
        )
    if dual_of(tensor) is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level "
            f"{number} is not supported."
        )
    if dual_of(tangent) is not None:
        raise RuntimeError(
            f"Setting a forward grad that itself has a forward gradient at the same level{number} is not supported."
        )
    check_sizes(tensor, tangent)
    made = _edged(_VIEW, tensor)
    made._storage = DualStorage(duals[number], tensor, tangent)
    return made


def _edged(op: Op, tensor: Tensor) -> Tensor:
    """A tensor without elements. In the graph, a view's node lies between it and the given tensor."""
    made = object.__new__(Tensor)
    made._node, made._nr = None, 0
    if local.recorder.grad_enabled and tensor._current_node() is not None:
        made._node = node_of(op, (tensor,))
    return made


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor without its tangent, and the tangent; None if it has none, or no level was entered.

    Raises:
        RuntimeError: there is no such level.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.forward_ad.unpack_dual.html
    """
    number = len(duals) - 1 if level is None else level
    if number < 0:
        return UnpackedDualTensor(tensor, None)
    value = dual_of(tensor)
    if value is not None and number >= len(duals):
        raise RuntimeError("Invalid level given to _fw_primal")
    primal = _edged(_PRIMAL, tensor)
    if value is None:
        primal._storage = tensor._storage
        return UnpackedDualTensor(primal, None)
    storage = tensor._storage
    if isinstance(storage, DualStorage):
        primal._storage = storage.source
    else:
        primal._storage = value.inner._storage
    if not local.recorder.forward_enabled or value.tangent is None:
        return UnpackedDualTensor(primal, None)
    tangent: Any = _viewed_tangent(storage)
    if tangent is None:
        tangent = value.tangent
    if not isinstance(tangent, Tensor):
        tangent = tensor_of(tangent._storage.read(), *tangent._edge())
    return UnpackedDualTensor(primal, tangent)


def _viewed_tangent(storage: Storage) -> Variable | None:
    """For a view of a dual tensor, the same view of the tangent if its storage allows that; else None."""
    if not storage.is_part or not isinstance(storage.viewed, DualStorage):
        return None
    whole = storage.viewed.tangent
    if (
        not isinstance(whole, Tensor)
        or whole._current_node() is not None
        or not whole._storage.is_plain
    ):
        return None
    return written_view(whole, storage.geometry)


class dual_level(ContextDecorator):
    """Ops carry tangents inside the block, or the decorated function. Its end drops all tangents.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.forward_ad.dual_level.html
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *_: object) -> None:
        exit_dual_level()


def _is_fwd_grad_enabled() -> bool:
    return local.recorder.forward_enabled


class _set_fwd_grad_enabled(ContextDecorator):
    """Switch tangents through ops on or off at once. As a context manager, restore it at the end of the block."""

    def __init__(self, mode: bool) -> None:
        self.before = local.recorder.forward_enabled
        local.recorder.forward_enabled = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        local.recorder.forward_enabled = self.before


__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


def __dir__() -> list[str]:
    return __all__
