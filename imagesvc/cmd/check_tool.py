"""Checks of the programs that the configured drivers run, with their versions."""

import dataclasses
import shutil
import subprocess
from collections.abc import Iterator

from oslo_config import cfg

from imagesvc.backend import config
from imagesvc.backend import kind as kinds
from imagesvc.cmd import verdict

PATH = "/usr/bin:/usr/sbin:/bin:/sbin:/usr/local/bin"
_TIMEOUT_S = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Tool:
    """A program, its package on Debian, and the drivers (kind, name) that run it."""

    name: str
    package: str
    drivers: tuple[tuple[str, str], ...]
    needed: bool = True


_QEMU, _QEMU_IMG = ("compute", "qemu"), ("converter", "qemu_img")
TOOLS = (
    Tool("qemu-img", "qemu-utils", (_QEMU_IMG, _QEMU)),
    Tool("qemu-system-x86_64", "qemu-system-x86", (_QEMU,)),
    Tool("bwrap", "bubblewrap", (_QEMU_IMG, _QEMU), needed=False),
    Tool("prlimit", "util-linux", (_QEMU_IMG, _QEMU), needed=False),
)


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
        elif tool.needed:
            yield verdict.failed(f"tool {tool.name}", f"not in {PATH}: install {tool.package}")
        else:
            yield verdict.warning(
                f"tool {tool.name}",
                f"not in {PATH}: install {tool.package}; without it Landlock alone holds tools",
            )


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
