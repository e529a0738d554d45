"""Promises of gradients besides their values: under `vmap`, for zero cotangents, and for missing cotangents."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.engine.tracing import as_tuple
from funcgrad.torch._func.batching import vmap
from funcgrad.torch._ops.creation import FUNCTIONS as CREATION
from funcgrad.torch._tensor.axes import stack
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.autograd import forward_ad
from funcgrad.torch.autograd._backward import grad
from funcgrad.torch.autograd._checking.common import (
    GradcheckError,
    differentiable,
    starts_among,
    zeros_like,
)
from funcgrad.torch.autograd._checking.numerical import values
from funcgrad.torch.autograd._checking.undefined import undefined

_BATCHED = "gradcheck or gradgradcheck failed while testing batched gradient computation."
_BATCHED_FORWARD = (
    "gradcheck failed while testing batched gradient computation with forward-mode AD."
)


def _compare_batched(
    each: Callable[[Tensor], tuple[Tensor, ...]], like: Tensor, output: int | None, note: str
) -> None:
    """Check that a function of cotangents or tangents gives the same under `vmap` as one by one."""
    given = [CREATION["randn_like"](like) for _ in range(2)]
    expected = [stack(parts) for parts in zip(*map(each, given), strict=True)]
    try:
        found = vmap(each)(stack(given))
    except RuntimeError as error:
        raise GradcheckError(
            f"While computing batched gradients, got: {error}\n\n{note}"
        ) from error
    for position, (mine, its) in enumerate(zip(found, expected, strict=True)):
        if not np.allclose(values(mine), values(its), 1e-5, 1e-8):
            which = position if output is None else output
            raise GradcheckError(
                f"For output {which} and input {position}:\n\n{note}\n\nGot:\n{mine}\n\nExpected:\n{its}"
            )


def check_batched_gradients(inputs: tuple[Any, ...], output: Tensor, position: int) -> None:
    """Check that gradients are the same under `vmap`."""
    starts = starts_among(inputs)

    def pulled(cotangent: Tensor) -> tuple[Tensor, ...]:
        found = grad(output, starts, cotangent, retain_graph=True, allow_unused=True)
        return tuple(
            [
                zeros_like(its) if mine is None else mine
                for mine, its in zip(found, starts, strict=True)
            ]
        )

    _compare_batched(pulled, output.detach(), position, _BATCHED)


def check_batched_forward(func: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
    """Check that tangents are the same under `vmap`."""
    for start in starts_among(inputs):

        def pushed(tangent: Tensor, start: Tensor = start) -> tuple[Tensor, ...]:
            with forward_ad.dual_level():
                dual = forward_ad.make_dual(start.detach(), tangent)
                outputs = func(
                    *[
                        dual
                        if each is start
                        else each.detach()
                        if isinstance(each, Tensor)
                        else each
                        for each in inputs
                    ]
                )
                unpacked = [forward_ad.unpack_dual(each) for each in as_tuple(outputs)]
                return tuple([zeros_like(p) if t is None else t for p, t in unpacked])

        _compare_batched(pushed, start.detach(), None, _BATCHED_FORWARD)


def check_multiplied(outputs: tuple[Tensor, ...], inputs: tuple[Any, ...], masked: bool) -> None:
    """Check that zero cotangents give zero gradients of the inputs' types."""
    if not outputs:
        return
    starts = starts_among(inputs)
    zeros = [zeros_like(each) for each in outputs]
    found = grad(outputs, starts, zeros, retain_graph=True, allow_unused=True)
    for gradient, start in zip(found, starts, strict=True):
        if gradient is None:
            continue
        elements = values(gradient)
        if not (np.allclose(elements, 0) if masked else np.all(elements == 0)):
            raise GradcheckError("backward not multiplied by grad_output")
        for what, fits in (
            ("type", gradient.dtype is start.dtype),
            ("device", gradient.device == start.device),
            ("size", gradient.shape == start.shape),
        ):
            if not fits:
                raise GradcheckError(f"grad is incorrect {what}")


_CHECKED_BY_DEFAULT = (
    "Backwards compatibility: New undefined gradient support checking feature is enabled by default, but it may break "
    "existing callers of this function. If this is true for you, you can call this function with "
    '"check_undefined_grad=False" to disable the feature'
)
_NOTES = (
    'Please look at "Notes about undefined output gradients" in "tools/autograd/derivatives.yaml"'
)


def check_undefined(
    func: Callable[..., Any], outputs: tuple[Tensor, ...], inputs: tuple[Any, ...]
) -> None:
    """Check that missing cotangents count as zeros: of all outputs, then of each output alone."""
    if not outputs:
        return
    starts = starts_among(inputs)
    alone: list[set[int]] = [{k} for k in range(len(outputs))] if len(outputs) > 1 else []
    for left_out in [set(range(len(outputs))), *alone]:
        roots = [
            undefined(each) if k in left_out else each
            for k, each in enumerate(differentiable(func(*inputs)))
        ]
        zeros = [zeros_like(each) for each in roots]
        try:
            found = grad(roots, starts, zeros, allow_unused=True)
        except RuntimeError as error:
            warnings.warn(_CHECKED_BY_DEFAULT, stacklevel=4)
            raise GradcheckError(
                f"Expected backward function to handle undefined output grads. {_NOTES}"
            ) from error
        if any(gradient is not None and np.any(values(gradient) != 0) for gradient in found):
            warnings.warn(_CHECKED_BY_DEFAULT, stacklevel=4)
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are undefined or zero. "
                f"{_NOTES}"
            )
