"""qemu-img (QEMU 7.2 or later), always in a sandbox and always told the format."""

import dataclasses
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from oslo_config import cfg

from imagesvc.interface import base, converter, errors
from imagesvc_drivers.client import sandbox
from imagesvc_drivers.converter import qemu_report, raw_stream, sniffer

_SOURCES = ("raw", "iso", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "qed", "qcow")
_TARGETS = ("raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx")
_CHECKED = frozenset({"qcow2", "vmdk", "vdi", "vhdx", "qed"})  # QEMU has no check of a VHD
# Else QEMU rounds a VHD to cylinders, and the guest's disk changes its size.
_TARGET_OPTIONS = {
    ("vhd", ""): ["-o", "force_size=on"],
    ("vhd", "dynamic"): ["-o", "force_size=on,subformat=dynamic"],
    ("vhd", "fixed"): ["-o", "force_size=on,subformat=fixed"],
    # Of the same size as with zlib, in a ninth of the time.
    ("qcow2", "zstd"): ["-c", "-o", "compression_type=zstd"],
    ("qcow2", "zlib"): ["-c", "-o", "compression_type=zlib"],
    ("qcow2", "none"): [],
}
_VARIANTS = {"qcow2": ("zstd", "zlib", "none"), "vhd": ("dynamic", "fixed")}
# Formats with larger blocks than a qcow2's clusters: twice its bytes, and their tables. Of a VDI
# whole blocks of 1 MiB are written, 16 clusters each; other formats leave holes in theirs.
_BLOCK_FACTORS, _BLOCK_FACTOR = {"vdi": 16}, 2
_TABLE_SHARE, _TABLE_BYTES = 256, 16 << 20
_UNORDERED = frozenset({"raw"})  # targets that take parallel writes out of order
_CHECK_CLEAN, _CHECK_LEAKS, _CHECK_NONE = 0, 3, 63
_PROGRESS = re.compile(rb"\(\s*([0-9.]+)/100%\)")
_NBD_URL = "nbd+unix:///?socket=/in/nbd"


