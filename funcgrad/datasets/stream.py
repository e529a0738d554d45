"""Batches of rows from files of any size, within a bound on memory.

A `Stream` reads ahead in a thread. It refuses a value that is not a number, and says where it is. It can begin again at any
batch it has given, in any epoch: the order of the rows follows from the seed and the epoch alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from funcgrad.datasets.dialect import CsvOptions
from funcgrad.datasets.folder import Block, Table
from funcgrad.datasets.levels import Levels, expanded, indicators
from funcgrad.datasets.prefetch import Prefetched
from funcgrad.datasets.table import DataError, listing

MEBIBYTE = 1 << 20
_AHEAD = 2
_CHUNK_BYTES = 4 * MEBIBYTE
_LARGEST_DEFAULT_BATCH = 1 << 16

# x, and y, None, or y with the rows' weights.
Batch = tuple[Float[np.ndarray, "rows features"], Any]


class Position(NamedTuple):
    """Where in an epoch the next batch begins, a pytree that can be saved.

    Rows are gathered in windows, each shuffled on its own. The position names the window, and counts its
    batches that are done.

    Attributes:
        window: how many windows came before.
        block, chunk: how many blocks were read whole before the window, and chunks of the next one.
        dropped: rows dropped before the window.
        batch: how many batches of the window are done.
        carry: rows read before the window that belong to it.
    """

    window: int
    block: int
    chunk: int
    dropped: int
    batch: int
    carry: Float[np.ndarray, "rows columns"]


class Stream:
    """The rows of a file or folder as batches (x, y) of NumPy arrays; each `iter` reads them anew.

    Files: `.npy` (a matrix, its columns named x0, x1, ...), `.npz` (`x` and `y`, or one
    vector a column), `.parquet`, text (`.csv`, `.tsv`, `.txt`, also as `.gz`, `.zst` or `.bz2`); or a folder of one
    of these kinds, partitions such as `year=2024/` included. Text and Parquet need pyarrow. The delimiter, decimal
    sign, thousands separator and encoding of text are detected (`detected` says them); columns without a name, such
    as an index, are left out.

    Attributes:
        feature_names: the columns of x.
        columns: the columns of the files that are features: `feature_names` but for categories.
        levels: of each category; the first is the one without a column of x.
        target_name: the column that is y, or None.
        classes: the levels of a target that is a category, which y numbers 0, 1, ...; none of another.
        weights_name: the column of the rows' weights, or None.
        rows: how many rows there are, None where files do not tell or rows may be dropped.
        batch_rows: rows in each batch but the last.
        dropped: rows left out for missing values, up to the last batch given.
    """

    feature_names: tuple[str, ...]
    columns: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    target_name: str | None
    classes: tuple[str, ...]
    weights_name: str | None
    batch_rows: int

    def __init__(
        self,
        path: str | Path,
        target: str | None,
        *,
        features: Sequence[str] | None = None,
        weights: str | None = None,
        categorical: Sequence[str] | Mapping[str, Sequence[str]] = (),
        dtype: Any = np.float64,
        batch_rows: int | None = None,
        seed: int | None = None,
        missing: Literal["refuse", "drop"] = "refuse",
        memory: int = 256 * MEBIBYTE,
        share: tuple[int, int] = (0, 1),
        csv: CsvOptions | None = None,
    ) -> None:
        """Open the files; no row is read yet.

        Args:
            path: a file or a folder.
            target: the column to regress on the others; None gives batches (x, None).
            features: the columns of x, in order; None for all but the target and the weights.
            weights: a column that tells how much each row counts: batches are (x, (y, weights)) then, by which `fit`
                and its sums weight the rows. It needs a target.
            categorical: features that are categories, text or numbers: a column of zeros and ones stands for each
                level but the first, such as "city=Paris". The target may be one too: y is the number of its level,
                in the order of `classes`. The levels are found by reading these columns once, and
                sorted; or they are given, as in `levels`, and others are refused.
            dtype: of the arrays, float32 or float64.
            batch_rows: rows in a batch; by default as many as the memory allows, at most 65536.
            seed: decides the order of the rows, drawn anew for each `epoch`: the blocks that the files
                are read in are shuffled, and so are the rows within windows of a quarter of the memory.
                Rows of different windows meet in no batch. None keeps the files' order.
            missing: "refuse" raises where a value is missing; "drop" leaves out such rows.
            memory: a bound, in bytes, on the rows held at any time, a training loop's rows included, and on
                the files' own descriptions: names of columns, a line, a list of arrays.
                Parquet's decoder holds about 4 MiB more for each column.
            csv: how text files are to be read, in place of what would be detected; see `CsvOptions`.
            share: (index, count): only the index-th of count parts of the rows, for several processes.

        Raises:
            DataError: the files cannot be read, are not one table, or lack a column.
            ImportError: pyarrow is needed and missing.
            ValueError: a number is out of range.

        >>> import tempfile
        >>> import numpy as np
        >>> from funcgrad.datasets import Stream
        >>> path = tempfile.mkdtemp() + "/table.npy"
        >>> np.save(path, np.arange(12.0).reshape(4, 3))
        >>> stream = Stream(path, target="x2", batch_rows=3)
        >>> [(x.shape, y.tolist()) for x, y in stream]
        [((3, 2), [2.0, 5.0, 8.0]), ((1, 2), [11.0])]
        """
        if csv is not None:
            csv.check()
        table = Table(path, memory, csv)
        if weights is not None and target is None:
            raise ValueError("weights are of rows that have a target")
        self.columns = _choose(table, target, features, weights)
        for name in categorical:
            if name not in (*self.columns, target):
                raise DataError(f"{table.path}: the category {name!r} is none of the features")
        if categorical and not isinstance(categorical, Mapping):
            categorical = table.learned(categorical)
        known = categorical if isinstance(categorical, Mapping) else {}
        self.levels = {name: tuple(levels) for name, levels in known.items()}
        table.code({name: Levels(name, levels) for name, levels in self.levels.items()})
        self.classes = self.levels.pop(target, ()) if target is not None else ()
        self.feature_names = tuple(
            each
            for name in self.columns
            for each in (indicators(name, self.levels[name]) if name in self.levels else [name])
        )
        self.target_name = target
        self.weights_name = weights
        self.dropped = 0
        self.seed = seed
        self.missing = missing
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, got {self.dtype}")
        if missing not in ("refuse", "drop"):
            raise ValueError(f"missing must be 'refuse' or 'drop', got {missing!r}")
        self._table = table
        self._columns = [
            *self.columns,
            *(name for name in (target, weights) if name is not None),
        ]
        table.check_columns(self._columns if features is not None else None)

        row = max(len(self._columns), len(self.feature_names)) * self.dtype.itemsize
        most = memory // 24 // row
        if batch_rows is None:
            batch_rows = min(most, _LARGEST_DEFAULT_BATCH)
        if not 1 <= batch_rows <= most:
            raise ValueError(
                f"batch_rows must be from 1 to the {most} that {memory} bytes of memory allow, "
                f"got {batch_rows}"
            )
        self.batch_rows = batch_rows
        self._chunk_rows = max(1, min(most, _CHUNK_BYTES // row))
        self._window_rows = batch_rows
        if seed is not None:
            self._window_rows *= max(1, memory // 4 // row // batch_rows)
            self._chunk_rows = max(1, min(self._chunk_rows, self._window_rows // 16))
        index, count = share
        if not 0 <= index < count:
            raise ValueError(f"share must be (index, count) with 0 <= index < count, got {share}")
        # Small enough that a window mixes many, and that there is one at least for each share.
        size = max(1, min(memory // 64, table.size // (4 * count)))
        rows = self._chunk_rows if table.rows is None else -(-table.rows // count)
        blocks = table.blocks(min(self._chunk_rows, rows), size)
        if len(blocks) < count:
            raise DataError(
                f"{path} can be read in {len(blocks)} parts (row groups), which {count} processes "
                "cannot share"
            )
        first, last = (len(blocks) * k // count for k in (index, index + 1))
        self._blocks, self._all_blocks = blocks[first:last], len(blocks)

    @property
    def rows(self) -> int | None:
        """How many rows all shares have; None where the files do not tell, or rows may be dropped."""
        return None if self.missing == "drop" else self._table.rows

    @property
    def detected(self) -> str | None:
        """How text files are read, in words, such as "delimiter ;, decimal ,"; None for plain CSV."""
        return self._table.detected

    @property
    def files(self) -> list[Path]:
        """The files that are read."""
        return [part.path for part in self._table.parts]

    @property
    def expected_rows(self) -> int:
        """About how many rows this share has; exact for one share, where the files tell."""
        return round(self._table.expected_rows * len(self._blocks) / self._all_blocks)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Tells this stream from another: files, columns, and the parameters of the order.

        Files are told apart by their content up to 64 MiB, all together; larger ones by size, time and
        inode.
        """
        weighted = {} if self.weights_name is None else {"weights": self.weights_name}
        coded: dict[str, Any] = {}
        if self.levels:
            coded["levels"] = {name: list(levels) for name, levels in self.levels.items()}
        if self.classes:
            coded["classes"] = list(self.classes)
        return (
            weighted
            | coded
            | {
                "files": self._table.identity,
                "columns": self._columns,
                "dtype": self.dtype.name,
                "batch_rows": self.batch_rows,
                "window_rows": self._window_rows,
                "blocks": [len(self._blocks), *self._blocks[0].span],
                "seed": self.seed,
                "missing": self.missing,
            }
        )

    def __iter__(self) -> Batches:
        return self.epoch(0)

    def epoch(self, number: int, position: Position | None = None) -> Batches:
        """Return the batches of an epoch, from its beginning or from a position saved in it.

        Raises:
            DataError: the position is not one of this stream.
        """
        if position is not None and position.block > len(self._blocks):
            raise DataError(f"{self._table.path} has no rows at the position to go on from")
        return Batches(self, number, position)

    def start(self) -> Position:
        """Return the position at which every epoch begins."""
        return Position(0, 0, 0, 0, 0, np.empty((0, len(self._columns)), self.dtype))

    def _batches(self, epoch: int, start: Position) -> Iterator[tuple[Batch | None, Position]]:
        """Yield each batch with the position after it, and at the end no batch, with the last one."""
        blocks = self._blocks
        if self.seed is not None:
            shuffled = np.random.default_rng([self.seed, epoch]).permutation(len(blocks))
            blocks = [blocks[j] for j in shuffled]
        chunks = self._chunks(blocks, start)
        at = start._replace(batch=0)
        skip = start.batch
        while True:
            window, after = self._window(chunks, at)
            if not len(window):
                yield None, after
                return
            order: np.ndarray | None = None
            if self.seed is not None:
                order = np.random.default_rng([self.seed, epoch, at.window]).permutation(
                    len(window)
                )
            starts = range(0, len(window), self.batch_rows)
            for batch, first in enumerate(starts):
                if batch >= skip:
                    rows = slice(first, first + self.batch_rows)
                    table = window[rows if order is None else order[rows]]
                    last = batch == len(starts) - 1
                    yield self._split(table), after if last else at._replace(batch=batch + 1)
            at, skip = after, 0
            del window  # before the next one is gathered

    def _window(
        self, chunks: Iterator[tuple[np.ndarray, Position]], at: Position
    ) -> tuple[np.ndarray, Position]:
        """Gather a window's rows; return them, and the position of the next window."""
        window = np.empty((self._window_rows, len(self._columns)), self.dtype)
        number, table, filled = at.window, at.carry, 0
        while True:
            taken = min(len(table), len(window) - filled)
            window[filled : filled + taken] = table[:taken]
            filled, table = filled + taken, table[taken:]
            if filled == len(window) or (read := next(chunks, None)) is None:
                break
            table, at = read
        return window[:filled], at._replace(window=number + 1, batch=0, carry=table)

    def _chunks(
        self, blocks: Sequence[Block], start: Position
    ) -> Iterator[tuple[np.ndarray, Position]]:
        """Yield tables as they are read, with the position after each but for the window and the carry."""
        at = start
        for done in range(start.block, len(blocks)):
            block, row = blocks[done], 0
            for chunk, table in enumerate(self._table.read(block, self._columns, self._chunk_rows)):
                if done > start.block or chunk >= start.chunk:
                    kept = self._check(table, block, row)
                    dropped = at.dropped + len(table) - len(kept)
                    at = at._replace(block=done, chunk=chunk + 1, dropped=dropped)
                    yield kept, at
                row += len(table)

    def _check(self, table: np.ndarray, block: Block, row: int) -> np.ndarray:
        """Return the rows to use, in the stream's dtype; raise where one cannot be used."""
        with np.errstate(over="ignore"):
            table = table.astype(self.dtype, copy=False)
        if np.isfinite(table).all():
            return table
        absent = np.isnan(table)
        if not absent.any() or self.missing == "drop":
            table = table[~absent.any(axis=1)]
            wrong = np.argwhere(~np.isfinite(table))
            if not len(wrong):
                return table
            # Where rows were dropped, those before it count too.
            first = np.flatnonzero(~absent.any(axis=1))[wrong[0][0]]
            what = "infinite" if self.dtype == np.float64 else "infinite, or too large for float32"
        else:
            wrong = np.argwhere(absent)
            first, what = (
                wrong[0][0],
                "missing (missing='drop', or --missing drop, leaves out such rows)",
            )
        name = self._columns[wrong[0][1]]
        where = self._table.where(block, row + int(first))
        raise DataError(f"{where}, column {name!r}: the value is {what}")

    def _split(self, table: np.ndarray) -> Batch:
        features = len(self.columns)
        x = np.ascontiguousarray(table[:, :features])
        if self.levels:
            x = expanded(x, self.columns, self.levels)
        if self.target_name is None:
            return x, None
        y = np.ascontiguousarray(table[:, features])
        if self.weights_name is None:
            return x, y
        weights = np.ascontiguousarray(table[:, -1])
        if not (weights >= 0).all():
            raise DataError(
                f"{self._table.path}: column {self.weights_name!r}: weights must be 0 or more, and one is "
                f"{weights.min():g}"
            )
        return x, (y, weights)


