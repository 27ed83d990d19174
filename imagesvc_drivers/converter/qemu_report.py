"""What qemu-img calls formats, and what it says of images, in the words of the contract."""

import json
from typing import Any

from imagesvc.interface import converter, errors
from imagesvc_drivers.client import sandbox

# Our names of formats, and QEMU's. A disc is raw bytes to QEMU.
_QEMU_NAMES = {
    "raw": "raw", "iso": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi",
    "vhd": "vpc", "vhdx": "vhdx", "qed": "qed", "qcow": "qcow",
}  # fmt: skip


def qemu_name(disk_format: str) -> str:
    """QEMU's name of a format. Raises NotSupported."""
    if disk_format not in _QEMU_NAMES:
        raise errors.NotSupported(f"qemu-img is not used for the format {disk_format}.")
    return _QEMU_NAMES[disk_format]


def parse(result: sandbox.Result) -> dict[str, Any]:
    """The JSON that it wrote. Raises UnsafeImage."""
    try:
        value = json.loads(result.stdout)
    except ValueError as exc:
        raise unsafe("what was read of it makes no sense.", result) from exc
    return value if isinstance(value, dict) else {}


def format_info(report: dict[str, Any], disk_format: str) -> converter.FormatInfo:
    """Its report on an image. Raises UnsafeImage."""
    specific = report.get("format-specific", {}).get("data", {})
    if specific.get("corrupt"):
        raise converter.UnsafeImage("it is marked as corrupt.")
    if report.get("snapshots"):
        raise converter.UnsafeImage("it holds internal snapshots.")
    name = str(report.get("format", ""))
    return converter.FormatInfo(
        disk_format=disk_format if name == qemu_name(disk_format) else name,
        virtual_size_bytes=int(report.get("virtual-size", -1)),
        actual_size_bytes=int(report.get("actual-size", 0)),
        backing_file="backing-filename" in report or "full-backing-filename" in report,
        # The second key, whatever its value, is there exactly for images with a data file.
        data_file="data-file" in specific or "data-file-raw" in specific,
        encrypted=bool(report.get("encrypted")) or "encrypt" in specific,
        sub_format=str(specific.get("compat") or specific.get("create-type") or ""),
    )


def unsafe(cause: str, result: sandbox.Result) -> converter.UnsafeImage:
    """The error for an image, with what the tool said for the operator."""
    told = result.stderr[-500:].decode(errors="replace").strip()
    return converter.UnsafeImage(cause, f"{cause} exit={result.returncode} stderr={told!r}")
