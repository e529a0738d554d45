"""The tensor: a variable of the engine with PyTorch's attributes. `registry` attaches its ops."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import ref

import jax
import numpy as np

from funcgrad.engine import Aval, Leaf, Storage, Value, Variable, compiling, compute, local
from funcgrad.engine.compiling import copied
from funcgrad.engine.levels import duals
from funcgrad.engine.trace import device_array
from funcgrad.engine.values import META, Absent, Wrapped, is_tracer
from funcgrad.teaching import NotedWarning, cured
from funcgrad.torch._levels import refusals
from funcgrad.torch._levels.storages import DetachedStorage, is_dual, is_transformed
from funcgrad.torch._memory import inference
from funcgrad.torch._memory.sharing import share
from funcgrad.torch._memory.storages import (
    DataStorage,
    ViewStorage,
    data_of,
    geometry_of,
)
from funcgrad.torch._tensor import printing
from funcgrad.torch._types.devices import device, is_meta
from funcgrad.torch._types.dtypes import dtype, from_numpy_dtype, kernel_name
from funcgrad.torch._types.size import Size
from funcgrad.torch._types.warning import warn

if TYPE_CHECKING:
    from funcgrad.torch._tensor.methods import Methods
else:
    Methods = object

_new = object.__new__
_NOT_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
    "populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, "
    "use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the "
    "leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more information."
)


class AccumulateGrad(Leaf):
    """The graph node of a leaf; it accumulates the leaf's gradient.

    The leaf holds its node. The node holds the leaf's storage and attributes, not the leaf: that would be a cycle.

    Attributes:
        aside: the rows of this leaf, a table, whose gradients are its sparse one; see `_autograd/aside.py`. Else None.
    """

    __slots__ = ("_parts", "aside")
    __module__ = "builtins"

    def __init__(self, variable: Variable) -> None:
        super().__init__(variable)
        self.aside: Any = None
        self.keep(variable)

    def keep(self, variable: Variable) -> None:
        """Hold the leaf's storage and attributes, such as its gradient, so that they outlive the user's references."""
        # A view's attributes hold this node: that would be a cycle.
        kept = isinstance(variable, Tensor) and not variable._is_view()
        self._parts = (type(variable), variable._storage, vars(variable)) if kept else None

    def move(self, variable: Variable) -> None:
        """Be the node of another tensor, which has taken over the leaf's storage and attributes."""
        self.reference = ref(variable)
        self.keep(variable)

    def release(self) -> None:
        """Drop the storage and attributes, because the leaf no longer requires grad."""
        self._parts = None

    @property
    def variable(self) -> "Tensor | None":
        """The leaf; made again if no reference to it is left. None if it was a view or was released."""
        found: Any = self.reference()
        if found is None and self._parts is not None:
            kind, storage, attributes = self._parts
            found = _new(kind)
            found._storage, found._node, found._nr = storage, self, 0
            found.__dict__ = attributes
            self.reference = ref(found)
        return found


