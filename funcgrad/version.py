"""The version of this package, apart so that the package's own parts can import it."""

__version__ = "0.1.0"
