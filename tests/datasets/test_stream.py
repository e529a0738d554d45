"""Rows come out of files of every kind as they were written, in the order the seed decides, once each."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from funcgrad.datasets import DataError, Stream
from funcgrad.datasets.prefetch import Prefetched
from tests.processes import output_of

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS, COLUMNS = 3001, 4
TABLE = np.random.default_rng(0).normal(size=(ROWS, COLUMNS))
NAMES = [f"x{j}" for j in range(COLUMNS)]
MEMORY = 1 << 17  # windows of 1024 rows in float64, so that there are several


def write_csv(path, table, names=NAMES, delimiter=",", end="\n"):
    lines = [delimiter.join(names), *(delimiter.join(map(repr, row)) for row in table.tolist())]
    path.write_bytes((end.join(lines) + end).encode())


def write_folder(path):
    for year in range(3):
        part = path / f"x3={year}"
        part.mkdir(parents=True)
        third = TABLE[year * 1000 : year * 1000 + 1000 + (year == 2)]
        pq.write_table(pa.table(dict(zip(NAMES[:3], third.T[:3], strict=True))), part / "a.parquet")


WRITERS = {
    "rows.npy": lambda path: np.save(path, TABLE),
    "columns.npy": lambda path: np.save(path, np.asfortranarray(TABLE)),
    "bigendian.npy": lambda path: np.save(path, TABLE.astype(">f8")),
    "xy.npz": lambda path: np.savez(path, x=TABLE[:, :3], y=TABLE[:, 3]),
    "vectors.npz": lambda path: np.savez(path, **dict(zip(NAMES, TABLE.T, strict=True))),
    "table.csv": lambda path: write_csv(path, TABLE),
    "excel.csv": lambda path: write_csv(path, TABLE, delimiter=";", end="\r\n"),
    "table.parquet": lambda path: pq.write_table(
        pa.table(dict(zip(NAMES, TABLE.T, strict=True))), path, row_group_size=700
    ),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, write in WRITERS.items():
        write(folder / name)
    return folder


def open_stream(files, name, **options):
    target = "y" if name == "xy.npz" else "x3"
    options = {"dtype": "float64", "memory": MEMORY} | options
    return Stream(files / name, target, **options)


def gathered(batches):
    return np.concatenate([np.column_stack(batch) for batch in batches])


def sorted_rows(table):
    return table[np.lexsort(table.T)]


@pytest.mark.parametrize("batch_rows", [7, 100, None])
@pytest.mark.parametrize("name", WRITERS)
def test_rows_come_in_the_files_order_in_batches_of_the_size_asked(files, name, batch_rows):
    stream = open_stream(files, name, batch_rows=batch_rows)
    batches = list(stream)
    np.testing.assert_array_equal(gathered(batches), TABLE)
    assert {len(y) for _, y in batches[:-1]} <= {stream.batch_rows}
    assert 0 < len(batches[-1][1]) <= stream.batch_rows


@pytest.mark.parametrize("name", WRITERS)
def test_a_seed_shuffles_each_epoch_anew_and_uses_each_row_once(files, name):
    stream = open_stream(files, name, seed=5, batch_rows=64)
    first, again, second = (gathered(stream.epoch(number)) for number in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)
    for epoch in (first, second):
        np.testing.assert_array_equal(sorted_rows(epoch), sorted_rows(TABLE))
    other = gathered(open_stream(files, name, seed=6, batch_rows=64))
    assert not np.array_equal(first, other)


def test_rows_far_apart_meet_in_a_batch(files):
    """The mean position of a batch's rows in the file is near the middle of its window's blocks."""
    ranks = np.arange(10_000.0)
    path = files / "ranks.npy"
    np.save(path, np.column_stack([ranks, ranks]))
    stream = Stream(path, "x1", seed=0, batch_rows=100, memory=1 << 16)
    spread = [y.std() for _, y in stream]
    assert np.median(spread) > 0.7 * ranks.std()


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("name", ["rows.npy", "vectors.npz", "table.csv", "table.parquet"])
def test_an_epoch_goes_on_from_any_position(files, name, seed):
    stream = open_stream(files, name, seed=seed, batch_rows=97)
    whole = list(stream.epoch(1))
    for done in (0, 1, 5, 10, 11, len(whole) - 1, len(whole)):
        batches = stream.epoch(1)
        for _ in range(done):
            next(batches)
        batches.close()
        rest = list(stream.epoch(1, batches.position))
        assert len(rest) == len(whole) - done
        for (x, y), (wanted_x, wanted_y) in zip(rest, whole[done:], strict=True):
            np.testing.assert_array_equal(x, wanted_x)
            np.testing.assert_array_equal(y, wanted_y)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("name", WRITERS)
def test_shares_hold_each_row_once(files, name, count):
    shares = [gathered(open_stream(files, name, share=(k, count))) for k in range(count)]
    np.testing.assert_array_equal(np.concatenate(shares), TABLE)
    assert min(map(len, shares)) > 0


def test_columns_are_those_named_in_their_order(files):
    stream = open_stream(files, "table.parquet", features=["x2", "x0"])
    assert (stream.feature_names, stream.target_name) == (("x2", "x0"), "x3")
    np.testing.assert_array_equal(gathered(stream), TABLE[:, [2, 0, 3]])


def test_without_a_target_there_are_features_only(files):
    batches = list(Stream(files / "table.csv", None, features=["x1"], dtype="float64"))
    assert all(y is None for _, y in batches)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches])[:, 0], TABLE[:, 1])


def test_partitions_are_columns(tmp_path):
    write_folder(tmp_path)
    stream = Stream(tmp_path, "x0", dtype="float64")
    assert stream.feature_names == ("x1", "x2", "x3")
    table = gathered(stream)
    np.testing.assert_array_equal(table[:, [3, 0, 1]], TABLE[:, :3])
    np.testing.assert_array_equal(table[:, 2], np.minimum(np.arange(ROWS) // 1000, 2))
    only = Stream(tmp_path, "x3", features=["x1"], dtype="float64")
    np.testing.assert_array_equal(gathered(only)[:, 1], table[:, 2])


def test_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path):
    for j, name in enumerate("cab"):
        write_csv(tmp_path / f"{name}.csv", np.full((2, 2), float(j)), ["a", "b"])
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".hidden.csv").write_text("not a table")
    np.testing.assert_array_equal(next(iter(Stream(tmp_path, "b")))[1], [1, 1, 2, 2, 0, 0])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_with_missing_values_are_dropped_and_counted_where_asked(tmp_path, kind):
    column = [1.0, None, 3.0, 4.0, None]
    other = [1.0, 2.0, 3.0, None, None]
    path = tmp_path / f"table.{kind}"
    if kind == "csv":
        cells = [
            f"{'' if a is None else a},{'NA' if b is None else b}"
            for a, b in zip(column, other, strict=True)
        ]
        path.write_text("\n".join(["a,b", *cells]))
    else:
        pq.write_table(pa.table({"a": column, "b": other}), path)
    stream = Stream(path, "b", missing="drop", batch_rows=1)
    assert [y.tolist() for _, y in stream] == [[1.0], [3.0]]
    assert stream.dropped == 3
    with pytest.raises(DataError, match=r"data row 2, column 'a': the value is missing"):
        list(Stream(path, "b"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_integers_booleans_and_floats_become_the_dtype_asked(tmp_path, dtype):
    table = pa.table(
        {
            "a": pa.array([1, 2], pa.int8()),
            "b": [True, False],
            "c": pa.array([0.5, 1.5], pa.float16()),
            "d": pa.array([1, 2], pa.decimal128(5, 2)),
            "y": pa.array([1.0, 2.0], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    x, y = next(iter(Stream(tmp_path / "t.parquet", "y", dtype=dtype)))
    assert x.dtype == y.dtype == dtype
    np.testing.assert_array_equal(x, [[1, 1, 0.5, 1], [2, 0, 1.5, 2]])


def test_the_thread_ends_with_the_batches_and_when_they_are_left(files):
    stream = open_stream(files, "rows.npy", batch_rows=7)
    ended, left, forgotten = iter(stream), iter(stream), iter(stream)
    threads = [batches._items._thread for batches in (ended, left, forgotten)]
    next(left)
    next(forgotten)
    assert all(thread.is_alive() for thread in threads)
    list(ended)
    left.close()
    del forgotten
    for thread in threads:
        thread.join(timeout=300)  # a guard against waiting for ever
        assert not thread.is_alive()


def test_items_are_made_ahead_but_boundedly():
    made = []

    def items():
        for j in range(100):
            made.append(j)
            yield j

    ahead = Prefetched(items(), ahead=2)
    assert next(ahead) == 0
    deadline = threading.Event()
    while len(made) < 4 and not deadline.wait(0.01):
        pass
    deadline.wait(0.2)
    assert made == [0, 1, 2, 3]
    ahead.close()


@pytest.mark.slow
def test_a_program_may_end_in_the_middle_of_an_epoch(files):
    script = (
        "import sys; from funcgrad.datasets import Stream; "
        "batches = [iter(Stream(sys.argv[1], 'x3', memory=1 << 14)) for _ in range(24)]; "
        "print([len(next(each)[1]) for each in batches])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script, str(files / "table.csv")],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


READ_ALL = """
import resource, sys
from funcgrad.datasets import Stream

