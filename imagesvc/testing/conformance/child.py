"""Drive a driver in a process of its own, so that it can be killed at a named point.

    python -m imagesvc.testing.conformance.child < pickled (class, backend id, options, call)

The call is (method, arguments, keywords); if it gives a handle, the child polls it to its end.
"""

import os
import pickle
import subprocess
import sys
import time
from typing import Any

from imagesvc.interface import base
from imagesvc.testing.conformance.base import options_of

Recipe = tuple[type[base.Driver], str, dict[str, Any]]
_PAUSE_S = 0.05
_LIMIT_S = 120


def run_to_crash_point(
    recipe: Recipe, point: str, method: str, *arguments: Any, **keywords: Any
) -> int:
    """Call `method` in a child that dies at `point`; give its return code (-9 if it died)."""
    done = subprocess.run(
        [sys.executable, "-m", "imagesvc.testing.conformance.child"],
        input=pickle.dumps((*recipe, (method, arguments, keywords))),
        env={**os.environ, "IMAGESVC_CRASHPOINT": point, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=_LIMIT_S,
        check=False,
    )
    return done.returncode


def main() -> None:
    """Make the driver, make the call, follow its handle."""
    driver_class, backend_id, options, call = pickle.load(sys.stdin.buffer)  # noqa: S301
    method, arguments, keywords = call
    driver = driver_class(options_of(driver_class, options), backend_id=backend_id)
    driver.open()
    handle = getattr(driver, method)(*arguments, **keywords)
    while method.startswith("start_") and handle and not driver.poll(handle).done:
        time.sleep(_PAUSE_S)
    driver.close()


if __name__ == "__main__":
    main()