class Batches(Iterator[Batch]):
    """The batches of one epoch, read ahead in a thread.

    Attributes:
        position: where the batch after the last one given begins.
    """

    def __init__(self, stream: Stream, epoch: int, position: Position | None) -> None:
        self.position = stream.start() if position is None else position
        self._stream = stream
        self._items = Prefetched(stream._batches(epoch, self.position), _AHEAD)
        stream.dropped = self.position.dropped

    def __next__(self) -> Batch:
        batch, self.position = next(self._items)
        self._stream.dropped = self.position.dropped
        if batch is None:
            self.close()
            raise StopIteration
        return batch

    def close(self) -> None:
        """End the reading thread."""
        self._items.close()


def _choose(
    table: Table, target: str | None, features: Sequence[str] | None, weights: str | None
) -> tuple[str, ...]:
    listed, known = listing(table.names), set(table.names)
    others = [name for name in (target, weights) if name is not None]
    for name in others:
        if name not in known:
            raise DataError(f"{table.path}: there is no column {name!r}; the columns are: {listed}")
    if features is None:
        features = list(dict.fromkeys(name for name in table.names if name not in others))
    if target is not None and target == weights:
        raise DataError(f"the target {target!r} is also the weights")
    for name in features:
        if name == target:
            raise DataError(f"the target {target!r} is also among the features")
        if name == weights:
            raise DataError(f"the weights {weights!r} are also among the features")
        if name not in known:
            raise DataError(f"{table.path}: there is no column {name!r}; the columns are: {listed}")
    if len(set(features)) < len(features):
        raise DataError(f"a feature is named twice: {listing(features)}")
    if not features:
        raise DataError(
            f"{table.path}: {target!r} is the only column: there is nothing to regress it on"
        )
    return tuple(features)
