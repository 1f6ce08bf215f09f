"""`Ahead`: items of an iterator, made by a background thread while the caller works on earlier ones.

Sequences of the next micro-batch are made (genotypes read from disk, haplotypes spelled, bases laid out on the device) while the network
computes the present one. The thread runs the same code in the same order, so that the items are the same bit for bit.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
DEPTH = 2  # items that wait; of published windows and 32 individuals 25 MB each


class Ahead(Generic[Item]):
    """The items in order; closed by `close`, as a context, or by their end.

    Args:
        items: used by the thread alone from now on.
        depth: items made and not yet taken, at most.
    """

    def __init__(self, items: Iterator[Item], depth: int = DEPTH) -> None:
        self._places, self._ready = threading.Semaphore(depth), SimpleQueue[Item | _End]()
        self._closed = threading.Event()
        self._end: _End | None = None
        self._thread = threading.Thread(target=self._fill, args=(items,), name="varfx sequences", daemon=True)
        self._thread.start()

    def _fill(self, items: Iterator[Item]) -> None:
        end = _End(None)
        try:
            while self._places.acquire() and not self._closed.is_set():
                self._ready.put(next(items))
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by `__next__`
            end = _End(error)
        self._ready.put(end)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        """The next item.

        Raises:
            Exception: what making it raised; then the iterator has ended.
        """
        item = self._end or self._ready.get()
        if not isinstance(item, _End):
            self._places.release()
            return item
        error, self._end = item.error, _End(None)
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Ends the thread, once the item that it is making is made; further items are lost."""
        self._closed.set()
        self._places.release()
        self._thread.join()
        self._end = _End(None)

    def __enter__(self) -> Ahead[Item]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _End:
    """Mark behind the last item, with the error that ended them."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
