"""The diabetes study of Efron, Hastie, Johnstone and Tibshirani (2004)."""

from importlib import resources

from funcgrad.datasets.files import read_csv
from funcgrad.datasets.table import Dataset, split_target


def load_diabetes(target: str = "progression") -> Dataset:
    """Ten measurements of 442 patients, and how far their diabetes had progressed a year later.

    The features are the age in years, the sex (coded 1 and 2), the body-mass index, the mean blood
    pressure and six blood-serum values `s1` to `s6`; the target is a measure of the disease's
    progression one year after. All values are as measured, none is scaled.

    Args:
        target: the column to regress on the others.

    Raises:
        DataError: there is no such column.

    Source: B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression", Annals of
    Statistics 32 (2004), 407-499.

    >>> from funcgrad.datasets import load_diabetes
    >>> data = load_diabetes()
    >>> data.x.shape, data.y.shape, data.target_name
    ((442, 10), (442,), 'progression')
    >>> data.feature_names
    ('age', 'sex', 'bmi', 'bp', 's1', 's2', 's3', 's4', 's5', 's6')
    """
    file = resources.files("funcgrad.datasets") / "diabetes.csv"
    return split_target(*read_csv(file.read_text(encoding="utf-8").splitlines()), target)
