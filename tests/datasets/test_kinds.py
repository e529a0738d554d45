"""`load_file` and `Stream` read the same numbers from every kind of file, and refuse the same columns."""

import datetime
import decimal

import numpy as np
import pytest

from funcgrad.datasets import DataError, Stream, load_file

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

X = np.array([[1.0, 0.25], [2.0, -4.0], [1.0, 8.5]])
Y = np.array([3.0, 5.0, 7.0])
TABLE = np.column_stack([X, Y])


def parquet(path, first, second=X[:, 1], **options):
    pq.write_table(pa.table({"x0": first, "x1": second, "y": Y}), path, **options)


def folder(path, empty, content):
    path.mkdir()
    parquet(path / "a.parquet", X[:, 0])
    (path / f"b{empty}").write_bytes(content)


def no_rows():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: pa.array([], pa.float64()) for name in ("x0", "x1", "y")}), sink)
    return sink.getvalue().to_pybytes()


KINDS = {
    "compressed.npz": lambda path: np.savez_compressed(path, x=X, y=Y),
    "compressed columns.npz": lambda path: np.savez_compressed(path, x=np.asfortranarray(X), y=Y),
    "compressed vectors.npz": lambda path: np.savez_compressed(path, x0=X[:, 0], x1=X[:, 1], y=Y),
    "big-endian.npz": lambda path: np.savez(path, x=X.astype(">f8"), y=Y.astype(">i2")),
    "columns.npy": lambda path: np.save(path, np.asfortranarray(TABLE)),
    "big-endian.npy": lambda path: np.save(path, TABLE.astype(">f4")),
    "dictionary.parquet": lambda path: parquet(path, pa.array([1, 2, 1]).dictionary_encode()),
    "decimal.parquet": lambda path: parquet(
        path, [1, 2, 1], [decimal.Decimal(text) for text in ("0.25", "-4.00", "8.50")]
    ),
    "floats.parquet": lambda path: parquet(path, pa.array([1, 2, 1], pa.float32())),
    "with an empty part": lambda path: folder(path, ".parquet", b""),
    "with a part without rows": lambda path: folder(path, ".parquet", no_rows()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_that_were_written(tmp_path, kind):
    path = tmp_path / kind
    KINDS[kind](path)
    target = "x2" if kind.endswith(".npy") else "y"
    whole = load_file(path, target)
    np.testing.assert_array_equal(whole.x, X)
    np.testing.assert_array_equal(whole.y, Y)
    for seed in (None, 0):
        parts = list(Stream(path, target, batch_rows=2, seed=seed))
        rows = np.concatenate([np.column_stack(part) for part in parts])
        if seed is not None:
            rows = rows[np.argsort(rows[:, -1])]
        np.testing.assert_array_equal(rows, TABLE)


HUGE = 2**53 + 1
REFUSED = {
    "time.parquet": (
        lambda path: parquet(path, [datetime.datetime(2024, 1, day) for day in (1, 2, 3)]),
        r"'x0' holds timestamp\[us\], not numbers; save a number instead",
    ),
    "nested.parquet": (
        lambda path: parquet(path, [[1, 2], [3], []]),
        "'x0' holds list<element: int64>, not numbers; save a column of its own for each number",
    ),
    "text.parquet": (lambda path: parquet(path, ["a", "b", "a"]), "'x0' holds string, not numbers"),
    "categories.parquet": (
        lambda path: parquet(path, pa.array(["a", "b", "a"]).dictionary_encode()),
        "'x0' holds string, not numbers",
    ),
    "huge.parquet": (lambda path: parquet(path, [1, 2, HUGE]), f"'x0': the integer {HUGE}"),
    "huge.npy": (
        lambda path: np.save(path, np.array([[1, 2, 3], [-HUGE, 2, 3]])),
        f"'x0': the integer -{HUGE} is beyond",
    ),
    "huge.npz": (
        lambda path: np.savez(path, x0=np.array([1, 2**64 - 1], np.uint64), x2=Y[:2]),
        f"'x0': the integer {2**64 - 1} is beyond",
    ),
    "all empty": (
        lambda path: [path.mkdir(), (path / "a.csv").touch()],
        "a.csv: the file is empty",
    ),
}


@pytest.mark.parametrize("read", [load_file, lambda *args: list(Stream(*args))])
@pytest.mark.parametrize("kind", REFUSED)
def test_columns_that_are_no_numbers_are_refused_with_a_word(tmp_path, kind, read):
    write, message = REFUSED[kind]
    write(tmp_path / kind)
    with pytest.raises(DataError, match=message):
        read(tmp_path / kind, "y" if kind.endswith(".parquet") else "x2")


def test_a_damaged_member_that_is_compressed_is_told_before_a_row(tmp_path):
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, x=np.arange(4000.0).reshape(-1, 2), y=np.arange(2000.0))
    content = bytearray(path.read_bytes())
    content[300] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.npz"):
        next(iter(Stream(path, "y")))


def test_a_column_of_weights_comes_with_the_targets(tmp_path):
    np.save(tmp_path / "t.npy", TABLE)
    stream = Stream(tmp_path / "t.npy", "x2", weights="x0", batch_rows=2)
    assert stream.feature_names == ("x1",)
    (x, (y, weights)), _ = stream
    np.testing.assert_array_equal(np.column_stack([weights, x, y]), TABLE[:2])
    with pytest.raises(DataError, match="'x1': weights must be 0 or more, and one is -4"):
        list(Stream(tmp_path / "t.npy", "x2", weights="x1"))
    with pytest.raises(DataError, match="weights 'x1' are also among the features"):
        Stream(tmp_path / "t.npy", "x2", weights="x1", features=["x1"])
