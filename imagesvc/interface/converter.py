"""Converters read, check and convert disk formats with a tool, always in a sandbox.

Local and restartable from nothing, hence blocking. Formats are named by the caller and
never probed.
"""

import abc
import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from imagesvc.interface import base, errors

VERSION = base.Version(1, 1)

# The words of GuestFacts.
OS_TYPES = ("linux", "windows")
ARCHITECTURES = (
    "x86_64", "i686", "aarch64", "armv7l", "riscv64", "s390x", "ppc64", "ppc64le", "loongarch64",
)  # fmt: skip
FIRMWARES = ("bios", "uefi")
FILE_SYSTEMS = (
    "ext", "fat", "ntfs", "iso9660", "exfat", "xfs", "btrfs", "f2fs", "squashfs", "swap", "lvm",
    "luks", "bitlocker",
)  # fmt: skip


class ConverterCapability(base.Capability):
    """What a converter may offer beyond the required methods."""

    CONVERT = "convert"
    GUEST_FACTS = "guest-facts"
    RAW_STREAM = "raw-stream"
    VARIANTS = "variants"


class UnsafeImage(errors.DriverError):
    """The image would make a tool read elsewhere, or is broken; the text names the cause."""


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A file in the named format, or a unix socket that serves it read-only over NBD."""

    disk_format: str
    path: Path | None = None
    nbd_socket: Path | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class FormatInfo:
    """What the tool says of an image; sizes in bytes."""

    disk_format: str
    virtual_size_bytes: int
    actual_size_bytes: int
    backing_file: bool = False
    data_file: bool = False
    encrypted: bool = False
    sub_format: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class GuestFacts:
    """What was found by looking into a guest's disk; None and empty: not known, never a guess.

    `os_type` is one of OS_TYPES, `architecture` of ARCHITECTURES, `firmware` those of FIRMWARES
    that would start the disk, `file_systems` those of FILE_SYSTEMS that are on it. `os_distro` is
    the ID of os-release, or windows; `os_version` VERSION_ID, or numbers as in 10.0.20348;
    `os_name` is for reading. `virtio`: drivers for disk and network; `cloud_init`: it, or
    Cloudbase-Init. `label` is a disc's. The texts come from the disk, hence from a stranger.
    """

    os_type: str | None = None
    os_distro: str | None = None
    os_version: str | None = None
    os_name: str | None = None
    architecture: str | None = None
    firmware: tuple[str, ...] = ()
    virtio: bool | None = None
    cloud_init: bool | None = None
    label: str | None = None
    file_systems: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one tool run."""

    cpu_s: int = 60
    wall_s: float = 120.0
    memory_bytes: int = 1 << 30
    output_bytes: int = 0


class ConverterDriver(base.Driver):
    """Reads and converts disk formats."""

    @abc.abstractmethod
    def formats(self) -> frozenset[tuple[str, str]]:
        """Pairs (source, target) that `convert` takes; (x, x) means x can be checked."""

    @abc.abstractmethod
    def probe(self, source: Source, *, limits: Limits | None = None) -> FormatInfo:
        """Read the image's header in the stated format.

        Raises UnsafeImage for backing files, data files and whatever does not open.
        """

    @abc.abstractmethod
    def check(self, source: Source, *, limits: Limits | None = None) -> FormatInfo:
        """Gate two: `probe`, then the tool's own check of the whole structure.

        Raises UnsafeImage; Timeout if the limits were reached.
        """

    def convert(
        self,
        source: Source,
        target: Path,
        target_format: str,
        *,
        progress: Callable[[int, int], None],
        cancel: threading.Event,
        limits: Limits,
        variant: str = "",
    ) -> FormatInfo:
        """Write `source` into the new file `target` (CONVERT).

        `variant` is one of `variants(target_format)`, or empty for the tool's own choice; it is
        given only to drivers with VARIANTS.
        """
        raise errors.NotSupported("This converter cannot convert.")

    def variants(self, target_format: str) -> tuple[str, ...]:
        """Name the kinds of a format that `convert` can write, the best first (VARIANTS).

        None, zlib and zstd compress a qcow2; a vhd is dynamic or fixed. Formats of one kind have
        none.
        """
        return ()

    def measure(self, source: Source, target_format: str, *, limits: Limits | None = None) -> int:
        """Say how many bytes of disk a conversion takes at most, holes left out (VARIANTS).

        Raises UnsafeImage, NotSupported.
        """
        raise errors.NotSupported("This converter cannot measure.")

    def open_raw(self, source: Source, *, limits: Limits) -> BinaryIO:
        """Read the guest's bytes from first to last, without a file (RAW_STREAM).

        Whoever opens closes, and may do so early. Raises UnsafeImage; `read` raises DriverError
        if it comes to no good end.
        """
        raise errors.NotSupported("This converter has no stream.")

    def facts(self, source: Source, *, limits: Limits | None = None) -> GuestFacts:
        """Look into the guest on a disk, without mounting it (GUEST_FACTS).

        What the disk holds raises nothing: broken, endless or hostile file systems are "not
        known", also when the limits are reached. Raises NotSupported for a format that no pair
        of `formats` names, and where the tools are missing.
        """
        raise errors.NotSupported("This converter does not look into guests.")
