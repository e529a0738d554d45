"""PyTorch's `torch.nn.utils.prune`: parameters multiplied by a mask of zeros and ones before each call of their module.

A pruned parameter `name` becomes the parameter `name_orig` and the buffer `name_mask`; a hook before the module's forward
sets the attribute `name` to their product.

Behaviour: https://pytorch.org/docs/stable/nn.html#module-torch.nn.utils.prune
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch.nn.utils.convert_parameters import parameters_to_vector

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def __dir__() -> list[str]:
    return __all__


class BasePruningMethod(ABC):
    """A way to choose the elements to prune, and the hook that masks a parameter before its module runs.

    A subclass has `compute_mask`, and `PRUNING_TYPE`: "unstructured", "structured" (with an attribute `dim`) or "global".
    """

    PRUNING_TYPE: str
    _tensor_name: str

    def __call__(self, module: Any, inputs: Any) -> None:
        """Set the masked parameter before a forward call."""
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask: `default_mask` with more zeros.

        Args:
            t: the importance of each element.
            default_mask: the mask so far, of the same shape.
        """

    def apply_mask(self, module: Any) -> Any:
        """The product of a module's original parameter and its mask."""
        original = getattr(module, f"{self._tensor_name}_orig")
        return getattr(module, f"{self._tensor_name}_mask").to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any
    ) -> "BasePruningMethod":
        """Prune a parameter of a module, on top of earlier pruning of it; returns the hook.

        Args:
            module, name: the module, and the name of its parameter.
            args, kwargs: of the method.
            importance_scores: the importance of each element; the parameter itself if None.

        Raises:
            AssertionError: the scores have another shape.
        """
        earlier = _hooks(module, name)
        for key in earlier:
            del module._forward_pre_hooks[key]
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        if earlier:
            (before,) = earlier.values()
            stack = before if isinstance(before, PruningContainer) else PruningContainer(before)
            stack.add_pruning_method(method)
            method = stack
        tensor = getattr(module, name)
        if importance_scores is None:
            importance_scores = tensor
        elif importance_scores.shape != tensor.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}, got "
                f"{importance_scores.shape} vs {tensor.shape}"
            )
        if earlier:
            mask = getattr(module, f"{name}_mask").detach().clone()
        else:
            module.register_parameter(f"{name}_orig", tensor)
            del module._parameters[name]
            mask = torch.ones_like(tensor)
        try:
            mask = method.compute_mask(importance_scores, default_mask=mask)
        except Exception:
            if not earlier:  # the module is as it was
                module.register_parameter(name, tensor)
                del module._parameters[f"{name}_orig"]
            raise
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """A tensor with its chosen elements set to zero, without a module.

        Args:
            t: the tensor.
            default_mask: the mask so far; ones if None.
            importance_scores: the importance of each element; the tensor itself if None.

        Raises:
            AssertionError: the scores have another shape.
        """
        if importance_scores is None:
            importance_scores = t
        elif importance_scores.shape != t.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as tensor t, got {importance_scores.shape} vs {t.shape}"
            )
        mask = torch.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(importance_scores, default_mask=mask)

    def remove(self, module: Any) -> None:
        """Make the pruning permanent: the masked tensor becomes the parameter again."""
        name = self._tensor_name
        masked = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(f"{name}_orig")
        del module._buffers[f"{name}_mask"]
        original.data = masked.data
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Several methods that pruned the same parameter, one after another; the last one computes the mask."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method for the same parameter.

        Raises:
            TypeError: it is no method.
            ValueError: it is for another parameter.
        """
        if method is not None and not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to PruningContainer "
                f"{self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods = (*self._pruning_methods, method)

    def __len__(self) -> int:
        """How many methods there are."""
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        """The methods, oldest first."""
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        """A method."""
        return self._pruning_methods[idx]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask so far, with what the last method prunes among the elements that are left.

        Raises:
            AttributeError: a structured method has no `dim`.
            IndexError: its `dim` is no dimension of the tensor.
            ValueError: its `PRUNING_TYPE` is not one of the three.
        """
        method: Any = self._pruning_methods[-1]
        left = _left(method, t, default_mask)
        mask = default_mask.to(dtype=t.dtype)
        found = method.compute_mask(t[left], default_mask=default_mask[left])
        mask[left] = found.to(dtype=mask.dtype)
        return mask


