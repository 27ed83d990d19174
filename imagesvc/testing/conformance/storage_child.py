"""A process that begins an object and kills itself; run by the storage suite.

Reads one JSON object from standard input: `driver` (module:class), `backend_id`, `options`,
`key`, `size`, `seed`, `die` and `step`. `die` is one of

- `written`: before commit,
- `resumable`: before commit, and prints the `upload_id`,
- `committed`: right after it, or before the step `step` of the driver's code inside it,
- `steps`: not at all; prints steps inside commit at which it could have died,
- `measure`: not at all; prints by how many KiB the process grew while it wrote and read.

With a crash point in the environment the driver's own code kills the process inside commit.
"""

import importlib
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from imagesvc.interface import storage
from imagesvc.testing.conformance import line_kill
from imagesvc.testing.conformance.options import options_of

BLOCK = 100_000
_PIECE = 1 << 20


def content(seed: int, size: int) -> bytes:
    """Bytes that the suite can make again."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - test bytes, no secret


def measure(driver: storage.StorageDriver, key: str, size: int) -> int:
    """Write and read `size` bytes; give the growth of the process in KiB."""
    before = _peak_kib()
    with driver.open_write(key, size=size) as writer:
        for number in range(size // _PIECE):
            writer.write(number.to_bytes(8, "big") * (_PIECE // 8))  # no two of them one object
        writer.commit()
    with driver.open_read(key) as reader:
        while reader.read(_PIECE):
            pass
    return _peak_kib() - before


def _peak_kib() -> int:
    """Most memory that this program ever held; rusage also remembers what its parent held."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Do what standard input says."""
    order: dict[str, Any] = json.load(sys.stdin)
    module, _, name = order["driver"].partition(":")
    driver_class: type[storage.StorageDriver] = getattr(importlib.import_module(module), name)
    driver = driver_class(
        options_of(driver_class, order["options"]), backend_id=order["backend_id"]
    )
    driver.open()
    if order["die"] == "measure":
        print(measure(driver, order["key"], order["size"]))
        return
    data = content(order["seed"], order["size"])
    writer = driver.open_write(order["key"])
    for begin in range(0, len(data), BLOCK):
        writer.write(data[begin : begin + BLOCK])
    if order["die"] == "resumable":
        print(writer.upload_id, flush=True)
    if order["die"] in ("written", "resumable"):
        os.kill(os.getpid(), signal.SIGKILL)
    with line_kill.followed(
        driver_class, order["step"] and line_kill.Step(*order["step"])
    ) as follower:
        writer.commit()
    if order["die"] == "steps":
        print(json.dumps(follower.steps()))
        return
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