class Tensor(Variable, Methods):
    """A multi-dimensional array that records its ops for `backward()`, like PyTorch's.

    Make one with `tensor`, `zeros`, `rand` and the like. Behaviour: https://pytorch.org/docs/stable/tensors.html

    >>> import funcgrad.torch as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad
    tensor([2., 4.])
    """

    _grad: "Tensor | None" = None
    # For a result with `retain_grad`: the edge whose gradient is kept.
    _retained: Any = None
    # For a leaf that no longer requires grad: its former node, to which older graphs still lead.
    _former: Any = None
    # For a leaf: the hooks that run after accumulation.
    _post_accumulate: Any = None
    __hash__ = Variable.__hash__
    # With a NumPy scalar or array on the left, our reflected operator runs.
    __array_priority__: ClassVar[int] = 1000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: `__new__`, in `_ops.legacy`, has already made the tensor."""

    # -- shape, dtype, device -------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The lengths of its dimensions."""
        return Size(self._storage.aval.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of dimension `dim`."""
        return self.shape if dim is None else self.shape[dim]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._storage.aval.shape)

    def dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.shape.numel()

    @property
    def dtype(self) -> dtype:
        """The type of its elements."""
        return from_numpy_dtype(self._storage.aval.dtype)

    @property
    def device(self) -> device:
        """The device of the elements; for a pending tensor, the device where they will be computed."""
        return device_of(self._storage.aval)

    # -- its place in the graph -----------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows to it."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not isinstance(wanted, bool):
            raise RuntimeError("requires_grad must be a bool")
        if wanted and not self.is_leaf:
            raise RuntimeError("you can only change requires_grad flags of leaf variables.")
        self._ask(wanted)

    @requires_grad.deleter
    def requires_grad(self) -> None:
        raise RuntimeError("requires_grad must be a bool")

    def _ask(self, wanted: bool) -> None:
        """Ask for a gradient, or stop asking."""
        node = self._current_node()
        if node is not None and node.begins:
            # An argument of a function that JAX differentiates: now the function itself asks for a gradient, or for none.
            self._set_edge(node.lead(AccumulateGrad(self)) if wanted else None, self._nr)
        elif not self.is_leaf:
            if not wanted:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed "
                    "variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
                )
        elif not wanted:
            if node is not None:
                self._former, self._node = node, None
                node.release()
        elif node is None:
            self._check_may_require_grad()
            if self._former is None:
                self._node = AccumulateGrad(self)
            else:
                self._node, self._former = self._former, None
                self._node.keep(self)

    def _check_may_require_grad(self) -> None:
        if not self._storage.aval.inexact:
            raise cured(
                RuntimeError("only Tensors of floating point dtype can require gradients"),
                "integers",
            )
        if inference.is_of_inference(self._storage) and not inference.enabled():
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
            )

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Ask for a gradient, or stop asking; returns the tensor itself.

        Raises:
            RuntimeError: the dtype has no gradients; or `requires_grad` is False for a tensor that is not a leaf.
            TypeError: `requires_grad` is not a bool.
        """
        if not isinstance(requires_grad, bool):
            raise TypeError(
                "requires_grad_(): argument 'requires_grad' (position 1) must be bool, not "
                f"{type(requires_grad).__name__}"
            )
        refusals.refuse_inside(refusals.REQUIRES_GRAD)
        self._ask(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """True unless a recorded op made the tensor."""
        node = self._current_node()
        return node is None or isinstance(node, Leaf) or node.begins

    def _known_edge(self) -> tuple[Any, int]:
        """Its edge as it was last known. A view does not make its node anew for this."""
        return self._node, self._nr

    def _is_result(self) -> bool:
        """True if a recorded op made the tensor. A view answers without making its node anew."""
        return not self.is_leaf

    @property
    def grad_fn(self) -> Any:
        """The graph node of the op that made it; None for a leaf."""
        node = self._current_node()
        return None if node is None or isinstance(node, Leaf) or node.begins else node.face

    @property
    def _grad_fn(self) -> Any:
        return self.grad_fn

    @_grad_fn.setter
    def _grad_fn(self, node: None) -> None:
        if node is not None:
            raise RuntimeError("_grad_fn can be only set to None")
        self.detach_()

    @_grad_fn.deleter
    def _grad_fn(self) -> None:
        raise RuntimeError("Deletion of _grad_fn not allowed. Detach tensor instead!")

    @property
    def _post_accumulate_grad_hooks(self) -> Any:
        return self._post_accumulate

    @_post_accumulate_grad_hooks.setter
    def _post_accumulate_grad_hooks(self, hooks: Any) -> None:
        self._post_accumulate = hooks

    @_post_accumulate_grad_hooks.deleter
    def _post_accumulate_grad_hooks(self) -> None:
        raise RuntimeError("Deletion of _post_accumulate_grad_hooks not allowed!")

    @property
    def name(self) -> None:
        """Always None: PyTorch's tensors no longer have names."""
        return

    @property
    def output_nr(self) -> int:
        """The tensor's position among the outputs of `grad_fn`."""
        return self._nr

    @property
    def grad(self) -> "Tensor | None":
        """The accumulated gradient; None before the first `backward()`.

        Warns:
            UserWarning: the tensor is not a leaf, and its gradient is not retained.
        """
        if self._grad is None and self._retained is None and self._is_result():
            warn(cured(NotedWarning(_NOT_LEAF), "not a leaf"))
        return self._grad

    @grad.setter
    def grad(self, grad: "Tensor | None") -> None:
        if grad is not None:
            if not isinstance(grad, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(grad).__name__}"
                )
            if grad is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if grad.shape != self.shape:
                raise RuntimeError(
                    f"attempting to assign a gradient of size '{list(grad.shape)}' to a tensor of size "
                    f"'{list(self.shape)}'. Please ensure that the gradient and the tensor are the same size"
                )
            if grad.dtype is not self.dtype:
                raise RuntimeError(
                    f"attempting to assign a gradient with dtype '{kernel_name(grad.dtype)}' to a tensor with grad_dtype "
                    f"'{self.dtype.scalar_type}'. The gradient must match the tensor's grad_dtype (defaults to the "
                    "tensor's dtype). You can set the tensor's grad_dtype attribute with a specific dtype, or None to "
                    "allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its gradient "
                    "may break downstream systems that assume they match."
                )
            _check_same_device(grad.device, self.device)
        tell(self)
        self._grad = grad

    @grad.deleter
    def grad(self) -> None:
        tell(self)
        self._grad = None

    @property
    def grad_dtype(self) -> Any:
        """The dtype of the gradient: the tensor's own dtype.

        Raises:
            RuntimeError: the tensor is not a leaf.
        """
        if not self.is_leaf:
            raise RuntimeError("grad_dtype can only be accessed on leaf tensors.")
        return self.dtype

    @grad_dtype.setter
    def grad_dtype(self, wanted: Any) -> None:
        if not self.is_leaf:
            raise RuntimeError("grad_dtype can only be set on leaf tensors.")
        if wanted is not self.dtype:
            raise NotImplementedError("a gradient of another dtype than its tensor's")

    @property
    def data(self) -> "Tensor":
        """The same elements without history. Autograd does not notice writes to them."""
        storage = self._storage
        if storage.is_plain and not (duals or local.recorder.levels):
            return without_history(DataStorage(storage))
        refusals.refuse_data(storage.read(), reading=True)
        if inference.is_of_inference(storage) and inference.enabled():
            return without_history(storage)  # its writes are not counted either
        return without_history(data_of(apart(storage)))

    @data.setter
    def data(self, source: "Tensor") -> None:
        if not isinstance(source, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(source).__name__}")
        tell(self)
        refusals.refuse_data(self._storage.read(), reading=False)
        storage, given = self._storage, source._storage
        # `x.data += y` assigns the changed `.data` back: nothing is left to do.
        if (isinstance(given, DataStorage) and given.source is storage) or (
            given.memory is storage.memory and geometry_of(given) == geometry_of(storage)
        ):
            return
        if self.requires_grad and not source._storage.aval.inexact:
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point or complex dtype"
            )
        if storage.is_part:
            # A view keeps its base's version counter.
            self._move_to(ViewStorage(given.memory, storage.counter, geometry_of(given)))
            return
        counted = not inference.is_of_inference(storage)
        version = storage.version if counted else 0
        self._move_to(data_of(given))
        self._storage.version = version

    @data.deleter
    def data(self) -> None:
        raise RuntimeError("Deleting tensor data is not allowed. Delete tensor instead!")

    def _move_to(self, storage: Storage) -> None:
        """Move the tensor to another storage."""
        if isinstance(storage, ViewStorage):
            storage.creation = getattr(self._storage, "creation", None)
        self._storage = storage
        if not self._is_view() and type(node := self._current_node()) is AccumulateGrad:
            node.keep(self)

    def detach(self) -> "Tensor":
        """The same elements without history; an in-place change of one tensor shows in the other."""
        storage = apart(self._storage)
        if inference.is_of_inference(storage) and not inference.enabled():
            storage = data_of(storage)  # with a version counter of its own, as in PyTorch
        return without_history(storage)

    @property
    def _version(self) -> int:
        return inference.version_of(self._storage)

    @property
    def _base(self) -> "Tensor | None":
        return None

    def _is_view(self) -> bool:
        return False

    # -- its elements ---------------------------------------------------------------------------------------------

    def _array(self) -> Any:
        """The elements as NumPy's or JAX's array, computed if they were pending; a tracer inside a JAX transformation."""
        return compute(self._storage.read())

    def _jax_array(self) -> Any:
        """The elements as a JAX array, or a tracer."""
        return device_array(self._storage.read())

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The elements as a NumPy array in the tensor's own memory: what is written to one is seen in the other.

        The array is a read-only copy where the elements are not in memory that NumPy could share: on other devices, in
        a function that is being compiled, and of tensors made in inference mode.

        Raises:
            RuntimeError: the tensor requires grad, grad mode is on, and `force` is not set.
        """
        if self._current_node() is not None and local.recorder.grad_enabled and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        array = self._array()
        if isinstance(array, Absent):
            raise TypeError(
                "can't convert meta device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
            )
        if is_transformed(array):
            raise RuntimeError(refusals.NO_STORAGE)
        shared = share(self._storage)
        if shared is not None:
            return shared
        elements = np.asarray(concrete(array, refusals.NO_STORAGE)).view()
        elements.flags.writeable = False
        return elements

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The elements, for NumPy's functions."""
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __jax_array__(self) -> Any:
        """The elements, for JAX's functions.

        Raises:
            RuntimeError: the tensor requires grad and grad mode is on: the gradient would be lost.
        """
        watch = local.recorder.watch
        if watch is not None and self._current_node() is not None:
            watch.escapes(self)
        if self._current_node() is not None and local.recorder.grad_enabled:
            raise RuntimeError(
                "Can't make a JAX array of a Tensor that requires grad, whose gradient would be lost. Put the tensor "
                "on the left of an operator, use torch.from_jax(function), or tensor.detach()."
            )
        return self._jax_array()

    def __reversed__(self) -> "Tensor":
        """The rows in reversed order; a 0-d tensor itself."""
        return self.flip(0) if self.ndim else self

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers; a number for a 0-d tensor."""
        return np.asarray(concrete(self._array(), refusals.NO_STORAGE)).tolist()

    def item(self) -> Any:
        """The one element as a Python number.

        Raises:
            RuntimeError: there are more elements, or none.
        """
        array = self._array()
        if array.size != 1:
            raise RuntimeError(f"a Tensor with {array.size} elements cannot be converted to Scalar")
        return _present(concrete(array, refusals.ITEM)).item()

    def _number(self, convert: Callable[[Any], Any], complaint: str = refusals.ITEM) -> Any:
        array = self._array()
        if array.size != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        array = _present(concrete(array, complaint))
        return convert(array if is_tracer(array) else np.asarray(array).item())

    def __float__(self) -> float:
        """The one element; a complex one only if it is real."""
        return self._number(partial(_real, float, "double"))

    def __int__(self) -> int:
        """The one element, truncated to an integer; a complex one only if it is real."""
        return self._number(partial(_real, int, "int64_t"))

    def __complex__(self) -> complex:
        """The one element."""
        return self._number(complex)

    def __index__(self) -> int:
        """The one element of an integer tensor."""
        if self._storage.aval.inexact or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return self._number(int)

    def __bool__(self) -> bool:
        """Whether the one element is not zero."""
        count = self.numel()
        if count != 1:
            raise RuntimeError(
                "Boolean value of Tensor with no values is ambiguous"
                if count == 0
                else "Boolean value of Tensor with more than one value is ambiguous"
            )
        return self._number(bool, refusals.CONTROL_FLOW)

    def __contains__(self, element: Any) -> bool:
        """Whether any element equals `element`, which may be a tensor that broadcasts."""
        if not isinstance(element, (Tensor, bool, int, float, complex)):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
            )
        equal: Any = element == self
        return bool(equal.any())

    def __len__(self) -> int:
        """The length of the first dimension."""
        shape = self._storage.aval.shape
        if not shape:
            raise TypeError("len() of a 0-d tensor")
        return shape[0]

    def __format__(self, spec: str) -> str:
        """A 0-d tensor is formatted as its element."""
        if self.ndim == 0:
            return format(self.item(), spec)
        return object.__format__(self, spec) if spec else str(self)

    def __repr__(self) -> str:
        """PyTorch's printed form."""
        value = self._storage.read()
        # A tensor that has escaped its batch can still be printed.
        escaped = isinstance(value, Wrapped) and value.axis is not None
        array: Any = value if escaped else self._array()
        tangent = None
        if isinstance(array, Wrapped):
            inner = array.inner
            if not is_dual(array):
                printed = repr(tensor_of(inner._storage.read(), *inner._edge()))
                return refusals.describe(array, printed)
            carried: Any = array.tangent
            tangent = repr(tensor_of(carried._storage.read(), *carried._edge()))
            array = concrete(array, refusals.NO_STORAGE)
        if is_tracer(array):
            return f"tensor({array})"
        bound = self._storage.aval.device
        kind = self.__class__
        try:
            grad_fn = self.grad_fn
            name = None if grad_fn is None else type(grad_fn).__name__
        except RuntimeError:
            name = "Invalid"  # a view that must not be used any more
        plain = kind.__module__.startswith("funcgrad.torch")
        printed = printing.format_tensor(
            None if bound is META else np.asarray(array),
            self.dtype,
            shape=tuple(self.shape),
            requires_grad=self.requires_grad,
            grad_fn_name=name,
            class_name="tensor" if plain else kind.__name__,
            device_suffix=None if bound is None or self.device.type == "cpu" else str(self.device),
            tangent=tangent,
        )
        return (
            printed if plain or not getattr(self, "_is_param", False) else f"Parameter({printed})"
        )