def _left(method: Any, t: Any, mask: Any) -> Any:
    """The index of the elements, or of the slices, that are not pruned yet."""
    if method.PRUNING_TYPE == "unstructured":
        return mask == 1
    index: list[Any] = [slice(None)] * t.dim()
    if method.PRUNING_TYPE == "structured":
        if not hasattr(method, "dim"):
            raise AttributeError(
                'Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.'
            )
        dim = method.dim + t.dim() if method.dim < 0 else method.dim
        if dim < 0:
            raise IndexError(f"Index is out of bounds for tensor with dimensions {t.dim()}")
        index[dim] = mask.sum(dim=[each for each in range(t.dim()) if each != dim]) != 0
    elif method.PRUNING_TYPE != "global":
        raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
    return tuple(index)


class Identity(BasePruningMethod):
    """Prunes nothing, and gives the parameter a mask of ones."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask so far."""
        return default_mask


class _Amount(BasePruningMethod):
    """A method that prunes a number of units, or a share of them."""

    def __init__(self, amount: Any) -> None:
        self.amount: Any = amount
        if not isinstance(amount, Real):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        whole = isinstance(amount, Integral)
        if self.amount < 0 or (not whole and self.amount > 1):
            raise ValueError(
                f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer"
            )

    def _count(self, units: int) -> int:
        """How many of the units to prune."""
        if not isinstance(self.amount, Integral):
            return round(self.amount * units)
        if int(self.amount) > units:
            raise ValueError(
                f"amount={self.amount} should be smaller than the number of parameters to prune={units}"
            )
        return int(self.amount)


