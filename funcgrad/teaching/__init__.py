"""Errors that teach: the cures that errors carry as notes, and tracebacks without the library's own frames."""

from funcgrad.teaching.cures import CURES, NotedWarning, cured
from funcgrad.teaching.settings import settings
from funcgrad.teaching.tracebacks import fold, install

__all__ = ["CURES", "NotedWarning", "cured", "fold", "install", "settings"]
