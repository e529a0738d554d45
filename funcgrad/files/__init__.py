"""How files are opened, written and unpacked, whatever they hold: whole or not at all, within a bound.

Only the standard library and NumPy are used here. The meaning of the content is for others.
"""

from funcgrad.files.archives import ArchiveError, read_archive
from funcgrad.files.locking import locked
from funcgrad.files.reading import open_regular
from funcgrad.files.writing import (
    OverlapError,
    is_special,
    refuse_overlap,
    remove_leftovers,
    replacing,
    target_of,
)

__all__ = [
    "ArchiveError",
    "OverlapError",
    "is_special",
    "locked",
    "open_regular",
    "read_archive",
    "refuse_overlap",
    "remove_leftovers",
    "replacing",
    "target_of",
]
