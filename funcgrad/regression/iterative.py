"""Iterative refinement of the least-squares answer that a triangular factor gives, with residuals in two floats."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from funcgrad.regression.namespaces import (
    divided_by_triangle,
    namespace,
    solve_triangular,
    while_loop,
)
from funcgrad.regression.two_floats import TwoFloats, add, double, matmul, negative

# Refinement gains several digits a pass or none; the passes end by themselves well before.
_MOST_PASSES = 40
# The first pass mends the residual, the second the weights.
_FEWEST_PASSES = 2
# Errors of the coefficients are the coefficients of that many more problems: refined as well while the
# passes stay within a second, taken from the triangular factor above.
MOST_REFINED_ERRORS = 1 << 23
# Columns whose Gram matrix has eigenvalues within this ratio are independent beyond doubt.
_INDEPENDENT = 1e-6
# A column computed from the others, and rounded, is this near to them, whatever the number of rows. The answer
# would then depend on the rounding alone.
_ROUNDED = 8 * np.finfo(np.float64).eps


class Solution(NamedTuple):
    """The scaled problem's answer; spread is the root of the diagonal of (XᵀX)⁻¹."""

    weights: Float[Array, "unknowns outputs"]
    residual: Float[Array, "rows outputs"]
    spread: Float[Array, " unknowns"]
    rank: Int[Array, ""]


class Start(NamedTuple):
    """A factor of the design matrix to refine from.

    Attributes:
        r: upper triangular, with q r near the design matrix.
        q: its columns are orthogonal only as far as refinement needs.
        weights: a first answer.
        certain: whether the columns are known to be independent.
    """

    r: Float[Array, "unknowns unknowns"]
    q: Float[Array, "rows unknowns"]
    weights: Float[Array, "unknowns outputs"]
    certain: Bool[Array, ""]


def started(r: Array, c: Array, design: TwoFloats) -> Start:
    """Return the start that the factor gives."""
    q = divided_by_triangle(design.high, r)
    return Start(r, q, solve_triangular(r, c), namespace(r).asarray(True))


def sharpened(r: Array, design: TwoFloats, right: TwoFloats) -> Start:
    """Return a better start, for columns so nearly dependent that the factor is half rounding.

    X r⁻¹ is computed in two floats, so its error is negligible. Where its columns are independent, the
    columns of X are too, and its own factor corrects r. (T. Ogita, "Accurate matrix factorization: inverse
    LU and inverse QR factorizations", SIAM J. Matrix Anal. Appl. 31, 2010.)
    """
    xp = namespace(r)
    inverse = solve_triangular(r, xp.eye(len(r), dtype=r.dtype))
    near = matmul(design, double(inverse)).high
    gram = near.T @ near
    lowest, highest = xp.linalg.eigvalsh(gram)[np.array([0, -1])]
    correction = xp.linalg.cholesky(gram, upper=True)
    q = divided_by_triangle(near, correction)
    corrected = correction @ r
    weights = solve_triangular(corrected, q.T @ right.high)
    singular = xp.linalg.svd(corrected, compute_uv=False)
    certain = (lowest > _INDEPENDENT * highest) & (singular[-1] > _ROUNDED * singular[0])
    return Start(corrected, q, weights, certain)


def improved(begun: Start, design: TwoFloats, right: TwoFloats) -> Solution:
    """Solve [I X; Xᵀ 0] [residual; weights] = [right; 0] to the last digit.

    Beside the outputs stand columns for the unit vectors; their weights give (XᵀX)⁻¹.
    """
    r, q, weights, _ = begun
    xp = namespace(r)
    rows, unknowns = design.high.shape
    outputs = right.high.shape[1]
    solve = partial(solve_triangular, r)
    inverse = solve(xp.eye(unknowns, dtype=r.dtype))
    top, bottom, residual = right, xp.zeros_like(weights), right.high - design.high @ weights
    spread_too = rows * unknowns**2 <= MOST_REFINED_ERRORS
    if spread_too:
        top = TwoFloats(*(xp.pad(part, ((0, 0), (0, unknowns))) for part in top))
        bottom = xp.hstack([bottom, -xp.eye(unknowns, dtype=r.dtype)])
        weights = xp.hstack([weights, inverse @ inverse.T])
        residual = xp.hstack([residual, -q @ inverse.T])

    def improve(state: _Pass) -> _Pass:
        fitted = add(matmul(design, state.weights), state.residual)
        upper = add(top, negative(fitted)).high
        moment = matmul(design, state.residual, transposed=True)
        lower = add(double(bottom), negative(moment)).high
        step = q.T @ upper - solve(lower, transposed=True)
        better = _Pass(
            weights=add(state.weights, double(solve(step))),
            residual=add(state.residual, double(upper - q @ step)),
            change=_relative_size(solve(step), state.weights.high),
            before=state.change,
            passes=state.passes + 1,
        )
        failed = state._replace(change=better.change, before=better.before, passes=better.passes)
        improves = (better.change < better.before) | (state.passes < _FEWEST_PASSES)
        return jax.tree.map(lambda new, old: xp.where(improves, new, old), better, failed)

    def improving(state: _Pass) -> Bool[Array, ""]:
        better = (state.change < state.before / 2) & (state.change > 0)
        return (better | (state.passes < _FEWEST_PASSES)) & (state.passes < _MOST_PASSES)

    start = _Pass(
        double(weights), double(residual), xp.ones(()), xp.full((), xp.inf), xp.asarray(0)
    )
    end = while_loop(improving, improve, start)
    if spread_too:
        variance = xp.diagonal(end.weights.high[:, outputs:])
    else:
        variance = xp.square(inverse).sum(axis=1)
    return Solution(
        end.weights.high[:, :outputs],
        end.residual.high[:, :outputs],
        xp.sqrt(variance),
        xp.asarray(unknowns),
    )


class _Pass(NamedTuple):
    """A pass of refinement; `change` is how much it moved the weights, `before` the pass before it."""

    weights: TwoFloats
    residual: TwoFloats
    change: Float[Array, ""]
    before: Float[Array, ""]
    passes: Int[Array, ""]


def _relative_size(change: Array, value: Array) -> Float[Array, ""]:
    xp = namespace(value)
    size = xp.abs(value).max(axis=0)
    return (xp.abs(change).max(axis=0) / xp.where(size > 0, size, 1)).max()
