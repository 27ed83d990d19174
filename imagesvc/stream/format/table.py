"""Signatures of the formats that we can tell apart, and the rules of those that we judge."""

import dataclasses
from typing import Protocol

from imagesvc.stream.format import iso, qcow, qcow2, qed, raw, vdi, vhd, vhdx, vmdk

# Bytes at the start that the rules look at: the QCOW2 header with its extensions, and the
# first volume descriptor of a disc, which ends at 34,816.
HEAD_BYTES = 64 << 10
# Bytes at the end: a VHD footer, the trailer of an Apple disk image, the footer of a VMDK stream.
TAIL_BYTES = 1536


class Rule(Protocol):
    """Judges one format: first the head, once it is there, then the whole."""

    def head(self, head: bytes) -> int:
        """Judge the first bytes: HEAD_BYTES, or all if there are no more.

        Returns 0, or how many of the first bytes it must see: then it is called again with
        those. Raises UnsupportedImage, TooLarge.
        """
        ...

    def end(self, total: int, tail: bytes) -> int:
        """Judge the length and the last TAIL_BYTES, and give the virtual size in bytes. Raises UnsupportedImage."""
        ...


class RuleMaker(Protocol):
    def __call__(self, virtual_cap_bytes: int) -> Rule: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """Bytes that give a format away; a negative place counts from the end."""

    disk_format: str
    at: int
    magic: bytes


RULES: dict[str, RuleMaker] = {
    "raw": raw.RawRule,
    "qcow2": qcow2.Qcow2Rule,
    "iso": iso.IsoRule,
    "vmdk": vmdk.VmdkRule,
    "vhd": vhd.VhdRule,
    "vhdx": vhdx.VhdxRule,
    "vdi": vdi.VdiRule,
    "qed": qed.QedRule,
    "qcow": qcow.QcowRule,
}

SIGNATURES = (
    Signature("qcow2", 0, b"QFI\xfb"),
    Signature("vmdk", 0, b"KDMV"),
    Signature("vmdk", 0, b"COWD"),
    Signature("vmdk", 0, b"# Disk Desc"),
    Signature("vhd", 0, b"conectix"),
    Signature("vhd", -512, b"conectix"),
    Signature("vhd", -511, b"conectix"),  # footers of 511 bytes, from before Virtual PC 2004
    Signature("vhdx", 0, b"vhdxfile"),
    Signature("vdi", 0, b"<<< "),
    Signature("vdi", 64, b"\x7f\x10\xda\xbe"),
    Signature("qed", 0, b"QED\x00"),
    Signature("luks", 0, b"LUKS\xba\xbe"),
    Signature("iso", iso.DESCRIPTOR_AT + 1, b"CD001"),
    Signature("iso", iso.DESCRIPTOR_AT + 1, b"BEA01"),
    Signature("iso", iso.DESCRIPTOR_AT + 1, b"NSR02"),
    Signature("iso", iso.DESCRIPTOR_AT + 1, b"NSR03"),
    Signature("parallels", 0, b"WithoutFreeSpace"),
    Signature("parallels", 0, b"WithouFreSpacExt"),
    Signature("bochs", 0, b"Bochs Virtual HD Image"),
    Signature("cloop", 0, b"#!/bin/sh\n#V2.0 Format\n"),
    Signature("dmg", -512, b"koly"),
)

# The first version of QCOW2's ancestor begins as that does.
_QCOW_ONE = b"QFI\xfb\0\0\0\1"
# Formats that may show at the end alone.
AT_END = frozenset({"vhd"})


def detect(head: bytes, tail: bytes = b"") -> set[str]:
    """Name every format whose signature is in the first or the last bytes."""
    found = {
        one.disk_format
        for one in SIGNATURES
        if (head if one.at >= 0 else tail)[one.at :].startswith(one.magic) and len(tail) >= -one.at
    }
    if _is_vmdk_text(head):
        found.add("vmdk")
    if head.startswith(_QCOW_ONE):
        found = (found - {"qcow2"}) | {"qcow"}
    return found


def _is_vmdk_text(head: bytes) -> bool:
    """Tell a descriptor as tools do: after comments and blank lines comes `version=`."""
    for line in head.split(b"\n", 64)[:64]:
        line = line.strip(b" \t\r")
        if line and not line.startswith(b"#"):
            return line.startswith(b"version=")
    return False
