"""Data frames are taken by the names of their columns, at the fit and at the prediction."""

import datetime

import numpy as np
import pytest

import funcgrad
from funcgrad import regression
from funcgrad.datasets import DataError, load_frame
from funcgrad.models import model_of

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

COLUMNS = {
    "area": [30.0, 40.0, 50.0, 60.0, 75.0],
    "city": ["Lyon", "Nice", "Lyon", "Paris", "Nice"],
    "floor": [1, 4, 2, 2, 0],
}
BEYOND = {"Lyon": 0.0, "Nice": 100.0, "Paris": 450.0}
COLUMNS["rent"] = [
    10 + 8 * area + BEYOND[city] - 2 * floor
    for area, city, floor in zip(*COLUMNS.values(), strict=True)
]


class Column:
    """Polars' columns as far as they are used: neither an index nor pandas' ways."""

    def __init__(self, values):
        self._values = values

    def to_numpy(self):
        return np.array(self._values, object if isinstance(self._values[0], str) else None)


class Frame:
    def __init__(self, columns):
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return Column(self._columns[name])


FRAMES = {
    "pandas": pd.DataFrame,
    "pandas, types of its own": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas, categories": lambda columns: pd.DataFrame(columns).astype({"city": "category"}),
    "pyarrow": pa.table,
    "like Polars": Frame,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_columns_are_taken_by_their_names(tmp_path, kind):
    data = load_frame(FRAMES[kind](COLUMNS), "rent", categorical=["city"])
    assert data.feature_names == ("area", "city=Nice", "city=Paris", "floor")
    answer = regression.glm(data.x, data.y, intercept=True)
    np.testing.assert_allclose(answer.params.weights, [8, 100, 450, -2], rtol=1e-9)
    funcgrad.save_model(tmp_path / "model", answer, data=data)

    model = funcgrad.load_model(tmp_path / "model")
    turned = {name: COLUMNS[name][::-1] for name in ("floor", "city", "area")}
    found = model.predict(FRAMES[kind](turned))
    np.testing.assert_allclose(found, COLUMNS["rent"][::-1], rtol=1e-9)
    with pytest.raises(DataError, match="'Brest' is none of the levels that are known"):
        model.predict(FRAMES[kind](turned | {"city": ["Brest"] * 5}))
    with pytest.raises(DataError, match="no column 'floor'; the columns are: area, city"):
        model.predict(FRAMES[kind]({name: COLUMNS[name] for name in ("city", "area")}))


def test_predictions_for_pandas_keep_its_index():
    data = load_frame(pd.DataFrame(COLUMNS), "rent", features=["area"])
    model = model_of(regression.least_squares(data.x, data.y), data)
    frame = pd.DataFrame(COLUMNS, index=list("abcde"))
    found = model.predict(frame)
    assert isinstance(found, pd.Series)
    assert (found.name, list(found.index)) == ("rent", list("abcde"))
    assert list(frame.columns) == list(COLUMNS)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (["x", "y", "x", "y", "x"], "'area' holds .*, not numbers; to make a category of it"),
        ([1, None, 3, 4, None], "'area': the value of row 2 is missing; so are 1 more"),
        ([1.0, np.inf, 3, 4, 5], "'area': the value of row 2 is infinite"),
        ([2**53 + 1, 2, 3, 4, 5], "'area': the integer 9007199254740993 is beyond"),
        ([datetime.datetime(2024, 1, day) for day in range(1, 6)], "seconds since a moment"),
    ],
)
@pytest.mark.parametrize("own_types", [False, True])
def test_a_column_that_cannot_be_used_is_refused(column, said, own_types):
    frame = pd.DataFrame(COLUMNS | {"area": column})
    frame = frame.convert_dtypes() if own_types else frame
    with pytest.raises(DataError, match=said):
        load_frame(frame, "rent", features=["area"])
