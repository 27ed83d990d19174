"""Drive a driver in a process of its own, so that it can be killed.

    python -m imagesvc.testing.conformance.child < pickled (class, backend id, options, line, call)

The call is (method, arguments, keywords); if it gives a handle, the child polls it to its end.
The child dies at a crash point that the environment names, or before line `line` of the driver's
code inside the call; else it prints how many such lines there were.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from imagesvc.interface import base
from imagesvc.testing.conformance import line_kill
from imagesvc.testing.conformance.base import options_of

Recipe = tuple[type[base.Driver], str, dict[str, Any]]
_PAUSE_S = 0.05
_LIMIT_S = 120


def environment(point: str = "") -> dict[str, str]:
    """Variables of a child: it finds the same modules, writes none, and dies at `point`."""
    return {
        **os.environ,
        "IMAGESVC_CRASHPOINT": point,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _run(recipe: Recipe, point: str, line: int, call: Any) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "imagesvc.testing.conformance.child"],
        input=pickle.dumps((*recipe, line, call)),
        env=environment(point),
        capture_output=True,
        timeout=_LIMIT_S,
        check=False,
    )


def run_to_crash_point(
    recipe: Recipe, point: str, method: str, *arguments: Any, **keywords: Any
) -> int:
    """Call `method` in a child that dies at `point`; give its return code (-9 if it died)."""
    return _run(recipe, point, 0, (method, arguments, keywords)).returncode


def count_lines(recipe: Recipe, method: str, *arguments: Any, **keywords: Any) -> int:
    """Call `method` in a child; give the number of the driver's lines inside the call."""
    done = _run(recipe, "", 0, (method, arguments, keywords))
    assert done.returncode == 0, done.stderr.decode()
    return int(done.stdout)


def run_to_line(recipe: Recipe, line: int, method: str, *arguments: Any, **keywords: Any) -> None:
    """Call `method` in a child that dies before that line, if the call gets there."""
    done = _run(recipe, "", line, (method, arguments, keywords))
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()


def main() -> None:
    """Make the driver, make the call, follow its handle."""
    driver_class, backend_id, options, line, call = pickle.load(sys.stdin.buffer)  # noqa: S301
    method, arguments, keywords = call
    if method == "convert":  # what cannot be sent to another process
        keywords |= {"progress": lambda done, total: None, "cancel": threading.Event()}
    driver = driver_class(options_of(driver_class, options), backend_id=backend_id)
    driver.open()
    with line_kill.counted(driver_class, line) as counter:
        handle = getattr(driver, method)(*arguments, **keywords)
    while method.startswith("start_") and handle and not driver.poll(handle).done:
        time.sleep(_PAUSE_S)
    driver.close()
    print(counter.count)


if __name__ == "__main__":
    main()
