"""Reading ahead in a thread, so that reading overlaps with the work on the rows."""

import atexit
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
_WAIT = 0.1
_RUNNING: dict[threading.Thread, threading.Event] = {}


@atexit.register
def _end_all() -> None:
    # A thread that is in a C++ library when Python ends would abort the process on its way back.
    for stop in list(_RUNNING.values()):
        stop.set()
    for thread in list(_RUNNING):
        thread.join()


class Prefetched(Iterator[ItemT], Generic[ItemT]):
    """An iterator whose items are made by a thread, a bounded number of them ahead.

    An error in the thread is raised where its item would have been. The thread ends with the items,
    with `close()`, or when the iterator is forgotten.

    >>> list(Prefetched(iter([1, 2, 3]), ahead=1))
    [1, 2, 3]
    """

    def __init__(self, items: Iterator[ItemT], ahead: int) -> None:
        self._made: queue.Queue[tuple[str, object]] = queue.Queue(maxsize=ahead)
        self._stop = threading.Event()
        # The thread holds the queue and not the iterator, which may therefore be forgotten.
        arguments = (items, self._made, self._stop)
        self._thread = threading.Thread(target=_make, args=arguments, daemon=True)
        _RUNNING[self._thread] = self._stop
        self._thread.start()

    def __next__(self) -> ItemT:
        if self._stop.is_set():
            raise StopIteration
        kind, item = self._made.get()
        if kind == "item":
            return item  # type: ignore[return-value]
        self.close()
        if isinstance(item, BaseException):
            raise item
        raise StopIteration

    def close(self) -> None:
        """End the thread, and wait for it."""
        self._stop.set()
        self._thread.join()

    def __del__(self) -> None:
        self._stop.set()


def _make(
    items: Iterator[object], made: "queue.Queue[tuple[str, object]]", stop: threading.Event
) -> None:
    def put(kind: str, item: object) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                made.put((kind, item), timeout=_WAIT)
                break

    try:
        for item in items:
            put("item", item)
            del item  # which would otherwise stay alive while the next one is made
            if stop.is_set():
                return
    except BaseException as error:
        put("end", error)
    else:
        put("end", None)
    finally:
        _RUNNING.pop(threading.current_thread(), None)
