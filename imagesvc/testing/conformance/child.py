"""Drive a driver in a process of its own, so that it can be killed.

    python -m imagesvc.testing.conformance.child < pickled (recipe, step, most, call)

The recipe is (class, backend id, options), the call (method, arguments, keywords); if it gives a
handle, the child polls it to its end. The child dies at a crash point that the environment names,
or before the step `step` of the driver's code inside the call and its polls; else it prints at most `most` steps
at which it could have died.
"""

import json
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
from imagesvc.testing.conformance.options import options_of

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


def _run(
    recipe: Recipe, call: Any, *, point: str = "", step: line_kill.Step | None = None, most: int = 0
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "imagesvc.testing.conformance.child"],
        input=pickle.dumps((recipe, step, most, call)),
        env=environment(point),
        capture_output=True,
        timeout=_LIMIT_S,
        check=False,
    )


def run_to_crash_point(
    recipe: Recipe, point: str, method: str, *arguments: Any, **keywords: Any
) -> int:
    """Call `method` in a child that dies at `point`; give its return code (-9 if it died)."""
    return _run(recipe, (method, arguments, keywords), point=point).returncode


def steps_of(
    recipe: Recipe, method: str, *arguments: Any, most: int = line_kill.LINES_MAX, **keywords: Any
) -> list[line_kill.Step]:
    """Call `method` in a child; give steps of the driver's code to die at, at most `most`."""
    done = _run(recipe, (method, arguments, keywords), most=most)
    assert done.returncode == 0, done.stderr.decode()
    return [line_kill.Step(*found) for found in json.loads(done.stdout)]


def run_to_step(
    recipe: Recipe, step: line_kill.Step, method: str, *arguments: Any, **keywords: Any
) -> None:
    """Call `method` in a child that dies before that step, if the call gets there."""
    done = _run(recipe, (method, arguments, keywords), step=step)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()


def main() -> None:
    """Make the driver, make the call, follow its handle."""
    recipe, step, most, call = pickle.load(sys.stdin.buffer)  # noqa: S301
    driver_class, backend_id, options = recipe
    method, arguments, keywords = call
    if method == "convert":  # what cannot be sent to another process
        keywords |= {"progress": lambda done, total: None, "cancel": threading.Event()}
    driver = driver_class(options_of(driver_class, options), backend_id=backend_id)
    driver.open()
    with line_kill.followed(driver_class, step) as follower:
        handle = getattr(driver, method)(*arguments, **keywords)
        while method.startswith("start_") and handle and not driver.poll(handle).done:
            time.sleep(_PAUSE_S)
    driver.close()
    print(json.dumps(follower.steps(most)))


if __name__ == "__main__":
    main()
