"""The pages that explain the project: their examples run, and the files they name are there."""

import re
from pathlib import Path

import pytest

from tests.processes import output_of

ROOT = Path(__file__).parent.parent
# Each page, and the folder that the files it names in backquotes lie in.
PAGES = {
    "README.md": "funcgrad",
    "funcgrad/engine/README.md": "funcgrad/engine",
    "funcgrad/compare/README.md": "funcgrad/compare",
    "funcgrad/torch/README.md": "funcgrad/torch",
    "funcgrad/torch/DIFFERENCES.md": ".",
    ".github/CONTRIBUTING.md": ".",
    "CHANGELOG.md": ".",
}
TEXTS = {page: (ROOT / page).read_text() for page in PAGES}
BLOCKS = {page: re.findall(r"```python\n(.*?)```", text, re.DOTALL) for page, text in TEXTS.items()}
FRONT = BLOCKS["README.md"]


@pytest.mark.parametrize("block", range(len(FRONT)))
def test_code_of_the_front_page_runs(block):
    exec(compile(FRONT[block], f"README.md, block {block}", "exec"), {})


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCKS[page] and page != "README.md"])
def test_code_of_a_page_runs_from_top_to_bottom(page, monkeypatch):
    # In a process of its own, since examples declare ops.
    monkeypatch.chdir(ROOT)
    output_of("-c", "\n".join(BLOCKS[page]))


@pytest.mark.parametrize("page", PAGES)
def test_files_named_are_there(page):
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`(?!\])", TEXTS[page]))
    assert not {path for path in named if not (ROOT / PAGES[page] / path).exists()}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links = set(re.findall(r"\]\((?!https?:|#)([^)#]+)", TEXTS[page]))
    assert not {link for link in links if not (ROOT / page).parent.joinpath(link).exists()}


def test_ci_runs_the_test_command():
    command = re.search(r"<!-- command: tests -->\n```bash\n(.+?)\n```", TEXTS["README.md"])
    assert command is not None
    assert "pytest" in command[1]
