"""Answers in rational arithmetic: exact, whatever the condition of the data."""

from fractions import Fraction


def solve_exactly(matrix, right):
    """Gauss-Jordan elimination in rational arithmetic."""
    size = len(matrix)
    rows = [[*map(Fraction, matrix[i]), Fraction(right[i])] for i in range(size)]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(size):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def ridge_exactly(x, y, penalty):
    """The weights and the bias, which is not penalised, that minimise Σ (y - prediction)² + penalty Σ weights²."""
    x = [[Fraction(float(v)) for v in row] for row in x]
    y = [Fraction(float(v)) for v in y]
    rows, features = range(len(y)), range(len(x[0]))
    means = [sum(x[i][j] for i in rows) / len(y) for j in features]
    centre = sum(y) / len(y)
    gram = [
        [
            sum((x[i][j] - means[j]) * (x[i][k] - means[k]) for i in rows)
            + (Fraction(penalty) if j == k else 0)
            for k in features
        ]
        for j in features
    ]
    right = [sum((x[i][j] - means[j]) * (y[i] - centre) for i in rows) for j in features]
    weights = solve_exactly(gram, right)
    bias = centre - sum(m * w for m, w in zip(means, weights, strict=True))
    return [float(w) for w in weights], float(bias)