small, large, seed, memory = sys.argv[1], sys.argv[2], eval(sys.argv[3]), int(sys.argv[4])

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def read(path):
    peak, rows = 0, 0
    for x, y in Stream(path, "x0", seed=seed, memory=memory):
        peak, rows = max(peak, resident()), rows + len(y)
    return peak, rows

read(small)
before = resident()
peak, rows = read(large)
print(rows, peak - before)
"""


def write_large(path, rows):
    if path.suffix == ".csv":
        lines = [",".join(map(repr, row)) for row in TABLE.tolist()]
        block = "\n".join([*lines, ""]).encode()
        path.write_bytes(",".join(NAMES).encode() + b"\n" + block * (rows // ROWS))
    else:
        table = np.resize(TABLE, (rows // ROWS * ROWS, COLUMNS))
        if path.suffix == ".npy":
            np.save(path, table)
        else:
            columns = dict(zip(NAMES, table.T, strict=True))
            pq.write_table(pa.table(columns), path, use_dictionary=False, compression="none")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="measured through Linux's /proc")
@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("kind", ["npy", "csv", "parquet"])
def test_memory_stays_within_the_bound_whatever_the_size_of_the_file(tmp_path, kind, seed):
    """Beyond what reading a small file takes; for Parquet, also what its decoder holds per column."""
    memory = 32 << 20
    small, large = (tmp_path / f"{size}.{kind}" for size in ("small", "large"))
    write_large(small, 2 * ROWS)
    count = 2_250_000 if kind == "csv" else 4_500_000  # text takes more bytes
    write_large(large, count)
    assert large.stat().st_size > 4 * memory
    rows, growth = map(int, output_of("-c", READ_ALL, small, large, seed, memory).split())
    assert rows == count // ROWS * ROWS
    assert growth < memory + (kind == "parquet") * COLUMNS * (4 << 20)
