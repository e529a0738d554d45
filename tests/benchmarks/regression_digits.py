"""Prints how many digits of NIST's reference problems are right: `python -m tests.benchmarks.regression_digits`.

Minus the decimal logarithm of the largest relative error, against the exact answer for the data as published. Each
library solves with its defaults in float64 (scikit-learn's drops singular values below 1e-6 of the largest); where it
is not installed its column is a dash.
"""

import warnings
from collections.abc import Callable

import numpy as np

from funcgrad import regression
from funcgrad.datasets import NIST_PROBLEMS, ReferenceProblem, correct_digits, load_nist

Answer = np.ndarray
"""The coefficients, the intercept first."""


def features(problem: ReferenceProblem) -> np.ndarray:
    """The design matrix without the intercept, powers rounded to float64."""
    if problem.degree is None:
        return problem.x
    return problem.x ** np.arange(1, problem.degree + 1)


def design(problem: ReferenceProblem) -> np.ndarray:
    """The design matrix with the intercept's column."""
    x = features(problem)
    return np.column_stack([np.ones(len(x)), x]) if problem.intercept else x


def in_two_floats(problem: ReferenceProblem) -> regression.LeastSquares:
    """Ours as recommended for a polynomial; the features themselves otherwise."""
    x = problem.x if problem.degree is None else regression.powers(problem.x[:, 0], problem.degree)
    return regression.least_squares(x, problem.y, intercept=problem.intercept)


def in_float64(problem: ReferenceProblem) -> regression.LeastSquares:
    """Ours on what the others are given."""
    return regression.least_squares(features(problem), problem.y, intercept=problem.intercept)


def intercept_first(params: regression.Params) -> Answer:
    """The parameters in NIST's order."""
    if isinstance(params, regression.Linear):
        return np.append(params.bias, params.weights)
    return np.asarray(params)


def numpy_lstsq(problem: ReferenceProblem) -> Answer:
    """NumPy's, by singular values."""
    return np.linalg.lstsq(design(problem), problem.y)[0]


def scikit_learn(problem: ReferenceProblem) -> Answer:
    """scikit-learn's LinearRegression."""
    from sklearn.linear_model import LinearRegression

    fitted = LinearRegression(fit_intercept=problem.intercept).fit(features(problem), problem.y)
    return np.append(fitted.intercept_, fitted.coef_) if problem.intercept else fitted.coef_


def pytorch_lstsq(problem: ReferenceProblem) -> Answer:
    """PyTorch's, by QR with pivoting, as it does by default on a CPU."""
    import torch

    right = torch.tensor(problem.y)[:, None]
    return torch.linalg.lstsq(torch.tensor(design(problem)), right).solution[:, 0].numpy()


SOLVERS: dict[str, Callable[[ReferenceProblem], Answer]] = {
    "ours, powers()": lambda problem: intercept_first(in_two_floats(problem).params),
    "ours, float64": lambda problem: intercept_first(in_float64(problem).params),
    "NumPy lstsq": numpy_lstsq,
    "scikit-learn": scikit_learn,
    "PyTorch lstsq": pytorch_lstsq,
}


def digits(solve: Callable[[ReferenceProblem], Answer], problem: ReferenceProblem) -> str:
    """The coefficients' correct digits, or a dash."""
    try:
        return f"{correct_digits(solve(problem), problem.coefficients):.1f}"
    except ImportError:
        return "-"


def statistics(problem: ReferenceProblem) -> list[str]:
    """The correct digits of our standard errors, residual standard deviation and R²."""
    answer = in_two_floats(problem)
    pairs = [
        (intercept_first(answer.standard_errors), problem.standard_errors),
        ([answer.residual_standard_deviation], [problem.residual_standard_deviation]),
        ([answer.r_squared], [problem.r_squared]),
    ]
    return [f"{correct_digits(*pair):.1f}" for pair in pairs]


def main() -> None:
    """Print the table."""
    names = [*SOLVERS, "our std. errors", "our deviation", "our R²"]
    print(f"{'coefficients':<14}" + "".join(f"{name:>16}" for name in names))
    for name in NIST_PROBLEMS:
        problem = load_nist(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.RankWarning)
            cells = [digits(solve, problem) for solve in SOLVERS.values()] + statistics(problem)
        print(f"{name:<14}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
    print(
        "20 is every digit there is to compare, such as an answer in whole numbers found exactly."
    )


if __name__ == "__main__":
    main()
