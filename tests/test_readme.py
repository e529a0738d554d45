"""What README.md shows runs, and what it points to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_code_runs(block):
    exec(compile(BLOCKS[block], f"README.md, block {block}", "exec"), {})


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([a-z_]+/[a-z_]+\.py)`", README))))
def test_files_named_are_there(path):
    assert (ROOT / "funcgrad" / path).exists()


def test_ci_runs_the_test_command():
    command = re.search(r"<!-- command: tests -->\n```bash\n(.+?)\n```", README)
    assert command is not None
    assert "pytest" in command[1]