class QemuImgConverter(converter.ConverterDriver):
    """Reads raw, iso, qcow2, qed, vmdk, vdi, vhd and vhdx; writes raw, qcow2, vmdk, vdi, vhd and vhdx."""

    contract = converter.VERSION
    OPTS = (
        cfg.IntOpt(
            "cpu_s", default=60, min=1,
            help="CPU seconds for reading one image's structure; what takes more is refused.",
        ),
        cfg.IntOpt(
            "wall_s", default=120, min=1,
            help="Seconds for reading one image's structure; what takes more is refused.",
        ),
        cfg.IntOpt(
            "memory_mib", default=1024, min=384,
            help="MiB of address space for a tool; below 1024 large images fail at random.",
        ),
    )  # fmt: skip

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        self._sandbox = sandbox.Sandbox()
        self._sniffer = sniffer.Sniffer(self._sandbox)
        self._limits = converter.Limits(
            cpu_s=options.cpu_s, wall_s=options.wall_s, memory_bytes=options.memory_mib << 20
        )

    def open(self) -> None:
        """Find the sandbox. Raises NotSupported, which says what to install or allow."""
        self._sandbox.level()

    def info(self) -> base.DriverInfo:
        able = {
            converter.ConverterCapability.CONVERT,
            converter.ConverterCapability.RAW_STREAM,
            converter.ConverterCapability.VARIANTS,
        }
        if self._sniffer.able:
            able.add(converter.ConverterCapability.GUEST_FACTS)
        return base.DriverInfo(
            name="qemu_img", vendor="QEMU", version="1.0", capabilities=frozenset(able)
        )

    def health(self) -> base.Health:
        start = time.monotonic()
        try:
            level = self._sandbox.level()
            result = self._sandbox.run(["qemu-img", "--version"], limits=self._limits)
        except errors.DriverError as exc:
            return base.Health(base.HealthState.DOWN, exc.operator_message)
        latency_ms = (time.monotonic() - start) * 1000
        if result.returncode != 0:
            return base.Health(base.HealthState.DOWN, "qemu-img does not start.", latency_ms)
        state = (
            base.HealthState.OK if level is sandbox.Level.BUBBLEWRAP else base.HealthState.DEGRADED
        )
        version = result.stdout.split(b"\n")[0].decode(errors="replace")
        return base.Health(state, f"{version}; sandbox: {level}", latency_ms)

    def formats(self) -> frozenset[tuple[str, str]]:
        return frozenset((source, target) for source in _SOURCES for target in _TARGETS)

    def probe(
        self, source: converter.Source, *, limits: converter.Limits | None = None
    ) -> converter.FormatInfo:
        result = self._read("info", source, limits)
        if result.returncode != 0:
            raise qemu_report.unsafe("it does not open.", result)
        info = qemu_report.format_info(qemu_report.parse(result), source.disk_format)
        if info.backing_file or info.data_file:
            raise qemu_report.unsafe("it refers to other files.", result)
        return info

    def check(
        self, source: converter.Source, *, limits: converter.Limits | None = None
    ) -> converter.FormatInfo:
        info = self.probe(source, limits=limits)
        if source.disk_format not in _CHECKED:
            return info
        result = self._read("check", source, limits)
        if result.returncode not in (_CHECK_CLEAN, _CHECK_LEAKS):
            raise qemu_report.unsafe("its structure is damaged.", result)
        report = qemu_report.parse(result)
        if report.get("corruptions", 0) or report.get("check-errors", 0):
            raise qemu_report.unsafe("its structure is damaged.", result)
        return info

    def facts(
        self, source: converter.Source, *, limits: converter.Limits | None = None
    ) -> converter.GuestFacts:
        name = qemu_report.qemu_name(source.disk_format)
        usual = dataclasses.replace(self._limits, cpu_s=sniffer.CPU_S, wall_s=sniffer.WALL_S)
        return self._sniffer.facts(source, name, limits or usual)

    def convert(
        self,
        source: converter.Source,
        target: Path,
        target_format: str,
        *,
        progress: Callable[[int, int], None],
        cancel: threading.Event,
        limits: converter.Limits,
        variant: str = "",
    ) -> converter.FormatInfo:
        """Write `source` into the new file `target`, which appears whole or not at all.

        `limits.output_bytes` bounds the file's length, holes included: a raw target needs the
        virtual size. Raises AlreadyExists, NoSpace, Timeout, UnsafeImage, NotSupported.
        """
        if (source.disk_format, target_format) not in self.formats():
            raise errors.NotSupported(
                f"Images of format {source.disk_format} cannot become {target_format}."
            )
        if (target_format, variant) not in _TARGET_OPTIONS and variant:
            raise errors.NotSupported(f"There is no {variant} {target_format}.")
        total = self.probe(source).virtual_size_bytes
        percent = _Percent(total, progress)
        folder = Path(tempfile.mkdtemp(prefix=".convert-", dir=target.parent))
        try:
            written = folder / "image"
            self._write(source, folder, (target_format, variant), percent, cancel, limits)
            result = converter.Source(target_format, path=written)
            info = self.check(result) if target_format in _CHECKED else self.probe(result)
            _publish(written, target)
        finally:
            shutil.rmtree(folder)
        progress(total, total)
        return info

    def variants(self, target_format: str) -> tuple[str, ...]:
        return _VARIANTS.get(target_format, ())

    def measure(
        self,
        source: converter.Source,
        target_format: str,
        *,
        limits: converter.Limits | None = None,
    ) -> int:
        if (source.disk_format, target_format) not in self.formats():
            raise errors.NotSupported(f"Nothing here becomes {target_format}.")
        name = "raw" if target_format == "raw" else "qcow2"
        result = self._read("measure", source, limits, "-O", name)
        if result.returncode != 0:
            raise qemu_report.unsafe("it does not open.", result)
        report = qemu_report.parse(result)
        needed = int(report["required"])
        if target_format in ("raw", "qcow2"):
            return needed
        full = int(report["fully-allocated"])
        tables = full // _TABLE_SHARE + _TABLE_BYTES
        factor = _BLOCK_FACTORS.get(target_format, _BLOCK_FACTOR)
        return min(needed * factor, full) + tables

    def open_raw(self, source: converter.Source, *, limits: converter.Limits) -> BinaryIO:
        reads, place = _place(source)
        name = qemu_report.qemu_name(source.disk_format)
        return cast(BinaryIO, raw_stream.RawStream(self._sandbox, name, place, reads, limits))

    def _read(
        self,
        command: str,
        source: converter.Source,
        limits: converter.Limits | None,
        *more: str,
    ) -> sandbox.Result:
        name = qemu_report.qemu_name(source.disk_format)
        reads, place = _place(source)
        try:
            return self._sandbox.run(
                ["qemu-img", command, "-f", name, *more, "--output=json", place],
                reads=reads,
                limits=limits or self._limits,
            )
        except sandbox.EndlessOutput as exc:
            # One line for each broken cluster: a bomb of shared clusters has 131,072.
            raise converter.UnsafeImage("its structure is damaged.", exc.operator_message) from exc

    def _write(
        self,
        source: converter.Source,
        folder: Path,
        target: tuple[str, str],
        percent: "_Percent",
        cancel: threading.Event,
        limits: converter.Limits,
    ) -> None:
        reads, place = _place(source)
        command = ["qemu-img", "convert", "-p", "-f", qemu_report.qemu_name(source.disk_format)]
        command += ["-O", qemu_report.qemu_name(target[0]), *_TARGET_OPTIONS.get(target, ())]
        if target[0] in _UNORDERED:
            command += ["-m", "4", "-W"]
        result = self._sandbox.run(
            [*command, place, "/out/image"],
            reads=reads,
            writes=folder,
            limits=limits,
            on_stdout=percent.feed,
            cancel=cancel,
        )
        if result.returncode == 0:
            return
        if b"No space left" in result.stderr:
            raise errors.NoSpace("There is no room for the converted image.")
        raise qemu_report.unsafe(
            f"it cannot be converted within {limits.output_bytes} bytes.", result
        )


class _Percent:
    """Turns qemu-img's percentage into bytes done."""

    def __init__(self, total: int, progress: Callable[[int, int], None]) -> None:
        self._total = total
        self._progress = progress
        self._rest = b""

    def feed(self, data: bytes) -> None:
        seen = _PROGRESS.findall(self._rest + data)
        self._rest = (self._rest + data)[-32:]
        if seen:
            self._progress(int(float(seen[-1]) / 100 * self._total), self._total)


def _place(source: converter.Source) -> tuple[dict[str, Path], str]:
    if source.path is not None:
        return {"image": source.path}, "/in/image"
    if source.nbd_socket is not None:
        return {"nbd": source.nbd_socket}, _NBD_URL
    raise errors.InvalidArgument("The source names neither a file nor a socket.")


def _publish(written: Path, target: Path) -> None:
    """Make the file durable and give it its name, which must be free."""
    with written.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(written, target)
    except FileExistsError as exc:
        raise errors.AlreadyExists(f"{target.name} exists already.") from exc
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