class _Unstructured(_Amount):
    """Prunes the elements that rank lowest, or highest."""

    PRUNING_TYPE = "unstructured"
    _largest: bool

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask so far, with zeros at the chosen elements."""
        count, mask = self._count(t.nelement()), default_mask.clone()
        if count:
            ranks = self._ranks(t).reshape(-1)
            mask.view(-1)[torch.topk(ranks, k=count, largest=self._largest).indices] = 0
        return mask

    def _ranks(self, t: Any) -> Any:
        raise NotImplementedError


class RandomUnstructured(_Unstructured):
    """Prunes elements at random.

    Args:
        amount: how many, or their share if a float.
    """

    _largest = True

    def _ranks(self, t: Any) -> Any:
        return torch.rand_like(t)


class L1Unstructured(_Unstructured):
    """Prunes the elements that are smallest in absolute value.

    Args:
        amount: how many, or their share if a float.
    """

    _largest = False

    def _ranks(self, t: Any) -> Any:
        return torch.abs(t)


class _Structured(_Amount):
    """Prunes whole slices along a dimension.

    Args:
        amount: how many slices, or their share if a float.
        dim: the dimension.
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask so far, with zeros in the chosen slices.

        Raises:
            ValueError: the tensor has fewer than two dimensions, or fewer slices than are to be pruned.
            IndexError: it has no such dimension.
        """
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
                f"{t.shape} with {t.dim()} dims"
            )
        if self.dim >= t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        units = t.shape[self.dim]
        count = self._count(units)
        kept = self._kept(t, units, count)
        if count == 0:
            return default_mask
        index: list[Any] = [slice(None)] * t.dim()
        index[self.dim] = kept
        mask = torch.zeros_like(t)
        mask[tuple(index)] = 1
        mask *= default_mask.to(dtype=mask.dtype)
        return mask

    def _kept(self, t: Any, units: int, count: int) -> Any:
        """The index of the slices that stay."""
        raise NotImplementedError


class RandomStructured(_Structured):
    """Prunes slices along a dimension at random."""

    def _kept(self, t: Any, units: int, count: int) -> Any:
        if count == 0:
            return None
        drawn = torch.rand(units)
        return drawn > torch.kthvalue(drawn, k=count).values


class LnStructured(_Structured):
    """Prunes the slices along a dimension with the smallest norms.

    Args:
        amount: how many slices, or their share if a float.
        n: the norm's order, as `p` of `torch.norm`.
        dim: the dimension.
    """

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _kept(self, t: Any, units: int, count: int) -> Any:
        others = [each for each in range(t.dim()) if each != self.dim % t.dim()]
        norms = torch.norm(t, p=self.n, dim=others)
        return torch.topk(norms, k=units - count, largest=True).indices


class CustomFromMask(BasePruningMethod):
    """Prunes with a given mask.

    Args:
        mask: of the parameter's shape; zero where it is pruned.
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The product of the masks.

        Raises:
            AssertionError: their shapes differ.
        """
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)


# ------------------------------------------------------------------------------------------- functions


def identity(module: Any, name: str) -> Any:
    """Give a parameter a mask of ones; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: Any) -> Any:
    """Prune elements at random; returns the module.

    Args:
        module, name: the module, and the name of its parameter.
        amount: how many elements, or their share if a float.

    >>> import funcgrad.torch as torch
    >>> from funcgrad.torch.nn.utils import prune
    >>> layer = prune.random_unstructured(torch.nn.Linear(2, 3), "weight", amount=1)
    >>> sorted(layer.state_dict())
    ['bias', 'weight_mask', 'weight_orig']
    """
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(module: Any, name: str, amount: Any, importance_scores: Any = None) -> Any:
    """Prune the elements that are smallest in absolute value; returns the module.

    Args:
        module, name: the module, and the name of its parameter.
        amount: how many elements, or their share if a float.
        importance_scores: ranked instead of the parameter.
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: Any, dim: int) -> Any:
    """Prune slices along a dimension at random; returns the module.

    Args:
        module, name: the module, and the name of its parameter.
        amount: how many slices, or their share if a float.
        dim: the dimension.
    """
    RandomStructured.apply(module, name, amount=amount, dim=dim)
    return module


def ln_structured(
    module: Any, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None
) -> Any:
    """Prune the slices along a dimension with the smallest norms; returns the module.

    Args:
        module, name: the module, and the name of its parameter.
        amount: how many slices, or their share if a float.
        n: the norm's order.
        dim: the dimension.
        importance_scores: ranked instead of the parameter.
    """
    LnStructured.apply(
        module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores
    )
    return module


def custom_from_mask(module: Any, name: str, mask: Any) -> Any:
    """Prune with a given mask; returns the module.

    Args:
        module, name: the module, and the name of its parameter.
        mask: of the parameter's shape; zero where it is pruned.
    """
    CustomFromMask.apply(module, name, mask=mask)
    return module


def global_unstructured(
    parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any
) -> None:
    """Prune several parameters as if they were one vector.

    Args:
        parameters: pairs of a module and the name of its parameter.
        pruning_method: the class of an unstructured method.
        importance_scores: by such pairs, ranked instead of the parameters.
        kwargs: of the method.

    Raises:
        TypeError: `parameters` is not iterable, the scores are no dictionary, or the method is structured.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    pairs = list(parameters)
    tensors = [getattr(module, name) for module, name in pairs]
    ranked = parameters_to_vector(
        [scores.get(pair, own) for pair, own in zip(pairs, tensors, strict=True)]
    )
    masks = parameters_to_vector(
        [
            getattr(module, f"{name}_mask", torch.ones_like(own))
            for (module, name), own in zip(pairs, tensors, strict=True)
        ]
    )
    container = PruningContainer()
    method = pruning_method(**kwargs)
    container._tensor_name = method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    container.add_pruning_method(method)
    mask = container.compute_mask(ranked, masks)
    for (module, name), own, part in zip(
        pairs, tensors, mask.split([each.numel() for each in tensors]), strict=True
    ):
        custom_from_mask(module, name, mask=part.view_as(own))


def remove(module: Any, name: str) -> Any:
    """Make the pruning of a parameter permanent; returns the module.

    Args:
        module, name: the module, and the name of its parameter.

    Raises:
        ValueError: it was not pruned.
    """
    for key, hook in _hooks(module, name).items():
        hook.remove(module)
        del module._forward_pre_hooks[key]
        return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    )


def is_pruned(module: Any) -> bool:
    """Whether a parameter of a module or of its submodules is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for each in module.modules()
        for hook in each._forward_pre_hooks.values()
    )


def _hooks(module: Any, name: str) -> dict[int, BasePruningMethod]:
    """The hooks that prune a parameter, by their keys; there is one at most."""
    return {
        key: hook
        for key, hook in module._forward_pre_hooks.items()
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
    }
