"""The cells of a notebook, run in order by IPython, so magics and commands work as in Jupyter."""

import sys
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


class _Shell(InteractiveShell):
    """IPython without windows."""

    def enable_gui(self, gui: Any = None) -> None:
        """Open no window: `%matplotlib inline` shows figures as text."""


def run(path: Path) -> bool:
    """Run a notebook's cells of code. Results and errors are printed.

    The first cell that raises is the last, unless its tag "raises-exception" says that it should.

    Returns:
        Whether all ran as they should.
    """
    config = Config()
    config.HistoryManager.enabled = False  # nothing goes to the user's history
    config.InteractiveShell.colors = "Linux" if sys.stdout.isatty() else "NoColor"
    shell = _Shell.instance(config=config)
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            ran = shell.run_cell(cell.source, store_history=True)
            if not ran.success and "raises-exception" not in cell.metadata.get("tags", ()):
                return False
    return True
