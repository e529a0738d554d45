"""The data that ships is the published study."""

import numpy as np
import pytest

from funcgrad.datasets import DataError, load_diabetes


def test_holds_the_patients_and_measurements_of_the_study():
    data = load_diabetes()
    assert data.x.shape == (442, 10)
    assert data.y.shape == (442,)
    assert data.feature_names == ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
    assert data.target_name == "progression"
    assert data.x.dtype == data.y.dtype == np.float64


def test_has_the_figures_that_are_known_of_the_study():
    data = load_diabetes()
    # The mean and the variance explained by all ten measurements, as scikit-learn's copy
    # of the study gives them too (compared once, every value equal).
    assert data.y.mean() == pytest.approx(152.13348416289594, rel=1e-15)
    design = np.column_stack([data.x, np.ones(len(data.y))])
    residual = data.y - design @ np.linalg.lstsq(design, data.y)[0]
    assert 1 - residual.var() / data.y.var() == pytest.approx(0.51774842222035, abs=1e-13)


def test_any_measurement_can_be_the_target():
    data = load_diabetes(target="bmi")
    assert data.target_name == "bmi"
    assert "bmi" not in data.feature_names
    assert "progression" in data.feature_names


def test_unknown_measurement_is_refused_with_the_ones_there_are():
    with pytest.raises(DataError, match=r"'weight'.*age, sex, bmi, bp"):
        load_diabetes(target="weight")