def device_of(aval: Aval) -> device:
    """The device of an aval; JAX's default device if the aval has none."""
    bound = aval.device
    if bound is META:
        return device("meta")
    if bound is None:
        bound = jax.config.values["jax_default_device"] or jax.local_devices()[0]
    if not isinstance(bound, jax.Device):
        bound = min(
            getattr(bound, "device_set", [jax.local_devices()[0]]), key=lambda each: each.id
        )
    return device.from_jax(bound)


def _real(convert: Callable[[Any], Any], name: str, element: Any) -> Any:
    """An element as a number without an imaginary part."""
    if not isinstance(element, complex):
        return convert(element)
    if element.imag or (convert is int and not abs(element.real) < 2**63):
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")
    return convert(element.real)


def tell(tensor: Tensor) -> None:
    """Tell the recorder's watch that a tensor is about to be changed."""
    watch = local.recorder.watch
    if watch is not None:
        watch.writes(tensor)


def _check_same_device(of_gradient: device, of_tensor: device) -> None:
    """Check that a gradient and its tensor are on one device.

    Raises:
        RuntimeError: the devices differ.
    """
    for what, given, wanted in (
        ("with device type", of_gradient.type, of_tensor.type),
        ("located on device with index", of_gradient.index, of_tensor.index),
    ):
        if given != wanted:
            raise RuntimeError(
                f"attempting to assign a gradient {what} '{given}' to a tensor {what} '{wanted}'. Please ensure that "
                "the gradient and the tensor are on the same device"
            )


