"""Named points where a test may kill the process.

A no-op unless the environment variable IMAGESVC_CRASHPOINT names the point; then the
process kills itself with SIGKILL. With IMAGESVC_CRASHPOINT_ONCE set to a path, it does so
only while that file does not exist, and creates it first, so that a restarted process lives.
"""

import os
import signal

_NAME = os.environ.get("IMAGESVC_CRASHPOINT", "")
_ONCE = os.environ.get("IMAGESVC_CRASHPOINT_ONCE", "")


def crashpoint(name: str) -> None:
    """Kill this process if `name` is the point asked for."""
    if name != _NAME:
        return
    if _ONCE:
        try:
            os.close(os.open(_ONCE, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
