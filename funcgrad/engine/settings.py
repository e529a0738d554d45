"""The engine's settings: how pending ops run, and how much the engine may keep."""

import os

MODES = ("auto", "eager", "recorded", "op_by_op", "compiled")


class Settings:
    """Bounds and mode; `engine.settings` is the one instance.

    Attributes:
        mode: "auto" begins in the core, records and compiles what repeats and takes time; "eager" stays in the core.
            "recorded" records from the beginning and compiles what returns, "op_by_op" records and compiles no whole program,
            "compiled" records and compiles every program at once. The environment variable FUNCGRAD_ENGINE sets it at import.
        core: whether the core computes here: JAX's arrays are in the CPU's memory. Found out with the first op.
        buffer_size: how many events may be pending before they run. Read by every thread.
        state_limit: how many states of recordings are remembered.
        program_limit: how many compiled programs are kept; the least recently used goes first.
    """

    __slots__ = ("buffer_size", "core", "mode", "program_limit", "state_limit")

    def __init__(self) -> None:
        self.mode = check_mode(os.environ.get("FUNCGRAD_ENGINE", "auto"))
        self.core = True
        self.buffer_size = 256
        self.state_limit = 16_384
        self.program_limit = 256

    @property
    def starts_eager(self) -> bool:
        """Whether a thread begins in the core."""
        return self.core and self.mode in ("auto", "eager")


def check_mode(mode: str) -> str:
    """`mode`, if it is one.

    Raises:
        ValueError: it is not.
    """
    if mode not in MODES:
        raise ValueError(f"the engine's mode is one of {', '.join(MODES)}; got {mode!r}")
    return mode


settings = Settings()
