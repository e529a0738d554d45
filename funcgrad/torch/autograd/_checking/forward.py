"""Tangents compared with differences."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from funcgrad.engine import Op
from funcgrad.engine.tracing import as_tuple
from funcgrad.torch._random.generator import Generator
from funcgrad.torch._tensor.operands import call
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.autograd import forward_ad
from funcgrad.torch.autograd._checking import numerical
from funcgrad.torch.autograd._checking.common import (
    IMAGINARY,
    REAL,
    Check,
    GradcheckError,
    in_slow_mode,
    mismatch,
    requires_grad,
    starts_among,
    unit_vector,
    zeros_like,
)
from funcgrad.torch.autograd._checking.numerical import (
    allclose,
    from_elements,
    stacked,
    values,
)


def check_forward(
    options: Check, func: Callable[..., Any], inputs: tuple[Any, ...], check_undefined: bool
) -> None:
    """Check tangents against differences of the function. A complex input is varied by its parts.

    Raises:
        GradcheckError: tangents and differences disagree.
    """

    def is_complex(each: Any) -> bool:
        return isinstance(each, Tensor) and each.dtype.is_complex

    if not any(map(is_complex, inputs)):
        _compare_forward(options, func, inputs, "")
        if check_undefined:
            check_undefined_tangents(func, inputs)
        return
    for op, other, part in ((IMAGINARY, REAL, "imaginary"), (REAL, IMAGINARY, "real")):
        parts = tuple(
            [
                call(op, each).detach().requires_grad_(each.requires_grad)
                if is_complex(each)
                else each
                for each in inputs
            ]
        )

        def of_part(*args: Any, op: Op = op, other: Op = other) -> Any:
            factor, rest = (1, 1j) if op is REAL else (1j, 1)
            return func(
                *[
                    each * factor + call(other, whole).detach() * rest
                    if is_complex(whole)
                    else each
                    for each, whole in zip(args, inputs, strict=True)
                ]
            )

        _compare_forward(options, of_part, parts, part)
        if check_undefined:
            check_undefined_tangents(of_part, parts)


def _compare_forward(
    options: Check, func: Callable[..., Any], inputs: tuple[Any, ...], part: str
) -> None:
    results = as_tuple(func(*inputs))
    kept = [k for k, each in enumerate(results) if each.requires_grad]
    generator = Generator()

    def columns(push: Callable[[np.ndarray], list[np.ndarray]]) -> list[np.ndarray]:
        pushed = [push(each) for each in np.eye(start.numel())]
        return [stacked([row[k] for row in pushed], its.numel()) for k, its in enumerate(results)]

    for j, start in enumerate(starts_among(inputs)):
        if options.fast:
            direction = unit_vector(start, generator)
            expected = numerical.projected(func, inputs, start, direction, options.eps)
            weight = direction.sum()
        else:
            expected = numerical.jacobian(func, inputs, start, results, options.eps)
            weight = 1.0
        if not kept:
            if any(np.any(each != 0) for each in expected):
                raise GradcheckError("Numerical gradient for function expected to be zero")
            continue
        push = partial(_pushed_forward, options, func, inputs, start)
        carried = push(direction) if options.fast else columns(push)
        for position, k in enumerate(kept):
            found = carried[k]
            if allclose(found, expected[k], options.rtol, options.atol * weight):
                continue
            note = ""
            if options.fast:
                slow = numerical.jacobian(func, inputs, start, results, options.eps)[k]
                note = in_slow_mode(options, columns(push)[k], slow)
            of, mode = part and "inputs", "computed with forward mode "
            raise GradcheckError(mismatch(found, expected[k], position, j, of, part, mode) + note)


def _pushed_forward(
    options: Check,
    func: Callable[..., Any],
    inputs: tuple[Any, ...],
    start: Tensor,
    direction: np.ndarray,
) -> list[np.ndarray]:
    """The flat tangents of the outputs for one tangent of one input; other inputs have zero tangents."""
    with forward_ad.dual_level():
        duals = [
            forward_ad.make_dual(
                each.detach(),
                from_elements(
                    direction.reshape(tuple(each.shape)).astype(each.dtype.numpy_dtype), each
                )
                if each is start
                else zeros_like(each),
            )
            if requires_grad(each)
            else each
            for each in inputs
        ]
        carried = []
        for output in as_tuple(func(*duals)):
            primal, tangent = forward_ad.unpack_dual(output)
            if tangent is None:
                carried.append(np.zeros(primal.numel(), primal.dtype.numpy_dtype))
                continue
            if options.check_grad_dtypes and primal.dtype.is_complex != tangent.dtype.is_complex:
                raise GradcheckError("Forward AD gradient has dtype mismatch.")
            carried.append(values(tangent).reshape(-1))
    return carried


def check_undefined_tangents(func: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
    """Check that a missing tangent counts as zeros."""
    generator = Generator()
    tangents = {
        k: from_elements(
            unit_vector(each, generator).reshape(tuple(each.shape)).astype(each.dtype.numpy_dtype),
            each,
        )
        for k, each in enumerate(inputs)
        if requires_grad(each)
    }
    for left_out in tangents:
        found = []
        for as_zeros in (True, False):
            with forward_ad.dual_level():
                duals = [
                    each
                    if k not in tangents
                    else each.detach()
                    if k == left_out and not as_zeros
                    else forward_ad.make_dual(
                        each.detach(), zeros_like(each) if k == left_out else tangents[k]
                    )
                    for k, each in enumerate(inputs)
                ]
                unpacked = [forward_ad.unpack_dual(each)[1] for each in as_tuple(func(*duals))]
                found.append([None if each is None else values(each) for each in unpacked])
        for position, (a, b) in enumerate(zip(*found, strict=True)):
            if a is not None and b is not None and not np.allclose(a, b, 1e-5, 1e-8):
                raise GradcheckError(
                    "Mismatch in tangent values for output with index: ",
                    position,
                    " when input: ",
                    inputs[left_out],
                    " has an undefined tangent value. ",
                    " Got: ",
                    from_elements(a),
                    " but expected: ",
                    from_elements(b),
                )
