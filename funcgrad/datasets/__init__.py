"""Small real data that ships with the package, and reading a table from a user's own file.

Nothing here is scaled, shuffled or trained on: that is for whoever asks for the data.
"""

from funcgrad.datasets.diabetes import load_diabetes
from funcgrad.datasets.dialect import CsvOptions
from funcgrad.datasets.files import load_file
from funcgrad.datasets.frames import load_frame
from funcgrad.datasets.nist import NIST_PROBLEMS, ReferenceProblem, correct_digits, load_nist
from funcgrad.datasets.stream import Stream
from funcgrad.datasets.table import DataError, Dataset

__all__ = [
    "NIST_PROBLEMS",
    "CsvOptions",
    "DataError",
    "Dataset",
    "ReferenceProblem",
    "Stream",
    "correct_digits",
    "load_diabetes",
    "load_file",
    "load_frame",
    "load_nist",
]


def __dir__() -> list[str]:
    return __all__
