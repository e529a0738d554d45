"""`Compare`: a table of measurements, a row for each statement and a column for each description."""

import math
from collections.abc import Iterable
from typing import Any

from funcgrad.torch.utils.benchmark._measurement import Measurement, select_unit

_NAMES = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}
# How much slower than the best a time is, and how it is then shown.
_BEST, _GOOD, _BAD, _VERY_BAD = "\033[92m\033[1m", "\033[34m\033[1m", "\033[2m\033[91m", "\033[31m\033[1m"  # fmt: skip
_END = "\033[0m"


class Compare:
    """A table of measurements.

    Args:
        results: measurements; several of one statement count as one.

    Raises:
        ValueError: something else is among them.
    """

    def __init__(self, results: Iterable[Measurement]) -> None:
        self._results: list[Measurement] = []
        self._trim = self._warn = False
        self._colours: str | None = None
        self.extend_results(results)

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Add measurements."""
        for each in results:
            if not isinstance(each, Measurement):
                raise ValueError(
                    f"Expected an instance of `Measurement`, got {type(each)} instead."
                )
            self._results.append(each)

    def trim_significant_figures(self) -> None:
        """Show only the digits that the spread lets one believe."""
        self._trim = True

    def colorize(self, rowwise: bool = False) -> None:
        """Show in colours which times are good, among those of a column, or of a row."""
        self._colours = "row" if rowwise else "column"

    def highlight_warnings(self) -> None:
        """Show the spread of times that spread widely."""
        self._warn = True

    def print(self) -> None:
        """Print the table."""
        print(self)

    def __str__(self) -> str:
        groups: dict[str | None, list[Measurement]] = {}
        for each in Measurement.merge(self._results):
            groups.setdefault(each.label, []).append(each)
        return "\n".join(self._table(label, group) for label, group in groups.items())

    def _table(self, label: str | None, results: list[Measurement]) -> str:
        unit, scale = select_unit(min(each.median for each in results))
        columns = list(dict.fromkeys(each.description for each in results))
        cells: dict[tuple[Any, ...], dict[Any, Measurement]] = {}
        for each in results:
            row = (each.num_threads, each.env or "", each.as_row_name)
            cells.setdefault(row, {})[each.description] = each
        rows = sorted(cells, key=lambda row: row[:2])
        environments = {row[1] for row in rows}
        space = max(map(len, environments)) + 4 if len(environments) > 1 else 4
        texts = [["", *(column or "" for column in columns)]]
        before = None
        for row in rows:
            shown_before, before = row[:2] == before, row[:2]
            where = f"({row[1]})" if len(environments) > 1 and not shown_before else ""
            name = f"  {where.ljust(space)}{row[2]}"
            texts.append([name, *(self._cell(cells, row, column, scale) for column in columns)])
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        head = "  |  ".join(
            text.center(width) for text, width in zip(texts[0], widths, strict=True)
        )
        lines = [f"[{f' {label or str()} '.center(len(head) - 2, '-')}]", head]
        threads = None
        for row, text in zip(rows, texts[1:], strict=True):
            if row[0] != threads:
                threads = row[0]
                lines.append(f"{threads} threads: ".ljust(len(head), "-"))
            shown = [text[0].ljust(widths[0])]
            for k, column in enumerate(columns):
                centred = text[k + 1].center(widths[k + 1])
                shown.append(self._coloured(centred, cells, row, column))
            lines.append("  |  ".join(shown))
        lines += ["", f"Times are in {_NAMES[unit]} ({unit}).", ""]
        if self._warn and any(each.has_warnings for each in results):
            lines[-1] = "(! XX%) Measurement has high variance, where XX is the IQR / median * 100."
            lines.append("")
        return "\n".join(lines)

    def _cell(self, cells: Any, row: Any, column: Any, scale: float) -> str:
        measured = cells[row].get(column)
        if measured is None:
            return ""
        of_column = [each[column] for each in cells.values() if column in each]
        number, places = measured.median / scale, 1
        if self._trim:
            places = min(
                max(each.significant_figures - math.ceil(math.log10(each.median / scale)), 0)
                for each in of_column
            )
            kept = math.ceil(math.log10(number)) - measured.significant_figures
            number = round(number / 10**kept) * 10**kept
        whole = max(math.ceil(math.log10(each.median / scale)) for each in of_column)
        text = f"{number:>{whole + places + (1 if places else 0)}.{places}f}"
        if not (self._warn and any(each.has_warnings for each in of_column)):
            return text
        spread = measured.iqr / measured.median
        return text + (f" (! {spread:.0%})" if measured.has_warnings else "").rjust(7)

    def _coloured(self, text: str, cells: Any, row: Any, column: Any) -> str:
        measured = cells[row].get(column)
        if self._colours is None or measured is None:
            return text
        if self._colours == "row":
            among = list(cells[row].values())
        else:
            among = [cells[each][column] for each in cells if each[0] == row[0] and column in cells[each]]  # fmt: skip
        best, own = min(each.median for each in among), measured.median
        if own <= best * 1.01 or own <= best + 100e-9:
            return f"{_BEST}{text}{_END}{_END}"
        if own <= best * 1.1:
            return f"{_GOOD}{text}{_END}{_END}"
        if own >= best * 5:
            return f"{_VERY_BAD}{text}{_END}{_END}"
        return f"{_BAD}{text}{_END}{_END}" if own >= best * 2 else text
