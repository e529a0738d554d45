"""The graph node of a custom function, and its context: the object that `forward` and `backward` are given.

They are two objects because the attributes of a context belong to the user.
"""

import warnings
from collections.abc import Sequence
from typing import Any
from weakref import ref

import numpy as np

from funcgrad.engine import Aval, FreedError, FunctionNode, ModifiedError, Storage, Variable
from funcgrad.engine.nodes import Edge, Packed, fixed
from funcgrad.torch._autograd.complaints import as_pytorch, moved_of
from funcgrad.torch._autograd.edges import NodeFace
from funcgrad.torch._autograd.observing import saved_entry
from funcgrad.torch._autograd.saved_attributes import SavedTensor
from funcgrad.torch._autograd.shaping import as_gradient_of
from funcgrad.torch._tensor.tensor import Tensor, place, tensor_of, tensor_of_variable


class FunctionCtx:
    """`forward` leaves data for `backward` here: tensors by `save_for_backward`, anything else as attributes.

    Attributes:
        needs_input_grad: for each argument, whether it needs a gradient.
        to_save, dirty_tensors, non_differentiable: the tensors saved and marked, until `forward` returns.
        primals_of_jvp: the arguments, inside `funcgrad.pure` of a function that has a `jvp`.
    """

    needs_input_grad: tuple[bool, ...] = ()
    to_save: tuple[Any, ...] | None = None
    dirty_tensors: tuple[Any, ...] | None = None
    non_differentiable: tuple[Any, ...] | None = None
    saved_for_forward: tuple[Any, ...] = ()
    primals_of_jvp: tuple[Any, ...] | None = None
    materialize_grads = True
    _materialize_non_diff_grads = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Save tensors for `backward`, which finds them in `saved_tensors`. An in-place change before then is an error."""
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Save tensors for `jvp`."""
        for tensor in tensors:
            if not (isinstance(tensor, Tensor) or tensor is None):
                raise TypeError(
                    "save_for_forward expects all arguments to be tensors; you should save non-tensors as "
                    "attributes on ctx."
                )
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Mark arguments that `forward` changed in place; it must return them."""
        self.dirty_tensors = args

    def mark_shared_storage(self, *pairs: Any) -> None:
        """Do nothing: the engine knows which tensors share a storage."""
        warnings.warn(
            "`mark_shared_storage` is deprecated. Tensors with shared storages are automatically tracked. Note that "
            "calls to `set_()` are not tracked",
            FutureWarning,
            stacklevel=2,
        )

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Mark results that no gradient flows through."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Choose the value that `backward` gets for a missing gradient: zeros (the default) or None.

        Raises:
            TypeError: the value is not a bool.
        """
        if not isinstance(value, bool):
            raise TypeError(
                "set_materialize_grads received an invalid combination of arguments - got (), but expected (bool)"
            )
        self.materialize_grads = value


