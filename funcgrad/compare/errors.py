"""The error of a comparison that was asked for wrongly; bad data has `funcgrad.datasets.DataError`."""


class OptionError(ValueError):
    """A comparison cannot do what was asked; the message names the choices."""
