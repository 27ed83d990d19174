"""Kills a process at a chosen line of a driver's own code, so that every driver has a kill part.

Lines are those that the calling thread runs in the driver's top-level package or module, and in
those of the classes that it derives from, in the order in which they run. Named crash points (`imagesvc.crashpoint`) are for places that no line
of the driver stands for, such as work in another thread.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from imagesvc.interface import base

LINES_MAX = 8


class Counter:
    """Counts the lines of one block; kills the process before line `stop` (from 1) if given."""

    def __init__(self, driver_class: type[base.Driver], stop: int = 0) -> None:
        self._places = tuple(
            {
                place
                for each in driver_class.__mro__
                for place in _places(each.__module__)
                if issubclass(each, base.Driver)
            }
        )
        self._stop = stop
        self.count = 0

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Take one event of sys.settrace."""
        if not frame.f_code.co_filename.startswith(self._places):
            return None
        if event == "line":
            self.count += 1
            if self.count == self._stop:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.trace


def _places(module: str) -> Iterator[str]:
    if module.startswith(base.__name__.rpartition(".")[0]):
        return
    for name in (module.partition(".")[0], module):
        file = getattr(sys.modules[name], "__file__", None)  # none in a namespace package
        if file:
            yield file.removesuffix("__init__.py")


@contextlib.contextmanager
def counted(driver_class: type[base.Driver], stop: int = 0) -> Iterator[Counter]:
    """Count the driver's lines inside the block; the process dies at line `stop`."""
    counter = Counter(driver_class, stop)
    before = sys.gettrace()
    sys.settrace(counter.trace)
    try:
        yield counter
    finally:
        sys.settrace(before)


def chosen(count: int, most: int = LINES_MAX) -> Sequence[int]:
    """At most `most` of the lines 1 to `count`, evenly, with the first and the last."""
    if count <= most:
        return range(1, count + 1)
    return [1 + round(number * (count - 1) / (most - 1)) for number in range(most)]
