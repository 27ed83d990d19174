"""qemu-img (QEMU 7.2 or later), always in a sandbox and always told the format."""

import dataclasses
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oslo_config import cfg

from imagesvc.interface import base, converter, errors
from imagesvc_drivers.client import sandbox
from imagesvc_drivers.converter import sniffer

# Our names of formats, and QEMU's. A disc is raw bytes to QEMU.
_QEMU_NAMES = {
    "raw": "raw", "iso": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi",
    "vhd": "vpc", "vhdx": "vhdx", "qed": "qed",
}  # fmt: skip
_SOURCES = ("raw", "iso", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "qed")
_TARGETS = ("raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx")
_CHECKED = frozenset({"qcow2", "vmdk", "vdi", "vhdx", "qed"})  # QEMU has no check of a VHD
# Else QEMU rounds a VHD to cylinders, and the guest's disk changes its size.
_TARGET_OPTIONS = {"vhd": ["-o", "force_size=on"]}
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
        able = {converter.ConverterCapability.CONVERT}
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
            raise _unsafe("it does not open.", result)
        info = _format_info(_json(result), source.disk_format)
        if info.backing_file or info.data_file:
            raise _unsafe("it refers to other files.", result)
        return info

    def check(
        self, source: converter.Source, *, limits: converter.Limits | None = None
    ) -> converter.FormatInfo:
        info = self.probe(source, limits=limits)
        if source.disk_format not in _CHECKED:
            return info
        result = self._read("check", source, limits)
        if result.returncode not in (_CHECK_CLEAN, _CHECK_LEAKS):
            raise _unsafe("its structure is damaged.", result)
        report = _json(result)
        if report.get("corruptions", 0) or report.get("check-errors", 0):
            raise _unsafe("its structure is damaged.", result)
        return info

    def facts(
        self, source: converter.Source, *, limits: converter.Limits | None = None
    ) -> converter.GuestFacts:
        name = _qemu_name(source.disk_format)
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
    ) -> converter.FormatInfo:
        """Write `source` into the new file `target`, which appears whole or not at all.

        `limits.output_bytes` bounds the file's length, holes included: a raw target needs the
        virtual size. Raises AlreadyExists, NoSpace, Timeout, UnsafeImage, NotSupported.
        """
        if (source.disk_format, target_format) not in self.formats():
            raise errors.NotSupported(
                f"Images of format {source.disk_format} cannot become {target_format}."
            )
        total = self.probe(source).virtual_size_bytes
        folder = Path(tempfile.mkdtemp(prefix=".convert-", dir=target.parent))
        try:
            written = folder / "image"
            self._write(source, folder, target_format, _Percent(total, progress), cancel, limits)
            result = converter.Source(target_format, path=written)
            info = self.check(result) if target_format in _CHECKED else self.probe(result)
            _publish(written, target)
        finally:
            shutil.rmtree(folder)
        progress(total, total)
        return info

    def _read(
        self, command: str, source: converter.Source, limits: converter.Limits | None
    ) -> sandbox.Result:
        name = _qemu_name(source.disk_format)
        reads, place = _place(source)
        try:
            return self._sandbox.run(
                ["qemu-img", command, "-f", name, "--output=json", place],
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
        target_format: str,
        percent: "_Percent",
        cancel: threading.Event,
        limits: converter.Limits,
    ) -> None:
        reads, place = _place(source)
        command = ["qemu-img", "convert", "-p", "-f", _qemu_name(source.disk_format)]
        command += ["-O", _qemu_name(target_format), *_TARGET_OPTIONS.get(target_format, ())]
        if target_format in _UNORDERED:
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
        raise _unsafe(f"it cannot be converted within {limits.output_bytes} bytes.", result)


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


def _qemu_name(disk_format: str) -> str:
    if disk_format not in _QEMU_NAMES:
        raise errors.NotSupported(f"qemu-img is not used for the format {disk_format}.")
    return _QEMU_NAMES[disk_format]


def _place(source: converter.Source) -> tuple[dict[str, Path], str]:
    if source.path is not None:
        return {"image": source.path}, "/in/image"
    if source.nbd_socket is not None:
        return {"nbd": source.nbd_socket}, _NBD_URL
    raise errors.InvalidArgument("The source names neither a file nor a socket.")


def _json(result: sandbox.Result) -> dict[str, Any]:
    try:
        value = json.loads(result.stdout)
    except ValueError as exc:
        raise _unsafe("what was read of it makes no sense.", result) from exc
    return value if isinstance(value, dict) else {}


def _format_info(report: dict[str, Any], disk_format: str) -> converter.FormatInfo:
    specific = report.get("format-specific", {}).get("data", {})
    if specific.get("corrupt"):
        raise converter.UnsafeImage("it is marked as corrupt.")
    if report.get("snapshots"):
        raise converter.UnsafeImage("it holds internal snapshots.")
    name = str(report.get("format", ""))
    return converter.FormatInfo(
        disk_format=disk_format if name == _qemu_name(disk_format) else name,
        virtual_size_bytes=int(report.get("virtual-size", -1)),
        actual_size_bytes=int(report.get("actual-size", 0)),
        backing_file="backing-filename" in report or "full-backing-filename" in report,
        # The second key, whatever its value, is there exactly for images with a data file.
        data_file="data-file" in specific or "data-file-raw" in specific,
        encrypted=bool(report.get("encrypted")) or "encrypt" in specific,
        sub_format=str(specific.get("compat") or specific.get("create-type") or ""),
    )


def _unsafe(cause: str, result: sandbox.Result) -> converter.UnsafeImage:
    told = result.stderr[-500:].decode(errors="replace").strip()
    return converter.UnsafeImage(cause, f"{cause} exit={result.returncode} stderr={told!r}")


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
