"""A stream refuses wrong files, and says the place where they are wrong."""

import os

import numpy as np
import pytest

from funcgrad.datasets import DataError, Stream, parts

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def read_all(path, target="y", **options):
    return list(Stream(path, target, **options))


# One row for each table that cannot be used: the file's name, what it holds, and what is said of it.
CSV = {
    "empty": ("", "table.csv: the file is empty"),
    "no rows": ("a,y\n", "column names, but no rows"),
    "no names": ("1,2\n3,4\n", "first line should name the columns"),
    "nameless column": ("a,\n1,2\n", "no column 'y'; the columns are: a"),
    "two of a name": ("a,y,a\n1,2,3\n", "same name: 'a'"),
    "text": ("a,y\n1,2\nred,4\n", "data row 2, column 'a': 'red' is not a number"),
    "two decimal signs": ("a;y\n1;2,5\n1;2.5\n", "column 'y': '2.5' is not a number; are decimals"),
    "missing": ("a,y\n1,2\n3,4\n,6\n", "data row 3, column 'a': the value is missing"),
    "infinite": ("a,y\n1,2\n3,-inf\n", "data row 2, column 'y': the value is infinite"),
    "too large": ("a,y\n1,2\n1e400,1\n", "data row 2, column 'a': the value is infinite"),
    "short row": ("a,y\n1,2\n3\n", r"data row 2 has 1 values, but there are 2 columns \(a, y\)"),
    "long row": ("a,y\n1,2,3\n", "data row 1 has 3 values"),
    "quote left open": ('a,y\n1,2\n1,"2\n', "data row 2"),
    "only the target": ("y\n1\n", "only column"),
    "no target": ("a,b\n1,2\n", "no column 'y'; the columns are: a, b"),
}


@pytest.mark.parametrize("case", CSV)
def test_csv_that_is_no_table_is_refused_with_the_place(tmp_path, case):
    text, message = CSV[case]
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as refused:
        read_all(path)
    assert str(path) in str(refused.value)


def test_a_column_that_changes_type_far_into_a_file_is_refused_at_its_row(tmp_path):
    path = tmp_path / "table.csv"
    rows = ["1,2"] * 300_000
    rows[250_000] = "n.v.,2"
    path.write_text("\n".join(["a,y", *rows]))
    with pytest.raises(DataError, match=r"data row 250001, column 'a': 'n\.v\.' is not a number"):
        read_all(path, memory=1 << 20)


def test_blank_lines_are_no_rows_and_do_not_shift_the_count(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\n\na,y\n\n1,2\n\n\n3,x\n")
    with pytest.raises(DataError, match="data row 2, column 'y': 'x'"):
        read_all(path)


def test_text_in_a_column_that_is_not_used_is_no_matter(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("name,a,y\nada,1,2\n")
    ((x, y),) = read_all(path, features=["a"])
    assert (x.tolist(), y.tolist()) == ([[1.0]], [2.0])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": ["red"], "y": [1.0]}, "column 'a' holds string, not numbers"),
        ({"a": [None, 1.0], "y": [1.0, 2.0]}, "data row 1, column 'a': the value is missing"),
        ({"a": [1.0, float("inf")], "y": [1.0, 2.0]}, "data row 2, column 'a'.*infinite"),
        ({"a": [[1.0]], "y": [1.0]}, "column 'a' holds list"),
        ({"a": pa.array([], pa.float64()), "y": pa.array([], pa.float64())}, "no rows"),
    ],
)
def test_parquet_that_is_no_table_of_numbers_is_refused(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        read_all(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "save", "message"),
    [
        ("t.npy", lambda path: np.save(path, np.ones(3)), r"should have shape \(rows, columns\)"),
        ("t.npy", lambda path: np.save(path, np.array([["a", "b"]])), "'x' holds <U1"),
        ("t.npy", lambda path: np.save(path, np.ones((0, 2))), "no rows"),
        ("t.npy", lambda path: path.write_bytes(b"noise"), "not an array that NumPy saved"),
        ("t.npz", lambda path: path.write_bytes(b"noise"), "not an array that NumPy saved"),
        ("t.npz", lambda path: np.savez(path), "no arrays"),
        ("t.npz", lambda path: np.savez(path, x=np.ones((3, 2)), y=np.ones(4)), r"y \(4,\)"),
        ("t.parquet", lambda path: path.write_bytes(b"noise"), "not a Parquet file"),
        ("t.doc", lambda path: path.write_bytes(b"noise"), "which kind of file"),
    ],
)
def test_what_is_no_table_at_all_is_refused(tmp_path, name, save, message):
    save(tmp_path / name)
    with pytest.raises(DataError, match=message) as refused:
        read_all(tmp_path / name)
    assert name in str(refused.value)


def test_missing_file_and_empty_folder(tmp_path):
    with pytest.raises(DataError, match="there is no file or folder"):
        read_all(tmp_path / "t.csv")
    with pytest.raises(DataError, match="holds no files"):
        read_all(tmp_path)


