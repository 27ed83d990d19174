"""A file system that is soon full."""

import contextlib
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(folder: Path, mib: int) -> Iterator[None]:
    """A tmpfs of so many MiB in a folder that is there; skips where nobody may mount.

    Meanwhile the folder may be moved.
    """
    name = f"small-disk-{uuid.uuid4().hex}"
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", name, str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", name], check=True)
