"""Write the lesson's notebooks: both languages, with the solutions or without.

    python examples/lesson/notebooks.py OUT            # OUT/en and OUT/fr, for the teacher
    python examples/lesson/notebooks.py OUT --student  # without the solutions

Each source is one notebook in jupytext's percent format. Its code cells are there once, its text cells in both languages;
`french` has the words that code prints.
"""

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from french import in_french

HERE = Path(__file__).parent
SOURCES = sorted(HERE.glob("[0-9]_*.py"))
LANGUAGES = ("en", "fr")
SOLUTION = "solution"
_MARKER = re.compile(r"^# %%(?P<text> \[markdown\])?(?P<options>.*)$")


class Cell(NamedTuple):
    """A cell of a source.

    Attributes:
        text: its Markdown or its code.
        language: of a text cell; None for code.
        tags: of a code cell.
        line: the number of its first line in the source.
    """

    text: str
    language: str | None
    tags: frozenset[str]
    line: int


def cells_of(source: Path) -> Iterator[Cell]:
    """The cells of a source."""
    lines = source.read_text(encoding="utf-8").splitlines()
    starts = [k for k, line in enumerate(lines) if line.startswith("# %%")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        marker = _MARKER.match(lines[start])
        assert marker is not None
        body = lines[start + 1 : end]
        language = re.search(r'lang="(\w+)"', marker["options"])
        tags = re.search(r"tags=\[(.*?)\]", marker["options"])
        if marker["text"]:
            body = [line.removeprefix("#").removeprefix(" ") for line in body]
        yield Cell(
            "\n".join(body).strip("\n"),
            language[1] if language else None,
            frozenset(re.findall(r'"(\w+)"', tags[1]) if tags else ()),
            start + 2,
        )


def notebook(source: Path, language: str, *, solutions: bool) -> str:
    """A source as a notebook in one language, as the text of an .ipynb file."""
    import nbformat

    made = nbformat.v4.new_notebook()
    made.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    cells = [nbformat.v4.new_code_cell(f'import exercises\n\nexercises.speak("{language}")')]
    for cell in cells_of(source):
        if cell.language is not None:
            if cell.language == language:
                cells.append(nbformat.v4.new_markdown_cell(cell.text))
        elif solutions or SOLUTION not in cell.tags:
            metadata: dict[str, Any] = {"tags": sorted(cell.tags)}
            if SOLUTION in cell.tags:
                metadata["jupyter"] = {"source_hidden": True}  # folded until it is clicked
            code = in_french(cell.text) if language == "fr" else cell.text
            cells.append(nbformat.v4.new_code_cell(code, metadata=metadata))
    for k, each in enumerate(cells):
        each["id"] = f"cell-{k}"  # the same each time, so that two versions can be compared
    made.cells = cells
    nbformat.validate(made)
    return nbformat.writes(made)


def main() -> None:
    """Write all notebooks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--student", action="store_true", help="leave the solutions out")
    given = parser.parse_args()
    for language in LANGUAGES:
        folder = given.out / language
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "exercises.py", folder)
        for source in SOURCES:
            text = notebook(source, language, solutions=not given.student)
            (folder / f"{source.stem}.ipynb").write_text(text + "\n", encoding="utf-8")
        print(f"{len(SOURCES)} notebooks in {folder}")


if __name__ == "__main__":
    main()
