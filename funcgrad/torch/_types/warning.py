"""Warnings of the user's line: the first one outside of the library, however many of its functions lie in between."""

import sys
import warnings

_LIBRARIES = {"funcgrad", "jax"}


def warn(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Warn of the line of the user's code that called the library."""
    depth, frame = 3, sys._getframe(1)  # level 1 is this function, 2 its caller, 3 the caller's
    while frame.f_back and frame.f_back.f_globals.get("__name__", "").split(".")[0] in _LIBRARIES:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth)
