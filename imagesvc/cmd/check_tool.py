"""Checks of the programs that the configured drivers run, with their versions."""

import dataclasses
import importlib.metadata
import shutil
import subprocess
from collections.abc import Iterator

from oslo_config import cfg

from imagesvc.backend import config
from imagesvc.backend import kind as kinds
from imagesvc.cmd import verdict
from imagesvc.domain.guest import Detect

PATH = "/usr/bin:/usr/sbin:/bin:/sbin:/usr/local/bin"
_TIMEOUT_S = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Tool:
    """A program, its package on Debian, and the drivers (kind, name) that run it."""

    name: str
    package: str
    drivers: tuple[tuple[str, str], ...]
    without: str = ""  # what it is like without one that is not needed


_BLIND = "disks of guests are not looked into"
_ONE_WALL = f"Landlock alone holds tools, and {_BLIND}"
_QEMU, _QEMU_IMG = ("compute", "qemu"), ("converter", "qemu_img")
TOOLS = (
    Tool("qemu-img", "qemu-utils", (_QEMU_IMG, _QEMU)),
    Tool("qemu-system-x86_64", "qemu-system-x86", (_QEMU,)),
    Tool("bwrap", "bubblewrap", (_QEMU_IMG, _QEMU), _ONE_WALL),
    Tool("prlimit", "util-linux", (_QEMU_IMG, _QEMU), _ONE_WALL),
    Tool("qemu-nbd", "qemu-utils", (_QEMU_IMG,), _BLIND),
)
# The Sleuth Kit, a library that the sandboxed child of the converter loads.
LIBRARY = "pytsk3"


def tools(conf: cfg.ConfigOpts) -> Iterator[verdict.Verdict]:
    """Each program that an enabled driver runs: there, and which version."""
    enabled = {
        (kind.name, driver)
        for kind in kinds.KINDS
        for driver in config.enabled(conf, kind).values()
    }
    for tool in TOOLS:
        if not enabled.intersection(tool.drivers):
            continue
        path = shutil.which(tool.name, path=PATH)
        if path:
            yield verdict.ok(f"tool {tool.name}", _version(path))
        elif not tool.without:
            yield verdict.failed(f"tool {tool.name}", f"not in {PATH}: install {tool.package}")
        else:
            yield verdict.warning(
                f"tool {tool.name}",
                f"not in {PATH}: install {tool.package}; without it {tool.without}",
            )
    if _QEMU_IMG in enabled and conf.image.detect != Detect.OFF:
        yield _library()


def _library() -> verdict.Verdict:
    try:
        version = importlib.metadata.version(LIBRARY)
    except importlib.metadata.PackageNotFoundError:  # it is an extra
        return verdict.warning(
            f"library {LIBRARY}",
            f"pip install imagesvc[guest], or set [image] detect = off; without it {_BLIND}",
        )
    return verdict.ok(f"library {LIBRARY}", version)


def _version(path: str) -> str:
    """What the system's own program says of itself; it gets no bytes of anybody."""
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:  # the version is for reading alone
        return f"{path}, version not told ({type(exc).__name__})"
    line = (done.stdout.decode(errors="replace").splitlines() or ["version not told"])[0]
    return f"{path}, {line}"
