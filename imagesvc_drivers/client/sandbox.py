"""The one way to run a tool on bytes that somebody else wrote.

Bubblewrap with prlimit where user namespaces are open, else Landlock, else nothing: then
`Sandbox.level` raises NotSupported. Inside there is no network, no file but the system's
programs and what the call names, and never more memory, time and output than its limits.
"""

import enum
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagesvc.interface import errors
from imagesvc_drivers.client import landlock, process, seccomp
from imagesvc_drivers.client.process import Cancelled, EndlessOutput, Result

__all__ = ["Cancelled", "EndlessOutput", "Level", "Limits", "Result", "Sandbox"]

# Open images, sockets and libraries of one qemu-img: 20 at most were seen.
_OPEN_FILES = 64
_ENV = {"PATH": "/usr/bin", "MALLOC_ARENA_MAX": "1", "LC_ALL": "C"}
_TOOL_PATH = "/usr/bin:/usr/sbin:/usr/local/bin"
_KILLED = frozenset({-signal.SIGKILL, -signal.SIGXCPU, 128 + signal.SIGKILL, 128 + signal.SIGXCPU})


class Level(enum.StrEnum):
    """What holds the tool in."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"


class Limits(Protocol):
    """Bounds of one run; `output_bytes` is the size of the largest file that it may write."""

    @property
    def cpu_s(self) -> int: ...
    @property
    def wall_s(self) -> float: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def output_bytes(self) -> int: ...


class Sandbox:
    """Runs tools; safe to share among threads."""

    def __init__(self, level: Level | None = None) -> None:
        """Use `level`, or the best that this machine has."""
        self._wanted = level
        self._level: Level | None = None
        self._lock = threading.Lock()

    def level(self) -> Level:
        """Say which level is in force; tried once. Raises NotSupported if there is none."""
        with self._lock:
            if self._level is None:
                self._level = self._find()
            return self._level

    @property
    def found(self) -> Level | None:
        """The level in force if it was tried, None before."""
        return self._level

    def run(
        self,
        argv: list[str],
        *,
        reads: Mapping[str, Path] | Iterable[Path] = (),
        writes: Path | None = None,
        disks: Mapping[str, Path] | None = None,
        programs: Iterable[Path] = (),
        listens: bool = False,
        limits: Limits,
        on_stdout: Callable[[bytes], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Result:
        """Run `argv[0]`, a program of the system or a path, and wait for it.

        `reads` names files or unix sockets: a mapping shows them as `/in/NAME`, a list of
        absolute paths under their own paths, as an overlay with a base needs. The folder
        `writes` is `/out`. `disks` are files or block devices that are written in place, shown as
        `/disk/NAME`. Name them so in `argv`. `programs` are files and folders of programs that lie
        elsewhere than the system's, shown under their own paths. A tool that `listens` makes a
        unix socket in `/out`. `on_stdout` gets standard output
        as it comes instead of the result. Raises Timeout when a limit of time was reached,
        Cancelled, InvalidConfiguration if the tool is missing, EndlessOutput if it writes too much.
        """
        level = self.level()
        run = _Run(level, argv, reads, writes, limits, disks or {}, programs, listens)
        return run.wait(limits.wall_s, on_stdout, cancel)

    def _find(self) -> Level:
        for level in (self._wanted,) if self._wanted else tuple(Level):
            try:
                if _Run(level, ["true"], (), None, _TRIAL).wait(_TRIAL.wall_s).returncode == 0:
                    return level
            except (errors.DriverError, OSError):
                continue
        raise errors.NotSupported(
            "Disk images cannot be read here: tools have no sandbox.",
            "No sandbox: install bubblewrap and util-linux and allow user namespaces "
            "(sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0), "
            "or run a kernel with Landlock (5.13 or later, lsm=...,landlock).",
        )


@dataclass(frozen=True, slots=True)
class _Trial:
    cpu_s: int = 10
    wall_s: float = 20.0
    memory_bytes: int = 1 << 30
    output_bytes: int = 0


_TRIAL = _Trial()


class _Run:
    """One tool run: the command line, its process, its output."""

    def __init__(
        self,
        level: Level,
        argv: list[str],
        reads: Mapping[str, Path] | Iterable[Path],
        writes: Path | None,
        limits: Limits,
        disks: Mapping[str, Path] | None = None,
        programs: Iterable[Path] = (),
        listens: bool = False,
    ) -> None:
        tool = shutil.which(argv[0], path=_TOOL_PATH)
        if tool is None:
            raise errors.InvalidConfiguration(
                "A tool is missing on the server.", f"Install {argv[0]}: it is not in {_TOOL_PATH}."
            )
        self._tool = argv[0]
        self._argv = [tool, *argv[1:]]
        self._reads = _places(reads)
        self._disks = {f"/disk/{name}": path.absolute() for name, path in (disks or {}).items()}
        self._programs = [str(path.absolute()) for path in programs]
        self._writes = writes.absolute() if writes is not None else None
        self._command = {Level.BUBBLEWRAP: self._bubblewrap, Level.LANDLOCK: self._landlock}[level]
        self._limits = limits
        # Landlock keeps no tool from the sockets of others: there it has none without need.
        needed = listens or any(path.is_socket() for path in self._reads.values())
        self._filter = seccomp.program(sockets=needed or level is not Level.LANDLOCK)

    def wait(
        self,
        wall_s: float,
        on_stdout: Callable[[bytes], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Result:
        with _memory_file(self._filter) as fd:
            child = subprocess.Popen(
                self._command(fd),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_ENV,
                cwd="/",
                pass_fds=(fd,),
                start_new_session=True,
            )
        with child:
            try:
                result = process.collect(child, self._tool, wall_s, on_stdout, cancel)
            finally:
                process.kill_group(child)
        if result.returncode in _KILLED:
            raise errors.Timeout(
                "The image takes too much time to read.",
                f"{self._tool} reached its CPU limit of {self._limits.cpu_s} s, or was killed.",
                retryable=False,
            )
        return result

    def _bubblewrap(self, seccomp_fd: int) -> list[str]:
        limits = self._limits
        command = [
            _system("prlimit"), f"--as={limits.memory_bytes}", f"--cpu={limits.cpu_s}",
            f"--fsize={limits.output_bytes}", f"--nofile={_OPEN_FILES}", "--core=0", "--",
            _system("bwrap"), "--unshare-all", "--die-with-parent", "--new-session",
            "--cap-drop", "ALL", "--uid", "65534", "--gid", "65534", "--clearenv",
        ]  # fmt: skip
        for name, value in _ENV.items():
            command += ["--setenv", name, value]
        command += ["--ro-bind", "/usr", "/usr"]
        for name in ("lib", "lib64", "bin"):
            command += ["--symlink", f"usr/{name}", f"/{name}"]
        command += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
        command += ["--dev", "/dev", "--size", "1048576", "--tmpfs", "/tmp"]  # noqa: S108
        for program in self._programs:
            command += ["--ro-bind", program, program]
        for inside, path in self._reads.items():
            command += ["--ro-bind", str(path), inside]
        if self._writes is not None:
            command += ["--bind", str(self._writes), "/out"]
        for inside, path in self._disks.items():
            command += ["--dev-bind", str(path), inside]
        if self._filter:
            command += ["--seccomp", str(seccomp_fd)]
        return [*command, "--chdir", "/tmp", "--", *self._argv]  # noqa: S108

    def _landlock(self, _seccomp_fd: int) -> list[str]:
        if not self._filter:
            raise errors.NotSupported("Landlock alone does not close the network here.")
        limits = self._limits
        plan = {
            "read": [str(path.resolve()) for path in self._reads.values()],
            "program": self._programs,
            "write": [
                *([str(self._writes)] if self._writes is not None else []),
                *(str(path.resolve()) for path in self._disks.values()),
            ],
            "rlimit": {
                "RLIMIT_AS": limits.memory_bytes, "RLIMIT_CPU": limits.cpu_s,
                "RLIMIT_FSIZE": limits.output_bytes, "RLIMIT_NOFILE": _OPEN_FILES,
                "RLIMIT_CORE": 0,
            },
            "env": _ENV,
            "seccomp": self._filter.hex(),
        }  # fmt: skip
        argv = [self._outside(word) for word in self._argv]
        launcher = [sys.executable, "-I", "-S", str(Path(landlock.__file__).resolve())]
        return [*launcher, json.dumps(plan), *argv]

    def _outside(self, word: str) -> str:
        """Replace the names of inside, as Landlock moves no file."""
        places = {inside: str(path) for inside, path in (self._reads | self._disks).items()}
        if self._writes is not None:
            places["/out"] = str(self._writes)
        for inside, path in places.items():
            if inside != path and inside in word:
                if "," in path:
                    raise errors.InvalidConfiguration(f"The path {path} may not hold a comma.")
                word = word.replace(inside, path)
        return word


def _places(reads: Mapping[str, Path] | Iterable[Path]) -> dict[str, Path]:
    if isinstance(reads, Mapping):
        return {f"/in/{name}": path.absolute() for name, path in reads.items()}
    return {str(path.absolute()): path.absolute() for path in reads}


def _system(tool: str) -> str:
    path = shutil.which(tool, path=_TOOL_PATH)
    if path is None:
        raise errors.NotSupported(f"{tool} is not installed.")
    return path


@contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    fd = os.memfd_create("filter", os.MFD_CLOEXEC)
    try:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
