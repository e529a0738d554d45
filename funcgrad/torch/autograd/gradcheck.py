"""Derivatives checked against finite differences: PyTorch's `gradcheck` and `gradgradcheck`."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.engine.tracing import as_tuple
from funcgrad.torch._ops.creation import FUNCTIONS as CREATION
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.autograd._backward import grad
from funcgrad.torch.autograd._checking.backward import check_backward
from funcgrad.torch.autograd._checking.common import (
    Check,
    GradcheckError,
    differentiable,
    requires_grad,
    starts_among,
)
from funcgrad.torch.autograd._checking.forward import check_forward
from funcgrad.torch.autograd._checking.promises import (
    check_batched_forward,
    check_batched_gradients,
    check_multiplied,
    check_undefined,
)

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


def __dir__() -> list[str]:
    return __all__


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Check the gradients of a function against central differences, with respect to all inputs that require grad.

    Args:
        func: takes tensors, returns one or a tuple of them.
        inputs: its arguments, one tensor or a tuple; float64 or complex128, since differences need the precision.
        eps: the step of the differences.
        atol, rtol: the tolerances, as in `numpy.allclose`.
        raise_exception: raise if a check fails, in place of returning False.
        nondet_tol: the tolerance between two runs of backward over the same graph.
        check_undefined_grad: check that missing gradients count as zeros.
        check_grad_dtypes: check that a gradient has its input's dtype.
        check_batched_grad, check_batched_forward_grad: check gradients and tangents under `vmap`.
        check_forward_ad, check_backward_ad: whether to check each of the two modes.
        fast_mode: check a random projection of the Jacobian in place of all of it.
        masked: compare the product with zero cotangents approximately.

    Raises:
        GradcheckError: a check failed.
        ValueError: no input requires grad.

    >>> import funcgrad.torch as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(lambda x: (x**3).sum(), x)
    True

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError(
            "Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    if check_batched_grad and not check_backward_ad:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_backward_ad to be True"
        )
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError(
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
        )
    given = as_tuple(inputs)
    options = Check(eps, rtol, atol, nondet_tol, check_grad_dtypes, fast_mode, bool(masked))
    try:
        _check_inputs(given)
        outputs = differentiable(func(*given))
        if check_backward_ad:
            check_backward(options, func, given)
        if check_forward_ad:
            check_forward(options, func, given, check_undefined_grad)
        if check_batched_forward_grad:
            check_batched_forward(func, given)
        if check_backward_ad:
            for position, output in enumerate(outputs if check_batched_grad else ()):
                check_batched_gradients(given, output, position)
            check_multiplied(outputs, given, options.masked)
            if check_undefined_grad:
                check_undefined(func, outputs, given)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Check the gradients of gradients against central differences.

    Args:
        func, inputs: as of `gradcheck`, which explains the other options.
        grad_outputs: the cotangents of the outputs; random ones if None.
        gen_non_contig_grad_outputs: accepted for PyTorch's sake, without effect: memory has no gaps here.
        check_fwd_over_rev, check_rev_over_rev: the modes in which to differentiate the gradient.

    >>> import funcgrad.torch as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(lambda x: (x**3).sum(), x)
    True

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradgradcheck.html
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError(
            "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"
        )
    for option in ("check_undefined_grad", "check_batched_grad"):
        wanted = check_undefined_grad if option == "check_undefined_grad" else check_batched_grad
        if wanted and not check_rev_over_rev:
            raise AssertionError(f"Setting {option}=True requires check_rev_over_rev to be True")
    given = as_tuple(inputs)
    if grad_outputs is None:
        cotangents = tuple(map(_cotangent, differentiable(func(*given))))
    else:
        cotangents = as_tuple(grad_outputs)
    count = len(cotangents)
    wanted_inputs = [k for k, each in enumerate(given) if requires_grad(each)]
    wanted_cotangents = [k for k, each in enumerate(cotangents) if each.requires_grad]

    def gradients(*args: Any) -> tuple[Tensor, ...]:
        starts = [
            each.requires_grad_() if k in wanted_inputs else each
            for k, each in enumerate(args[:-count])
        ]
        outputs = differentiable(func(*starts))
        pulled = [
            each.requires_grad_() if k in wanted_cotangents else each
            for k, each in enumerate(args[-count:])
        ]
        found = grad(
            outputs,
            [starts[k] for k in wanted_inputs],
            pulled,
            create_graph=True,
            allow_unused=True,
        )
        return tuple([each for each in found if each is not None])

    return gradcheck(
        gradients,
        given + cotangents,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        masked=masked,
    )


def _cotangent(output: Tensor) -> Tensor:
    return (CREATION["rand_like"](output) * 2 - 1).detach().requires_grad_()


def _check_inputs(inputs: Sequence[Any]) -> None:
    for position, each in enumerate(inputs):
        if not requires_grad(each):
            continue
        if each.dtype.numpy_dtype not in (np.float64, np.complex128):
            warnings.warn(
                f"Input #{position} requires gradient and is not a double precision floating point or complex. This "
                "check will likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=3,
            )
        if any(
            step == 0 and size > 1 for step, size in zip(each.stride(), each.shape, strict=True)
        ):
            raise RuntimeError(
                f"The {position}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to compute the numerical gradients correctly. You should call .contiguous "
                "on the input before passing it to gradcheck."
            )
    if not starts_among(inputs):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have "
            "requires_grad=True."
        )
