"""`TorchVersion`: a version as text that compares as a version, so that "2.13.0" comes after "2.4"."""

import re
from collections.abc import Iterable
from typing import Any

from funcgrad.torch.version import __version__ as _version

__all__ = ["TorchVersion"]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


# Of PEP 440: a release, whether it is one before or after it, and a local part, which counts last.
_FORM = re.compile(
    r"\s*v?(\d+(?:\.\d+)*)[-_.]?((?:a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?(?:[-_.]?post(\d*))?(?:[-_.]?dev(\d*))?"
    r"(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*",
    re.IGNORECASE,
)
_BEFORE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


def _key(text: Any) -> tuple[Any, ...] | None:
    """The key that orders versions; None if it is no version."""
    if not isinstance(text, str):
        if not isinstance(text, Iterable):
            return None
        text = ".".join(map(str, text))
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    release, before, after, dev, local = found.groups()
    numbers = [int(each) for each in release.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    letters, count = re.fullmatch(r"([a-z]+)[-_.]?(\d*)", (before or "zz").lower()).groups()  # type: ignore[union-attr]
    if before is None and dev is not None and after is None:
        letters = ""  # a development release comes before all
    parts = [
        (1, int(each), "") if each.isdigit() else (0, 0, each.lower())
        for each in re.split(r"[-_.]", local or "")
    ]
    return (
        numbers,
        (_BEFORE.get(letters, letters), int(count or 0)),
        -1 if after is None else int(after or 0),
        float("inf") if dev is None else int(dev or 0),
        parts if local else [],
    )


class TorchVersion(str):
    """A version. It compares with texts, and with tuples of numbers.

    >>> version = TorchVersion("2.13.0")
    >>> version >= "2.4", version >= (2, 4), version < "2.13.1"
    (True, True, True)
    """

    __slots__ = ()
    __hash__ = str.__hash__


def _comparison(name: str) -> Any:
    def compare(self: TorchVersion, other: Any) -> Any:
        mine, given = _key(str(self)), _key(other)
        if mine is None or given is None:
            return getattr(str, name)(self, other)  # as texts, where one is no version
        return getattr(tuple, name)(mine, given)

    return compare


for _name in ("__gt__", "__lt__", "__eq__", "__ge__", "__le__"):
    setattr(TorchVersion, _name, _comparison(_name))

__version__ = TorchVersion(_version)
