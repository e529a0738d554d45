"""Every cell of the lesson's notebooks runs, with PyTorch as with the shim, and the numbers that the texts quote are real."""

import ast
import contextlib
import functools
import importlib
import io
import re
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot

from funcgrad.teaching import settings
from tests.both_sides import ours

LESSON = Path(__file__).parent.parent.parent / "examples" / "lesson"
IMPORT = "import funcgrad.torch as torch"


@pytest.fixture(scope="module")
def lesson():
    """The module that reads the sources, and the one with the exercises."""
    sys.path.insert(0, str(LESSON))
    try:
        yield importlib.import_module("notebooks"), importlib.import_module("exercises")
    finally:
        sys.path.remove(str(LESSON))
        for name in ("notebooks", "exercises", "french"):
            del sys.modules[name]


SOURCES = sorted(path.name for path in LESSON.glob("[0-9]_*.py"))


def printed(cells, torch, *, figures):
    """The text that each code cell prints, by its line."""
    scope = {"__name__": "a notebook"}
    found = {}
    for cell in cells:
        left_out = {"figure"} - {"figure" if figures else ""} | (
            {"shim"} if torch is not ours else set()
        )
        if cell.language is not None or cell.tags & left_out:
            continue
        code = cell.text if torch is ours else cell.text.replace(IMPORT, "import torch")
        tree = ast.parse("\n" * (cell.line - 1) + code)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            exec(compile(tree, "a notebook", "exec"), scope)
            shown = last and eval(compile(ast.Expression(last.value), "a notebook", "eval"), scope)
        if hasattr(shown, "_repr_svg_") and torch is ours:
            assert "<svg" in shown._repr_svg_()
        if hasattr(shown, "_draw_was_started"):
            shown._draw_was_started = True  # an animation warns if nobody looks at it
        found[cell.line] = told.getvalue()
    return found


@functools.cache
def printed_by_the_shim(notebooks, name):
    matplotlib.use("Agg")
    try:
        return printed(notebooks.cells_of(LESSON / name), ours, figures=True)
    finally:
        pyplot.close("all")


NUMBER = r"-?\d+\.\d+(?:e-?\d+)?"


@pytest.mark.parametrize("name", SOURCES)
def test_every_cell_runs_and_the_quoted_numbers_are_real(lesson, name):
    notebooks, _ = lesson
    texts = "\n".join(printed_by_the_shim(notebooks, name).values())
    quoted = {
        number
        for cell in notebooks.cells_of(LESSON / name)
        if cell.language
        for number in re.findall(f"`({NUMBER})`", cell.text)
    }
    assert quoted <= set(re.findall(NUMBER, texts))


@pytest.mark.parametrize("name", SOURCES)
def test_pytorch_prints_the_same_digits(torch, lesson, name):
    notebooks, _ = lesson
    theirs = printed(notebooks.cells_of(LESSON / name), torch, figures=False)
    mine = printed_by_the_shim(notebooks, name)
    assert theirs == {line: text for line, text in mine.items() if line in theirs}
    assert len(theirs) > 3


@pytest.mark.parametrize("name", SOURCES)
def test_texts_are_in_both_languages_and_exercises_have_solutions(lesson, name):
    notebooks, _ = lesson
    cells = list(notebooks.cells_of(LESSON / name))
    languages = [cell.language for cell in cells if cell.language]
    assert languages == ["en", "fr"] * (len(languages) // 2)
    before = None
    for cell in cells:
        if before is not None and "exercise" in before.tags:
            assert "solution" in cell.tags
        before = cell


def test_each_exercise_has_hint_and_reason_in_both_languages(lesson):
    _, exercises = lesson
    called = "".join((LESSON / name).read_text() for name in SOURCES)
    assert set(re.findall(r'check\("(.+?)"', called)) == set(exercises.EXERCISES)
    for exercise in exercises.EXERCISES.values():
        assert len({*exercise.hint, *exercise.reason}) == 4


def test_a_wrong_answer_gets_a_hint_in_the_language(lesson, capsys):
    _, exercises = lesson
    before = settings.language
    try:
        exercises.speak("fr")
        with pytest.raises(AssertionError, match="La perte est la moyenne"):
            exercises.check("1", [0.0, 0.0])
        with pytest.raises(AssertionError):
            exercises.check("1", None)
        exercises.check("1", ours.tensor([0.2617, 0.3852]))
    finally:
        settings.language = before
    assert "✓ Les deux sont positives" in capsys.readouterr().out


def words(code):
    """The texts that code prints or writes into a picture, without the places of numbers."""
    told = set()
    for call in ast.walk(ast.parse(code)):
        if not isinstance(call, ast.Call):
            continue
        printed = call.args if isinstance(call.func, ast.Name) and call.func.id == "print" else []
        named = [each.value for each in call.keywords if each.arg in ("label", "xlabel", "ylabel", "title")]  # fmt: skip
        for text in [*printed, *named]:
            parts = text.values if isinstance(text, ast.JoinedStr) else [text]
            told |= {each.value for each in parts if isinstance(each, ast.Constant)}
    return {each for each in told if isinstance(each, str)}


def without_words(code):
    """The code with every text left out."""
    return re.sub(r"value='.*?'|value=\".*?\"", "", ast.dump(ast.parse(code)))


# Words of both languages, and names of the code.
BOTH = {"float32", "float64", "torch", "h", "w", "w[0]", "w[1]", "w.grad", "ulp", "jax", "e"}


@pytest.mark.parametrize("name", SOURCES)
def test_a_french_notebook_prints_french_words_and_the_same_numbers(lesson, name):
    french = importlib.import_module("french")
    notebooks, _ = lesson
    for cell in notebooks.cells_of(LESSON / name):
        if cell.language is None:
            translated = french.in_french(cell.text)
            assert without_words(translated) == without_words(cell.text)
            for each in words(cell.text) & words(translated):
                assert set(re.findall(r"[A-Za-z][\w.\[\]]*", each)) <= BOTH, each


def test_each_word_of_the_table_is_in_the_lesson(lesson):
    french = importlib.import_module("french")
    code = "".join((LESSON / name).read_text() for name in SOURCES)
    assert [each for each in french.WORDS if each not in code] == []


@pytest.mark.parametrize("solutions", [True, False])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_notebooks_are_written_in_each_language(lesson, language, solutions):
    nbformat = pytest.importorskip("nbformat")
    notebooks, _ = lesson
    source = LESSON / SOURCES[0]
    made = nbformat.reads(notebooks.notebook(source, language, solutions=solutions), as_version=4)
    text = "\n".join(cell.source for cell in made.cells)
    assert ("La leçon" in text) == (language == "fr")
    assert ("The lesson" in text) == (language == "en")
    assert ("residual = " in text) is solutions
    assert "check(" in text
