"""Gradients compared with differences: the whole Jacobian, or a projection of it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.engine import Op
from funcgrad.engine.tracing import as_tuple
from funcgrad.torch._random.generator import Generator
from funcgrad.torch._tensor.operands import call
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.autograd._backward import grad
from funcgrad.torch.autograd._checking import numerical
from funcgrad.torch.autograd._checking.common import (
    IMAGINARY,
    REAL,
    Check,
    GradcheckError,
    in_slow_mode,
    mismatch,
    starts_among,
    unit_vector,
)
from funcgrad.torch.autograd._checking.numerical import (
    allclose,
    differs,
    from_elements,
    stacked,
    values,
)


def check_backward(options: Check, func: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
    """Check gradients against differences of the function. A complex output is checked by its parts.

    Raises:
        GradcheckError: gradients and differences disagree.
    """
    outputs = as_tuple(func(*inputs))
    if not any(each.dtype.is_complex for each in outputs):
        _compare_backward(options, func, inputs, "")
        return
    # Differences need real functions, so the two parts of a complex output are checked one by one.
    for op, part in ((IMAGINARY, "imaginary"), (REAL, "real")):

        def of_part(*args: Any, op: Op = op) -> tuple[Tensor, ...]:
            return tuple(
                [
                    call(op, each) if each.dtype.is_complex else each
                    for each in as_tuple(func(*args))
                ]
            )

        _compare_backward(options, of_part, inputs, part)


def _compare_backward(
    options: Check, func: Callable[..., Any], inputs: tuple[Any, ...], part: str
) -> None:
    results = as_tuple(func(*inputs))
    kept = [k for k, each in enumerate(results) if each.requires_grad]
    starts = starts_among(inputs)
    if options.fast:
        compare_projected(options, func, inputs, results, kept, part)
        return
    differences = [
        numerical.jacobian(func, inputs, start, results, options.eps) for start in starts
    ]
    if not kept:
        if any(np.any(each != 0) for of_input in differences for each in of_input):
            raise GradcheckError("Numerical gradient for function expected to be zero")
        return
    for position, k in enumerate(kept):
        rows = np.eye(results[k].numel(), dtype=results[k].dtype.numpy_dtype)
        analytical = pulled_back(options, results[k], starts, list(rows))
        for j, found in enumerate(analytical):
            expected = differences[j][k]
            if not allclose(found, expected, options.rtol, options.atol):
                raise GradcheckError(
                    mismatch(found, expected, position, j, part and "outputs", part)
                )


def pulled_back(
    options: Check, output: Tensor, starts: list[Tensor], cotangents: list[np.ndarray]
) -> list[np.ndarray]:
    """For each input, the gradients for cotangents of one output, as columns. A second backward must agree."""

    def once() -> tuple[list[np.ndarray], bool, bool]:
        columns: list[list[np.ndarray]] = [[] for _ in starts]
        sizes_fit = dtypes_fit = True
        for cotangent in cotangents:
            found = grad(
                output,
                starts,
                from_elements(cotangent.reshape(tuple(output.shape)), output),
                retain_graph=True,
                allow_unused=True,
            )
            for start, gradient, column in zip(starts, found, columns, strict=True):
                if gradient is None:
                    column.append(np.zeros(start.numel(), start.dtype.numpy_dtype))
                    continue
                sizes_fit &= gradient.shape == start.shape
                dtypes_fit &= gradient.dtype is start.dtype
                column.append(values(gradient).reshape(-1))
        sides = [
            stacked(each, start.numel()).T for each, start in zip(columns, starts, strict=True)
        ]
        return sides, sizes_fit, dtypes_fit

    first, sizes_fit, dtypes_fit = once()
    second, _, _ = once()
    if not dtypes_fit and options.check_grad_dtypes:
        raise GradcheckError("Gradient has dtype mismatch")
    if not sizes_fit:
        raise GradcheckError("Analytical gradient has incorrect size")
    if any(differs(a, b, options.nondet_tol) for a, b in zip(first, second, strict=True)):
        raise GradcheckError(
            "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives "
            "different values, although analytical gradient matches numerical gradient.The tolerance for "
            f"nondeterminism was {options.nondet_tol}."
        )
    return first


def compare_projected(
    options: Check,
    func: Callable[..., Any],
    inputs: tuple[Any, ...],
    results: tuple[Tensor, ...],
    kept: list[int],
    part: str,
) -> None:
    """Check one random projection of each block of the Jacobian."""
    generator, starts = Generator(), starts_among(inputs)
    directions = []
    for start in starts:
        direction: Any = unit_vector(start, generator)
        if start.dtype.is_complex:
            direction = direction, unit_vector(start, generator)
        directions.append(direction)
    cotangents = [unit_vector(results[k], generator) for k in kept]
    changes = [
        numerical.projected(func, inputs, start, direction, options.eps)
        for start, direction in zip(starts, directions, strict=True)
    ]
    if not kept:
        if any(differs(c, np.zeros_like(c), options.nondet_tol) for of in changes for c in of):
            raise GradcheckError("Numerical gradient for function expected to be zero")
        return
    for position, (k, cotangent) in enumerate(zip(kept, cotangents, strict=True)):
        rows = [cotangent.astype(results[k].dtype.numpy_dtype)]
        analytical = pulled_back(options, results[k], starts, rows)
        for j, (found, direction) in enumerate(zip(analytical, directions, strict=True)):
            column = found[:, 0]
            weight: Any
            if isinstance(direction, tuple):
                product = column.real @ direction[0] + 1j * (column.imag @ direction[1])
                weight = direction[0].sum() + direction[1].sum()
            else:
                product, weight = column @ direction, direction.sum()
            expected = changes[j][k] @ cotangent
            if not allclose(
                product, expected, options.rtol, options.atol * weight * cotangent.sum()
            ):
                slow = numerical.jacobian(func, inputs, starts[j], results, options.eps)[k]
                rows = list(np.eye(results[k].numel(), dtype=results[k].dtype.numpy_dtype))
                whole = pulled_back(options, results[k], starts, rows)[j]
                raise GradcheckError(
                    mismatch(product, expected, position, j, part and "outputs", part)
                    + in_slow_mode(options, whole, slow)
                )
