"""The error of a comparison that was asked for wrongly; bad data has `funcgrad.datasets.DataError`."""


class OptionError(ValueError):
    """A comparison was asked for something that it cannot do; the message says what it can."""
