"""Looks into guests: starts `guest.launch` in the sandbox and judges what it says.

Python's interpreter and pytsk3 (The Sleuth Kit 4) are shown inside, nothing else of the service's
packages. Structured formats are served in there by `qemu-nbd`, read-only and told the format.
"""

import contextlib
import importlib.util
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from imagesvc.interface import converter, errors
from imagesvc_drivers.client import sandbox
from imagesvc_drivers.converter.guest import launch

CPU_S, WALL_S = 4, 4.0  # of a look; a sound guest takes 0.3 s, 1 s where much is going on
_OUTPUT_BYTES_MAX = 64 << 10
_TEXT_LENGTH_MAX = 128
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ +-]{0,63}")
_NBD_TOOL = "qemu-nbd"
_TOOL_PATH = "/usr/bin:/usr/sbin:/usr/local/bin"
_PLAIN = frozenset({"raw"})  # what needs no tool to be read
_NBD_URL = "nbd+unix:///?socket=/in/nbd"


def library() -> Path | None:
    """The file of pytsk3; None if it is not installed."""
    found = importlib.util.find_spec("pytsk3")
    return Path(found.origin) if found is not None and found.origin else None


class Sniffer:
    """Finds facts of guests; safe to share among threads."""

    def __init__(self, box: sandbox.Sandbox) -> None:
        self._sandbox = box
        self._library = library()

    @property
    def able(self) -> bool:
        """Whether what it needs is installed, and held in well enough as far as that was tried."""
        return self._library is not None and self._sandbox.found is not sandbox.Level.LANDLOCK

    def facts(
        self, source: converter.Source, qemu_name: str, limits: converter.Limits
    ) -> converter.GuestFacts:
        """Look; what was found before a limit ended the look is given. Raises NotSupported."""
        if self._library is None:
            raise errors.NotSupported("Guests are not looked into: pytsk3 is not installed.")
        # Disks find ways to take the library over: then the host's unix sockets must be out of reach.
        if self._sandbox.level() is sandbox.Level.LANDLOCK:
            raise errors.NotSupported("Guests are not looked into: bubblewrap does not hold tools.")
        said = bytearray()

        def hear(data: bytes) -> None:
            said.extend(data[: _OUTPUT_BYTES_MAX - len(said)])

        with tempfile.TemporaryDirectory(prefix="imagesvc-guest-") as folder:
            reads, words = _words(source, qemu_name)
            # A hostile disk may take all the time there is.
            with contextlib.suppress(errors.Timeout, sandbox.EndlessOutput):
                self._sandbox.run(
                    [_interpreter(), "-I", "-S", "-B", launch.__file__, str(self._library), *words],
                    reads=reads,
                    writes=Path(folder),
                    programs=self._programs(),
                    listens=True,
                    limits=limits,
                    on_stdout=hear,
                )
        return judge(bytes(said))

    def _programs(self) -> list[Path]:
        top = Path(launch.__file__).resolve().parents[2]
        outside = [] if sys.base_prefix == "/usr" else [Path(sys.base_prefix)]
        return [*outside, top, *([self._library] if self._library else [])]


def judge(said: bytes) -> converter.GuestFacts:
    """The facts in what the child has written, as a stranger's words.

    A hostile disk may have taken the child over, or ended it in the middle of a line.
    """
    found: dict[str, Any] = {}
    for line in said[:_OUTPUT_BYTES_MAX].split(b"\n"):
        try:
            words = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(words, dict):
            found |= {name: value for name, value in words.items() if value is not None}
    return converter.GuestFacts(
        os_type=_choice(found.get("os_type"), converter.OS_TYPES),
        os_distro=_word(found.get("os_distro")),
        os_version=_word(found.get("os_version")),
        os_name=_text(found.get("os_name")),
        architecture=_choice(found.get("architecture"), converter.ARCHITECTURES),
        firmware=_choices(found.get("firmware"), converter.FIRMWARES),
        virtio=_flag(found.get("virtio")),
        cloud_init=_flag(found.get("cloud_init")),
        label=_text(found.get("label")),
        file_systems=_choices(found.get("file_systems"), converter.FILE_SYSTEMS),
    )


def _choice(value: Any, known: tuple[str, ...]) -> str | None:
    return value if isinstance(value, str) and value in known else None


def _choices(value: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    given = value if isinstance(value, list) else []
    return tuple(sorted({one for one in given if isinstance(one, str) and one in known}))


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _text(value: Any) -> str | None:
    good = isinstance(value, str) and 0 < len(value) <= _TEXT_LENGTH_MAX and value.isprintable()
    return value if good else None


def _interpreter() -> str:
    """The interpreter itself: that of a virtual environment is a link to it."""
    return str(Path(sys.executable).resolve())


def _words(source: converter.Source, qemu_name: str) -> tuple[dict[str, Path], list[str]]:
    """What is shown inside, and what `guest.look` is told."""
    if source.path is not None:
        reads, place, plain = {"image": source.path}, "/in/image", ["file", "/in/image"]
    elif source.nbd_socket is not None:
        reads, place, plain = {"nbd": source.nbd_socket}, _NBD_URL, ["nbd", "/in/nbd"]
    else:
        raise errors.InvalidArgument("The source names neither a file nor a socket.")
    if qemu_name in _PLAIN:
        return reads, plain
    tool = shutil.which(_NBD_TOOL, path=_TOOL_PATH)
    if tool is None:
        raise errors.NotSupported("Guests are not looked into: qemu-nbd is not installed.")
    return reads, ["nbd", "/out/nbd", tool, qemu_name, place]
