"""PyTorch's own sample inputs of an op or a module, run on both sides; the wheel carries them for its own tests."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from tests.both_sides import attempt, ours, theirs


def to_ours(thing: Any, fresh: bool = True) -> Any:
    """The same argument for the shim: tensors by their elements, dtypes by their name.

    Args:
        thing: an argument of PyTorch's.
        fresh: whether a tensor that requires grad does so here too.
    """
    if isinstance(thing, theirs.Tensor):
        plain = thing.detach().resolve_conj()
        if plain.dtype is theirs.bfloat16:
            made = ours.tensor(plain.float().numpy()).to(ours.bfloat16)
        else:
            made = ours.tensor(np.ascontiguousarray(plain.numpy()).copy())
        return made.requires_grad_() if fresh and thing.requires_grad else made
    if isinstance(thing, theirs.dtype):
        return getattr(ours, str(thing).split(".")[1])
    if type(thing) in (list, tuple):
        return type(thing)(to_ours(each) for each in thing)
    if isinstance(thing, dict):
        return {name: to_ours(each) for name, each in thing.items()}
    return thing


def tensors_in(thing: Any) -> Iterable[Any]:
    """The tensors in an argument or a result, in their order."""
    if isinstance(thing, (ours.Tensor, theirs.Tensor)):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for each in thing:
            yield from tensors_in(each)
    elif isinstance(thing, dict):
        yield from tensors_in(list(thing.values()))


def weights(torch: Any, like: Any) -> Any:
    """A gradient for a result: numbers between -1 and 1."""
    numbers = np.cos(np.arange(1.0, like.numel() + 1)).reshape(tuple(like.shape))
    return torch.tensor(numbers).to(like.dtype)


def gradients(torch: Any, made: Any, arguments: Any) -> list[Any]:
    """The gradients of a result with regard to the arguments that require grad; None where there is none."""
    roots = [each for each in tensors_in(made) if each.requires_grad]
    wanted = [each for each in tensors_in(arguments) if each.requires_grad]
    if not roots or not wanted:
        return []
    return list(
        torch.autograd.grad(
            roots, wanted, [weights(torch, each) for each in roots], allow_unused=True
        )
    )


def elements(tensor: Any) -> np.ndarray:
    """A tensor's elements as NumPy has them, half precision in float32."""
    tensor = tensor.detach()
    half = str(tensor.dtype).split(".")[-1] in ("bfloat16", "float16")
    return np.asarray((tensor.float() if half else tensor).numpy())


# How far elements may be apart in a dtype, in units of the largest element of the result.
ROUNDING = {"float32": 2e-5, "complex64": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}


def check_alike(mine: Any, expected: Any, what: str, rounding: float = 1.0) -> None:
    """Two results have the same tensors: shapes, dtypes, requires_grad and elements to rounding."""
    pairs = list(tensors_in(mine)), list(tensors_in(expected))
    assert len(pairs[0]) == len(pairs[1]), what
    for k, (a, b) in enumerate(zip(*pairs, strict=True)):
        where = f"{what}[{k}]"
        assert tuple(a.shape) == tuple(b.shape), f"{where}: {a.shape} is not {b.shape}"
        assert str(a.dtype) == str(b.dtype), where
        assert a.requires_grad == b.requires_grad, f"{where}: requires_grad {a.requires_grad}"
        if b.requires_grad and b.grad_fn is not None and not b.is_complex():
            assert type(a.grad_fn).__name__ == type(b.grad_fn).__name__, where
        x, y = elements(a), elements(b)
        size = np.abs(y[np.isfinite(y)]).max(initial=1e-30) if y.dtype.kind in "fc" else 0
        name = str(b.dtype).split(".")[1]
        near = ROUNDING.get(name, 1e-11 if y.dtype.kind in "fc" else 0) * rounding
        np.testing.assert_allclose(x, y, rtol=near, atol=near * size, err_msg=where)


def check_same(
    call: Callable[..., Any], reference: Callable[..., Any], args: Any, kwargs: Any, what: str = ""
) -> None:
    """A call gives on both sides the same results and gradients, or the same error.

    Args:
        call, reference: the shim's function and PyTorch's.
        args, kwargs: PyTorch's arguments.
        what: says which call it was.
    """
    my_args, my_kwargs = to_ours(args), to_ours(kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = attempt(reference, *args, **kwargs)
        if isinstance(expected, Exception):
            with pytest.raises(type(expected)):
                call(*my_args, **my_kwargs)
            return
        mine = call(*my_args, **my_kwargs)
        check_alike(mine, expected, f"{what} result")
        check_alike(
            gradients(ours, mine, [my_args, my_kwargs]),
            gradients(theirs, expected, [args, kwargs]),
            f"{what} gradient",
            10,
        )