class BackwardCFunction(NodeFace, FunctionCtx):
    """The context of one call of a custom function; `grad_fn` returns it. Each function has a subclass named after it."""

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors that `save_for_backward` saved.

        Raises:
            RuntimeError: an earlier backward freed them, or one was changed in place since.
        """
        return self._engine_node.saved_tensors()

    @property
    def _raw_saved_tensors(self) -> tuple[SavedTensor, ...]:
        return self._engine_node.raw_saved_tensors()

    @property
    def saved_variables(self) -> tuple[Tensor | None, ...]:
        """`saved_tensors` by its old name."""
        warnings.warn(
            "'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2
        )
        return self.saved_tensors

    requires_grad = True  # always, as in PyTorch


class CustomNode(FunctionNode):
    """The node of a custom function. Each function has its own subclass, named as in PyTorch.

    Attributes:
        function: the custom function.
        inputs: for each tensor among the arguments, whether it has an edge.
        avals: for each argument, its type if it needs a gradient, else None.
        are_tensors: which of the arguments are tensors.
        without_gradient: positions of the results marked as not differentiable.
        entries: the tensors from `save_for_backward`, in the form of `GraphNode.saved`; None once freed.
        kept: for each entry, its tensor, or its edge.
        attributes: the context's.
    """

    __slots__ = (
        "_face",
        "are_tensors",
        "attributes",
        "avals",
        "entries",
        "function",
        "inputs",
        "kept",
        "without_gradient",
    )

    def __init__(self, function: Any, args: tuple[Any, ...], records: bool) -> None:
        needed = tuple(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
        edges: tuple[Edge, ...] = tuple(
            arg._edge() for arg, need in zip(args, needed, strict=True) if records and need
        )
        super().__init__(edges, ())
        self.function = function
        self.are_tensors = tuple(isinstance(arg, Tensor) for arg in args)
        self.inputs = tuple(
            arg.requires_grad for arg in args if records and isinstance(arg, Tensor)
        )
        self.avals: tuple[Aval | None, ...] = tuple(
            arg._storage.aval if need else None for arg, need in zip(args, needed, strict=True)
        )
        self.without_gradient: tuple[int, ...] = ()
        self.entries: Any = ()
        self.kept: Any = ()
        self.attributes: dict[str, Any] = {"needs_input_grad": needed}
        self._face: Any = None

    @property
    def face(self) -> Any:
        """The context. If nobody holds it, a new one is made; nobody can tell, since the node keeps its attributes."""
        face = None if self._face is None else self._face()
        if face is None:
            face = object.__new__(self.function._backward_cls)
            face._engine_node = self
            face.__dict__ = self.attributes
            self._face = ref(face)
        return face

    @property
    def saved(self) -> Any:
        """The saved entries of the context."""
        return self.entries and [entry for entry in self.entries if entry is not None]

    @saved.setter
    def saved(self, entries: Any) -> None:
        if entries is None:
            self.entries = self.kept = None

    def returned(self, outputs: tuple[Any, ...], without: tuple[int, ...]) -> None:
        """Record the results of `forward`, and the positions of those that no gradient flows through."""
        self._types = tuple(
            output._storage.aval if isinstance(output, Tensor) else None for output in outputs
        )
        self.without_gradient = without

    def save(
        self, tensors: Sequence[Tensor | None], outputs: tuple[Any, ...], wrapped: Sequence[Any]
    ) -> None:
        """Save the tensors given to `save_for_backward`, as any node saves its own."""
        entries: list[Any] = []
        kept: list[Any] = []
        for tensor in tensors:
            if tensor is None:
                entries.append(None)
                kept.append(None)
                continue
            entries.append(saved_entry(tensor))
            number = next((k for k, output in enumerate(outputs) if output is tensor), None)
            own = number is not None and wrapped[number]._current_node() is self
            if own:
                kept.append((_OWN, number))
            elif isinstance(entries[-1][0], Packed):
                kept.append(tensor._edge())  # the hooks keep the tensor itself
            else:
                kept.append(tensor)
        self.entries, self.kept = tuple(entries), tuple(kept)

    def fix(self, modified: bool = False) -> None:
        """Hold the saved values themselves, so that later writes in place do not matter."""
        entries = tuple([entry and fixed(entry, modified) for entry in self.entries or ()])
        for k, (entry, before) in enumerate(zip(entries, self.entries or (), strict=True)):
            kept = self.kept[k]
            if entry is not before and isinstance(kept, Tensor):
                self.kept = (*self.kept[:k], kept._edge(), *self.kept[k + 1 :])
        if entries:
            self.entries = entries

    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The saved tensors, with their history."""
        if self.entries is None:
            raise as_pytorch(FreedError())
        return tuple(
            None if entry is None else self._restored(entry, kept)
            for entry, kept in zip(self.entries, self.kept, strict=True)
        )

    def raw_saved_tensors(self) -> tuple[SavedTensor, ...]:
        """The saved tensors in a form that takes hooks."""
        if self.entries is None:
            raise as_pytorch(FreedError())

        def one(number: int) -> SavedTensor:
            def put(entry: Any) -> None:
                kept = self.kept[number]
                edge = kept._edge() if isinstance(kept, Tensor) else kept
                self.kept = (*self.kept[:number], edge, *self.kept[number + 1 :])
                self.entries = (*self.entries[:number], entry, *self.entries[number + 1 :])

            return SavedTensor(
                lambda: self.entries, put, number, lambda: self.saved_tensors()[number]
            )

        return tuple(one(number) for number in range(len(self.entries)))

    def _restored(self, entry: Any, kept: Any) -> Tensor:
        value, storage, version, _ = entry
        own = not isinstance(kept, Tensor)
        if isinstance(value, Packed):
            value = value.unpack()
            storage = Storage(value)
        elif storage.version != version:
            maker, moved = self if own else kept.grad_fn and kept._current_node(), moved_of(storage)
            if maker is None and moved is not None and moved.node_type is None:
                own, maker = True, self  # PyTorch names the function if the tensor was detached
            source = (maker, kept._nr if isinstance(kept, Tensor) else kept[1])
            raise as_pytorch(ModifiedError(storage, version, source, of_result=own))
        if isinstance(kept, Tensor):
            return kept
        node, number = kept
        tensor = tensor_of(value, self if node is _OWN else node, number)
        tensor._storage = storage
        return tensor

    def pull_back(self, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
        """Call `backward`, and check its gradients."""
        ctx = self.face
        given: list[Tensor | None] = []
        for number, (cotangent, aval) in enumerate(zip(cotangents, self._types, strict=True)):
            zeros = aval is not None and ctx.materialize_grads
            if number in self.without_gradient and not ctx._materialize_non_diff_grads:
                zeros = False
            if cotangent is not None:
                given.append(tensor_of_variable(cotangent))
            else:
                given.append(_zeros(aval) if zeros else None)
        gradients = self.function._backward(ctx, *given)
        return self._checked(gradients if isinstance(gradients, tuple) else (gradients,))

    def _checked(self, gradients: tuple[Any, ...]) -> list[Variable | None]:
        name = type(self).__name__
        wanted, found = len(self.avals), list(gradients)
        while len(found) > wanted and found[-1] is None:
            found.pop()
        if len(found) != wanted:
            raise RuntimeError(
                f"function {name} returned an incorrect number of gradients (expected {wanted}, got {len(gradients)})"
            )
        results: list[Variable | None] = []
        for position, (gradient, aval) in enumerate(zip(found, self.avals, strict=True)):
            if gradient is not None and not isinstance(gradient, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(gradient).__name__})")
            if gradient is not None and not self.are_tensors[position]:
                raise RuntimeError(
                    f"function {name} returned a gradient different than None at position {position + 1}, but the "
                    "corresponding forward input was not a Variable"
                )
            if aval is not None:
                results.append(
                    None if gradient is None else as_gradient_of(aval, gradient, name, position)
                )
        return results


_OWN: Any = object()  # replaces a result's node, which would make a cycle


def _zeros(aval: Any) -> Tensor:
    return tensor_of(place(np.zeros(aval.shape, aval.dtype)))


class Error(FunctionNode):
    """The node of a gradient that was computed without a graph."""

    __slots__ = ()

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """Refuse."""
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )
