"""Several threads, each with its own connection to the database, whose results are read by one."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from django.db import connection

OnProgress = Callable[[int], None]
"""Called with the percentage of work done."""

Work = Callable[[int, OnProgress], Iterator[Any]]
"""The work of the thread with this number."""

_WAITING_RESULTS = 2
_END = object()


class Lanes:
    """Iterates over the results of ``number`` threads in the order in which they arrive. ``progress`` is called by the
    reader with the mean of all threads. An error of one thread ends all of them and is raised to the reader."""

    def __init__(self, work: Work, number: int, progress: OnProgress) -> None:
        self._work, self._number, self._progress = work, number, progress
        self._arrived: queue.Queue[tuple[int, object]] = queue.Queue(_WAITING_RESULTS)
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        threads = [threading.Thread(target=self._run, args=[lane], daemon=True) for lane in range(self._number)]
        for thread in threads:
            thread.start()
        try:
            yield from self._results()
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()

    def _results(self) -> Iterator[Any]:
        done = [0] * self._number
        ended = 0
        while ended < self._number:
            lane, result = self._arrived.get()
            if isinstance(result, BaseException):
                raise result
            if isinstance(result, int):
                done[lane] = result
                self._progress(sum(done) // self._number)
            elif result is _END:
                ended += 1
            else:
                yield result

    def _run(self, lane: int) -> None:
        try:
            for result in self._work(lane, lambda percent: self._put(lane, percent)):
                self._put(lane, result)
            self._put(lane, _END)
        except _Stopped:
            pass
        except Exception as error:  # noqa: BLE001 - the reader raises it
            with suppress(_Stopped):
                self._put(lane, error)
        finally:
            connection.close()

    def _put(self, lane: int, result: object) -> None:
        while not self._stopped.is_set():
            try:
                return self._arrived.put((lane, result), timeout=0.2)
            except queue.Full:
                continue
        raise _Stopped


class _Stopped(Exception):
    """The reader has ended."""