def without_history(storage: Storage) -> Tensor:
    """A tensor of these elements without a node."""
    tensor = _new(Tensor)
    tensor._storage = storage
    tensor._node, tensor._nr = None, 0
    return tensor


def tensor_of(value: Value, node: Any = None, nr: int = 0) -> Tensor:
    """The tensor of a recorded op's result."""
    tensor = _new(Tensor)
    tensor._storage = inference.new_storage(value)
    tensor._node = node
    tensor._nr = nr
    return tensor


def tensor_of_variable(variable: Variable) -> Tensor:
    """A variable of the engine as a tensor."""
    if isinstance(variable, Tensor):
        return variable
    return tensor_of(variable._storage.read(), *variable._edge())


def apart(storage: Storage) -> Storage:
    """The storage for a detached tensor. Inside transformations a value has a history of its own, which this hides."""
    if (local.recorder.levels or duals) and isinstance(storage.read(), Wrapped):
        return DetachedStorage(storage)
    return storage


def concrete(array: Any, complaint: str) -> Any:
    """The elements of an array; for a wrapped value without known elements, the error is `complaint`."""
    return refusals.elements_of(array, complaint) if isinstance(array, Wrapped) else array


def _present(array: Any) -> Any:
    """An array of one element.

    Raises:
        RuntimeError: it has a type alone.
    """
    if isinstance(array, Absent):
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    return array


def place(array: Any, where: "device | str | int | None" = None) -> Value:
    """A value with a copy of a NumPy or JAX array's elements; on the device `where` if it is given."""
    if is_tracer(array):
        return Value.of(array)
    if where is None:
        value = copied(array, META if is_meta(None) else None)
    else:
        value = copied(array, device(where).jax_device())
    # A forked process has no watch here, so that it can unpack tensors which other processes send.
    watch = None if compiling.forked else local.recorder.watch
    if watch is not None:
        watch.creates(value)
    return value
