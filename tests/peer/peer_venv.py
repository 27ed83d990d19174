"""Virtual environments of peers: each is made once, from PyPI with fixed versions, and kept.

They lie in `.venv-NAME` of the checkout, or where IMAGESVC_NAME_VENV says.
"""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONSTRAINTS = Path(__file__).parent / "constraints"
TRIES = 3
TRY_S = 900.0
PAUSE_S = 10.0


def make(name: str, *packages: str) -> Path:
    """The environment of a peer, made if it is missing or other packages are wanted.

    Runs that ask at the same time wait for one another. Fails with pip's own words after TRIES.
    """
    folder = Path(os.environ.get(f"IMAGESVC_{name.upper()}_VENV", ROOT / f".venv-{name}"))
    constraints = CONSTRAINTS / f"{name}.txt"
    wanted = " ".join(packages) + "\n" + constraints.read_text()
    ready = folder / "ready"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text() != wanted:
            _install(folder, constraints, packages)
            ready.write_text(wanted)
    return folder


def _install(folder: Path, constraints: Path, packages: tuple[str, ...]) -> None:
    commands = (
        [sys.executable, "-m", "venv", "--clear", folder],
        [
            folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "--no-input",
            "--prefer-binary", "--retries", "10", "--timeout", "60", "-c", constraints, *packages,
        ],
    )  # fmt: skip
    for left in reversed(range(TRIES)):
        done = _run(*commands[0])
        if done.returncode == 0:
            done = _run(*commands[1])
        if done.returncode == 0:
            return
        if left:
            time.sleep(PAUSE_S)
    raise AssertionError(f"{folder.name} cannot be made: {done.stdout.decode()[-3000:]}")


def _run(*command: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TRY_S,
        check=False,
    )
