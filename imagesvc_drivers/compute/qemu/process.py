"""The QEMU process of a server: started apart from the service, found again, ended.

A process is ours if its pid still has the start time that was written down, or, when the
service died before it could write, if the pid file names a process with the server's uuid.
"""

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc_drivers.client import record
from imagesvc_drivers.compute.qemu import monitor, server_folder

_POLL_S = 0.03
_LOG_TAIL_BYTES = 2000


def start_time(pid: int) -> str | None:
    """Start time of a living process in clock ticks since boot (proc(5), field 22)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def find(folder: server_folder.ServerFolder) -> int | None:
    """Pid of the server's living QEMU, or None."""
    known = folder.process()
    if known and start_time(known["pid"]) == known["start_time"]:
        return int(known["pid"])
    try:
        pid = int(folder.pid_path.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    ours = folder.server_id.encode() in words and start_time(pid) is not None
    return pid if ours else None


def running(folder: server_folder.ServerFolder) -> bool:
    """Whether the server's QEMU lives and was started to the end."""
    known = folder.process()
    return known is not None and find(folder) == known["pid"]


def socket(folder: server_folder.ServerFolder) -> Path | None:
    """The monitor's socket of the server's living QEMU, or None. Raises Busy while it starts."""
    if find(folder) is None:
        return None
    known = folder.process()
    if known is None:
        raise errors.Busy("The server is being started.")
    return Path(known["monitor"])


def settled(folder: server_folder.ServerFolder) -> bool:
    """Whether the server was ever started to the end."""
    return folder.process() is not None


def launch(
    folder: server_folder.ServerFolder,
    argv: Sequence[str],
    sockets: dict[str, Any],
    *,
    timeout_s: float,
) -> None:
    """Start QEMU with the guest halted, write it down, let the guest run.

    Safe to repeat: a process that a dead service left behind is taken over.
    Raises Unavailable with QEMU's own words for the operator, Busy if a disk is in use.
    """
    pid = find(folder)
    if pid is None:
        folder.pid_path.unlink(missing_ok=True)
        _spawn(folder, argv, Path(sockets["monitor"]), timeout_s)
        crashpoint("compute.qemu.spawned")
        pid = find(folder)
    if pid is None:
        raise errors.Unavailable("The server did not start.", _log_tail(folder))
    monitor.command(Path(sockets["monitor"]), "cont")
    crashpoint("compute.qemu.continued")
    record.write(folder.process_path, {"pid": pid, "start_time": start_time(pid), **sockets})


def _spawn(
    folder: server_folder.ServerFolder, argv: Sequence[str], socket: Path, timeout_s: float
) -> None:
    """Start `argv` as nobody's child; return when its monitor answers."""
    setsid = shutil.which("setsid")
    if setsid is None:
        raise errors.Unavailable("The server did not start.", "setsid (util-linux) is missing")
    socket.unlink(missing_ok=True)
    ended, held = os.pipe()
    try:
        try:
            with folder.log_path.open("ab") as log:
                log.truncate(0)
                subprocess.run(
                    [setsid, "--fork", *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    cwd="/", pass_fds=(held,), timeout=timeout_s, check=True,
                )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as exc:
            raise errors.Unavailable("The server did not start.", str(exc)) from exc
        finally:
            os.close(held)
        _await_monitor(folder, socket, ended, time.monotonic() + timeout_s)
    finally:
        os.close(ended)


def _await_monitor(
    folder: server_folder.ServerFolder, socket: Path, ended: int, deadline: float
) -> None:
    """Wait for the greeting. QEMU inherits the other end of `ended`, so its end is seen."""
    while time.monotonic() < deadline:
        if select.select([ended], [], [], _POLL_S)[0]:
            text = _log_tail(folder)
            if 'Failed to get "write" lock' in text:
                raise errors.Busy("A disk of the server is being copied.", text)
            raise errors.Unavailable("The server did not start.", text)
        if not (socket.exists() and folder.pid_path.exists()):
            continue
        try:
            monitor.command(socket, "query-status", timeout_s=5)
        except errors.Unavailable:
            continue
        return
    raise errors.Timeout("The server did not start in time.", _log_tail(folder))


def _log_tail(folder: server_folder.ServerFolder) -> str:
    text = folder.log_path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
    return text or "QEMU ended without a word"


def end(folder: server_folder.ServerFolder, *, powerdown_s: float = 0, quit_s: float = 10) -> None:
    """End the server's QEMU: asked through the guest, then flushed and quit, then killed."""
    pid = find(folder)
    if pid is None:
        return
    known = folder.process()
    fd = os.pidfd_open(pid)
    try:
        if find(folder) != pid:
            return
        if known and powerdown_s and _ask(Path(known["monitor"]), "system_powerdown"):
            _ended(fd, powerdown_s)
        if known and _ask(Path(known["monitor"]), "quit") and _ended(fd, quit_s):
            return
        signal.pidfd_send_signal(fd, signal.SIGTERM)
        if not _ended(fd, quit_s):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        if not _ended(fd, quit_s):
            raise errors.Timeout("The server did not stop.", f"pid {pid} survives SIGKILL")
    except ProcessLookupError:
        return
    finally:
        os.close(fd)


def _ask(socket: Path, name: str) -> bool:
    """Whether QEMU took the command; one that ended before it answered did."""
    try:
        monitor.command(socket, name, timeout_s=5)
    except errors.Timeout:
        return False
    except errors.DriverError:
        return True
    return True


def _ended(fd: int, wait_s: float) -> bool:
    return bool(select.select([fd], [], [], wait_s)[0])
