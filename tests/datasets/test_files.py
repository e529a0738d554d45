"""A table is read as it was written, and a file that is not one is refused with the place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from funcgrad.datasets import DataError, load_file
from funcgrad.datasets.files import read_csv

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TABLES = arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 4)), elements=FINITE)


@given(TABLES, st.sampled_from(",;\t"))
def test_csv_gives_back_every_number_exactly(table, delimiter):
    names = [f"column {j}" for j in range(table.shape[1])]
    lines = [delimiter.join(names), *(delimiter.join(map(repr, row)) for row in table.tolist())]
    read_names, read = read_csv(lines)
    assert read_names == names
    np.testing.assert_array_equal(read, table)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n",
        "\ufeffa,b\r\n1,2\r\n3,4\r\n",
        "\n a , b \n\n1, 2\n\n 3,4",
        '"a","b"\n"1","2"\n"3","4"\n',
        "a;b\n1;2\n3;4\n",
    ],
    ids=["plain", "from a spreadsheet", "blank lines and spaces", "quoted", "semicolons"],
)
def test_csv_in_its_usual_spellings(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode())
    data = load_file(path, target="b")
    np.testing.assert_array_equal(data.x, [[1.0], [3.0]])
    np.testing.assert_array_equal(data.y, [2.0, 4.0])
    assert (data.feature_names, data.target_name) == (("a",), "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3,oops\n", "data row 2, column 'b': 'oops' is not a number"),
        ("a;b\n1;2,5\n1;2.5\n", "data row 2, column 'b': '2.5'.*are decimals after '.'"),
        ("a,b\n1,2\n,4\n", "data row 2, column 'a': the value is missing"),
        ("a,b\n1,NA\n", "data row 1, column 'b': the value is missing"),
        ("a,b\n1,2\n3,nan\n", "data row 2, column 'b' is NaN"),
        ("a,b\n-inf,2\n3,inf\n", "data row 1, column 'a' is infinite; so are 1 more"),
        ("a,b\n1,1e999\n", "data row 1, column 'b' is infinite"),
        ("a,b\n1,2\n3\n", r"data row 2 has 1 values, but there are 2 columns \(a, b\)"),
        ("a,b\n1,2,3\n", "data row 1 has 3 values"),
        ("1,2\n3,4\n", "first line should name the columns"),
        (",\n1,2\n", "no column has a name"),
        ("a,b,a\n1,2,3\n", "same name: 'a'"),
        ('a,b\n1,"2\n', "data row 1 is not CSV"),
        ("a,c\n1,2\n", "no column 'b'; the columns are: a, c"),
        ("b\n1\n", "only column"),
    ],
)
def test_csv_that_is_no_table_is_refused_with_the_place(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as refused:
        load_file(path, target="b")
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_what_is_no_readable_file_is_refused(tmp_path, suffix):
    missing = tmp_path / f"missing{suffix}"
    with pytest.raises(DataError, match="there is no file"):
        load_file(missing, target="b")
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    with pytest.raises(DataError, match="holds no files"):
        load_file(folder, target="b")
    noise = tmp_path / f"noise{suffix}"
    noise.write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match=r"not text in UTF-8|not an array that NumPy saved"):
        load_file(noise, target="b")


def test_asking_for_no_target_lists_the_columns(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"which column is the target\? Name one of: a, b"):
        load_file(path)


def test_npz_with_x_and_y_needs_no_target(tmp_path):
    path = tmp_path / "xy.npz"
    x, y = np.arange(6).reshape(3, 2), np.array([1, 2, 4])
    np.savez(path, x=x, y=y)
    data = load_file(path)
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)
    assert (data.feature_names, data.target_name) == (("x0", "x1"), "y")


def test_npz_with_named_columns(tmp_path):
    path = tmp_path / "columns.npz"
    np.savez_compressed(path, a=[1.0, 2.0], b=[3.0, 4.0], c=[5.0, 6.0])
    data = load_file(path, target="b")
    np.testing.assert_array_equal(data.x, [[1.0, 5.0], [2.0, 6.0]])
    assert data.feature_names == ("a", "c")


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({}, "no arrays"),
        ({"x": np.ones((3, 2)), "y": np.ones(4)}, r"here they are: x \(3, 2\), y \(4,\)"),
        ({"x": np.ones((2, 2, 2)), "y": np.ones(2)}, r"here they are: x \(2, 2, 2\), y \(2,\)"),
        ({"a": np.ones(3), "y": np.ones(4)}, r"a \(3,\), y \(4,\)"),
        ({"a": np.array(["one"]), "y": np.ones(1)}, "'a' holds <U3"),
        ({"a": np.array([object()]), "y": np.ones(1)}, "not an array that NumPy saved"),
        ({"a": np.ones(1) * 1j, "y": np.ones(1)}, "'a' holds complex128"),
        ({"x": np.ones((0, 2)), "y": np.ones(0)}, "no rows"),
        ({"x": np.array([[1.0], [np.nan]]), "y": np.ones(2)}, "data row 2, column 'x0' is NaN"),
        ({"a": np.ones(3), "b": np.ones(3)}, "no column 'y'; the columns are: a, b"),
    ],
)
def test_npz_that_is_no_table_is_refused(tmp_path, stored, message):
    path = tmp_path / "arrays.npz"
    np.savez(path, **stored)
    with pytest.raises(DataError, match=message):
        load_file(path, target="y")


def test_empty_npz_is_refused(tmp_path):
    path = tmp_path / "empty.npz"
    path.touch()
    with pytest.raises(DataError, match="empty"):
        load_file(path)


FRENCH = "ville;surface;prix\nLyon;30,5;1 200,5\nNice;45;1 900\nLyon;60,2;2 350,7\n"
PRICES = [1200.5, 1900, 2350.7]


@pytest.mark.parametrize(
    ("options", "names", "x"),
    [
        ({"features": ["surface"]}, ("surface",), [[30.5], [45], [60.2]]),
        ({"categorical": ["ville"]}, ("ville=Nice", "surface"), [[0, 30.5], [1, 45], [0, 60.2]]),
        (
            {"categorical": {"ville": ("Nice", "Lyon")}, "features": ["surface", "ville"]},
            ("surface", "ville=Lyon"),
            [[30.5, 1], [45, 0], [60.2, 1]],
        ),
    ],
)
def test_columns_are_chosen_and_categories_made_as_in_a_stream(tmp_path, options, names, x):
    path = tmp_path / "prix.csv"
    path.write_text(FRENCH, encoding="utf-8")
    data = load_file(path, "prix", **options)
    assert data.feature_names == names
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, PRICES)


def test_a_column_of_text_says_how_to_leave_it_out(tmp_path):
    path = tmp_path / "prix.csv"
    path.write_text(FRENCH, encoding="utf-8")
    with pytest.raises(DataError, match=r"'Lyon' is not a number; .*categorical=.*features="):
        load_file(path, "prix")
    with pytest.raises(DataError, match="there is no column 'rue'"):
        load_file(path, "prix", features=["rue"])
    with pytest.raises(DataError, match="name the target"):
        load_file(path, features=["surface"])