FOLDERS = {
    "a column less": (
        {"a": [1.0], "b": [1.0]},
        {"a": [1.0]},
        "2.* has no column 'b', which 1.* has",
    ),
    "a column more": (
        {"a": [1.0]},
        {"a": [1.0], "b": [1.0]},
        "2.* has columns that 1.* lacks: 'b'",
    ),
    "another type": ({"a": [1.0]}, {"a": ["one"]}, "2.*column 'a'"),
}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("case", FOLDERS)
def test_files_of_a_folder_that_do_not_fit_are_named(tmp_path, case, kind):
    *tables, message = FOLDERS[case]
    for name, columns in zip("12", tables, strict=True):
        table = {**columns, "y": [1.0]}
        path = tmp_path / f"{name}.{kind}"
        if kind == "csv":
            cells = ",".join(str(values[0]) for values in table.values())
            path.write_text(",".join(table) + "\n" + cells + "\n")
        else:
            pq.write_table(pa.table(table), path)
    with pytest.raises(DataError, match=message):
        read_all(tmp_path)


def test_columns_in_another_order_in_another_file_are_no_matter(tmp_path):
    (tmp_path / "1.csv").write_text("a,y\n1,2\n")
    (tmp_path / "2.csv").write_text("y,a\n4,3\n")
    ((x, y),) = read_all(tmp_path)
    assert (x.tolist(), y.tolist()) == ([[1.0], [3.0]], [2.0, 4.0])


def test_folders_of_several_kinds_and_partitions_that_are_no_numbers_are_refused(tmp_path):
    (tmp_path / "city=Rome").mkdir()
    (tmp_path / "city=Rome" / "1.csv").write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match="partition city=Rome is not a number"):
        read_all(tmp_path)
    np.save(tmp_path / "2.npy", np.ones((2, 2)))
    with pytest.raises(DataError, match=r"several kinds: \.csv, \.npy"):
        read_all(tmp_path)


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "parquet"])
@pytest.mark.parametrize("change", ["shrank", "was removed"])
def test_a_file_that_shrinks_while_it_is_read_is_an_error_and_no_crash(tmp_path, kind, change):
    path = tmp_path / f"table.{kind}"
    table = np.random.default_rng(0).normal(size=(100_000, 3))
    if kind == "npy":
        np.save(path, table)
    elif kind == "npz":
        np.savez(path, x=table[:, :2], y=table[:, 2])
    elif kind == "csv":
        rows = [",".join(map(str, row)) for row in table.tolist()]
        path.write_text("\n".join(["x0,x1,x2", *rows]))
    else:
        columns = {f"x{j}": table[:, j] for j in range(3)}
        pq.write_table(pa.table(columns), path, row_group_size=1000)
    stream = Stream(path, "y" if kind == "npz" else "x2", memory=1 << 18)
    batches = iter(stream)
    next(batches)
    if change == "shrank":
        os.truncate(path, path.stat().st_size // 3)
    else:
        path.unlink()
    with pytest.raises(DataError, match=f"{change} while it was read"):
        list(batches)


def append(path):
    with path.open("ab") as file:
        file.write(b"1,2\n" * 100)


def write_over(path):
    with path.open("r+b") as file:
        file.write(b"a,y\n9,9\n")


def replace(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes() + b"9,9\n")
    other.replace(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [(write_over, "was changed while"), (replace, "was replaced while"), (append, None)],
)
def test_a_file_that_becomes_another_while_it_is_read_is_refused(tmp_path, change, message):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "1,2\n" * 50_000)
    os.utime(path, ns=(0, 0))
    batches = iter(Stream(path, "y", memory=1 << 16))
    first, _ = next(batches)
    change(path)
    if message is None:
        assert len(first) + sum(len(x) for x, _ in batches) == 50_000
    else:
        with pytest.raises(DataError, match=f"t.csv {message}"):
            list(batches)


def test_a_file_that_grows_at_this_moment_has_its_new_time_before_its_new_size(
    tmp_path, monkeypatch
):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1,2\n3,4\n")
    os.utime(path, ns=(0, 0))
    stream = Stream(path, "y")
    path.write_text("a,y\n1,2\n3,4\n")
    size = path.stat().st_size
    monkeypatch.setattr(
        parts.time, "sleep", lambda _: path.write_bytes(path.read_bytes() + b"5,6\n")
    )
    ((x, _),) = stream
    assert x.tolist() == [[1], [3]]
    assert path.stat().st_size > size


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"features": ["a", "y"]}, DataError, "the target 'y' is also among the features"),
        ({"features": ["a", "a"]}, DataError, "named twice: a, a"),
        ({"features": ["b"]}, DataError, "no column 'b'; the columns are: a, y"),
        ({"dtype": "float16"}, ValueError, "float32 or float64, got float16"),
        ({"missing": "guess"}, ValueError, "'refuse' or 'drop', got 'guess'"),
        ({"batch_rows": 0}, ValueError, "batch_rows must be from 1"),
        ({"batch_rows": 10**9}, ValueError, "bytes of memory allow, got 1000000000"),
        ({"share": (2, 2)}, ValueError, "share must be"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, options, error, message):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1,2\n")
    with pytest.raises(error, match=message):
        read_all(path, **options)


def test_without_pyarrow_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("a,y\n1,2\n")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'funcgrad\[files\]'"):
        Stream(tmp_path / "t.csv", "y")
