"""Reads a trace of system calls: was everything flushed that would be lost with the power?"""

import re
from collections.abc import Sequence
from pathlib import Path

_CALLS = (
    "write,writev,pwrite64,pwritev,pwritev2,copy_file_range,sendfile,"
    "fsync,fdatasync,sync,syncfs,link,linkat,rename,renameat,renameat2"
)
_CALL = re.compile(r"^(?:\d+\s+)?(\w+)\((.*?)(?:\)\s+=\s+(-?\d+).*| <unfinished \.\.\.>)$")
_FILE = re.compile(r"^\d+<(/[^>]*)>")
_TARGET = re.compile(r'"([^"]*)"')
_NAMES = ("link", "linkat", "rename", "renameat", "renameat2")


def command(strace: str, trace: Path) -> Sequence[str]:
    """The command before the command to be traced."""
    return (strace, "-f", "-y", "-s", "0", "-e", f"trace={_CALLS}", "-o", str(trace))


def judge(trace: Path, bytes_min: int) -> tuple[int, list[str]]:
    """Give how many local files took at least `bytes_min`, and what stayed unflushed.

    Unflushed are such files with a write, and directories with a new name, that no later flush
    was for.
    """
    taken: dict[str, int] = {}
    waiting: set[str] = set()
    folders: set[str] = set()
    for line in trace.read_text("utf-8", "replace").splitlines():
        found = _CALL.match(line)
        if found is None or (found[3] or "0").startswith("-"):
            continue
        name, arguments = found[1], found[2]
        if name in ("sync", "syncfs"):
            waiting.clear()
            folders.clear()
        elif name in _NAMES:
            target = Path(_TARGET.findall(arguments)[-1])
            folders |= {str(target.parent)} if target.is_absolute() else set()
        elif path := _file(name, arguments):
            if name in ("fsync", "fdatasync"):
                waiting.discard(path)
                folders.discard(path)
            else:
                taken[path] = taken.get(path, 0) + int(found[3] or 0)
                waiting.add(path)
    large = {path for path, size in taken.items() if size >= bytes_min}
    return len(large), sorted((waiting & large) | folders)


def _file(name: str, arguments: str) -> str:
    # copy_file_range names its target third, all others first.
    text = arguments
    if name == "copy_file_range":
        text = arguments.split(", ")[2] if arguments.count(", ") > 2 else ""
    found = _FILE.match(text)
    return found[1] if found and not found[1].startswith(("/dev/", "/proc/")) else ""
