"""The reader's settings: the language of the notes, and how much of a traceback is shown."""

import os

_CHOICES = {"language": ("en", "fr"), "tracebacks": ("folded", "full")}


class Settings:
    """The reader's settings; `funcgrad.teaching.settings` is the one instance.

    Attributes:
        language: "en" or "fr", of the notes that errors carry. The environment variable FUNCGRAD_LANGUAGE sets it at import.
        tracebacks: "folded" leaves the library's own frames out of the tracebacks that end a program, a notebook's cell or a test,
            "full" shows them. The environment variable FUNCGRAD_TRACEBACKS sets it at import.

    >>> from funcgrad.teaching import settings
    >>> settings.language = "de"
    Traceback (most recent call last):
    ValueError: language is one of en, fr; got 'de'
    """

    language: str
    tracebacks: str

    def __init__(self) -> None:
        for name, choices in _CHOICES.items():
            setattr(self, name, os.environ.get(f"FUNCGRAD_{name.upper()}", choices[0]))

    def __setattr__(self, name: str, value: str) -> None:
        if name not in _CHOICES:
            raise AttributeError(
                f"there is no setting {name!r}; the settings are {', '.join(_CHOICES)}"
            )
        if value not in _CHOICES[name]:
            raise ValueError(f"{name} is one of {', '.join(_CHOICES[name])}; got {value!r}")
        super().__setattr__(name, value)


settings = Settings()
