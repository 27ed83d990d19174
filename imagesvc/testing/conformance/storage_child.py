"""A process that begins an object and kills itself; run by the storage suite.

Reads one JSON object from standard input: `driver` (module:class), `backend_id`, `options`,
`key`, `size`, `seed` and `die` (`written`: before commit; `committed`: right after it). With a
crash point in the environment the driver's own code kills the process inside commit.
"""

import importlib
import json
import os
import random
import signal
import sys
from typing import Any

from imagesvc.interface import storage
from imagesvc.testing.conformance import base

BLOCK = 100_000


def content(seed: int, size: int) -> bytes:
    """Bytes that the suite can make again."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - test bytes, no secret


def main() -> None:
    """Do what standard input says."""
    order: dict[str, Any] = json.load(sys.stdin)
    module, _, name = order["driver"].partition(":")
    driver_class: type[storage.StorageDriver] = getattr(importlib.import_module(module), name)
    driver = driver_class(
        base.options_of(driver_class, order["options"]), backend_id=order["backend_id"]
    )
    driver.open()
    data = content(order["seed"], order["size"])
    writer = driver.open_write(order["key"])
    for begin in range(0, len(data), BLOCK):
        writer.write(data[begin : begin + BLOCK])
    if order["die"] == "written":
        os.kill(os.getpid(), signal.SIGKILL)
    writer.commit()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
