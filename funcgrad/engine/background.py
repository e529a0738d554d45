"""One thread that does work which can wait, such as compiling. A process that ends waits for the piece under way, no more."""

import atexit
import threading
from collections.abc import Callable
from queue import SimpleQueue

_work: SimpleQueue[Callable[[], None]] = SimpleQueue()
_starting = threading.Lock()
_busy = threading.Lock()
_thread: threading.Thread | None = None


def later(work: Callable[[], None]) -> None:
    """Do this in the other thread, after what was asked for before. It has to see to its own errors."""
    global _thread
    _work.put(work)
    if _thread is None or not _thread.is_alive():
        with _starting:
            if _thread is None or not _thread.is_alive():
                _thread = threading.Thread(target=_go_on, name="funcgrad compiles", daemon=True)
                _thread.start()


def _go_on() -> None:
    while True:
        work = _work.get()
        with _busy:
            work()
            del work


# Never released: no further piece is begun.
atexit.register(_busy.acquire)
