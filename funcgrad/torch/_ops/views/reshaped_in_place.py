"""View ops in place: they change a tensor's geometry, and leave its memory unchanged."""

from collections.abc import Callable
from operator import index
from typing import Any

from funcgrad.engine import Leaf, local, record
from funcgrad.engine.levels import without_history
from funcgrad.engine.nodes import cut_off, hooked, hooks_of
from funcgrad.torch._levels.batches import is_batched
from funcgrad.torch._levels.refusals import check_captured
from funcgrad.torch._levels.storages import is_dual
from funcgrad.torch._memory import geometry as geometries
from funcgrad.torch._memory.geometry import Geometry, wrap_dim
from funcgrad.torch._memory.inference import enabled as inferring
from funcgrad.torch._memory.storages import view_of
from funcgrad.torch._ops.views import rows
from funcgrad.torch._ops.views.views import exchanged, squeezed, strided_geometry
from funcgrad.torch._tensor.in_place import writable
from funcgrad.torch._tensor.rebasing import note_move, rebase
from funcgrad.torch._tensor.registry import in_numpys_names, publish_all
from funcgrad.torch._tensor.tensor import AccumulateGrad, Tensor
from funcgrad.torch._tensor.view import ViewTensor, geometry

# The change that an op makes: the new geometry, the row, and the op's static arguments.
Change = tuple[Geometry, rows.ViewRow, tuple[Any, ...]]


def _method(name: str, change: Callable[..., Change]) -> Callable[..., Tensor]:
    change = in_numpys_names(change)

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        writable(self, repeats=True)
        made, row, static = change(self, *args, **kwargs)
        storage, node = view_of(self._storage, made), None
        if self.requires_grad:
            value, node, nr = record(row.op(*static), (self,))
            if node is not None and isinstance(self, ViewTensor):
                self._set_edge(node, nr)
            elif node is not None:
                rebase(self, node, nr)
            storage.cached = storage.viewed.read(), value
        self._move_to(storage)
        storage.version += 1
        if node is not None and isinstance(self, ViewTensor):
            self._see_version()
        return self

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{name[:-1]}` of the tensor itself."
    return method


def _t(self: Tensor) -> Change:
    if self.ndim > 2:
        raise RuntimeError(f"t_() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
    return geometries.permute(geometry(self), tuple(range(self.ndim))[::-1]), rows.T_IN_PLACE, ()


def _transpose(self: Tensor, dim0: int, dim1: int) -> Change:
    order, a, b = exchanged(self.ndim, dim0, dim1)
    return geometries.permute(geometry(self), order), rows.TRANSPOSE_IN_PLACE, (a, b)


def _squeeze(self: Tensor, dim: Any = None) -> Change:
    made, form = squeezed(geometry(self), dim)
    return made, rows.SQUEEZE[3 + form], (made.size,)


squeeze_ = _method("squeeze_", _squeeze)


def _unsqueeze(self: Tensor, dim: int) -> Change:
    made = geometries.unsqueeze(geometry(self), wrap_dim(index(dim), self.ndim + 1))
    return made, rows.UNSQUEEZE_IN_PLACE, (made.size,)


def _as_strided(self: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Change:
    of = geometry(self)
    made = strided_geometry(self, size, stride, storage_offset)
    relative = Geometry(made.size, made.stride, made.offset - of.offset)
    return made, rows.AS_STRIDED_IN_PLACE, (relative,)


def detach_(self: Tensor) -> Tensor:
    """Forget the history, in place.

    Raises:
        RuntimeError: the tensor is a view.
    """
    if inferring():
        return self  # in inference mode autograd is off, and the tensor stays as it is
    if local.recorder.levels:
        check_captured(self)
    if self._is_view() or is_batched(self._storage.read()):
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for "
            "training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence "
            "detach_() cannot be called on these gradients. To fix this error, please refer to the "
            "Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
        )
    node = self._current_node()
    if isinstance(node, Leaf):
        self.requires_grad = False
    elif node is not None:
        cut_off.setdefault(node, set()).add(self._nr)
        note_move(self._storage, node, None, 0)
        self._set_edge(None)
        self._former = None
        if node in hooked and node.outputs == 1 and self._retained is None:
            # The tensor keeps its hooks, in case it requires grad again.
            self._former = AccumulateGrad(self)
            self._former.release()
            hooks_of(self._former).arriving = hooked[node].arriving
    if is_dual(self._storage.read()):
        self._storage.write(without_history(self._storage.read()))
    return self


publish_all(
    {"detach": Tensor.detach, "detach_": detach_},
    {
        "as_strided_": _method("as_strided_", _as_strided),
        "detach_": detach_,
        "squeeze_": squeeze_,
        "swapaxes_": _method("swapaxes_", _transpose),
        "swapdims_": _method("swapdims_", _transpose),
        "t_": _method("t_", _t),
        "transpose_": _method("transpose_", _transpose),
        "unsqueeze_": _method("unsqueeze_", _unsqueeze),
    },
)
