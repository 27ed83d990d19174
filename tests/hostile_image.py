"""Small hostile disk images, and honest neighbours, for formats that may be declared.

`CASES` maps a name to a `Case`: bytes, the format that the uploader declares, and whether the
two gates together must take it. Built from the format's documents, so no tool is needed.
"""

import dataclasses
import struct

MIB = 1 << 20
CLUSTER = 1 << 16
BACKING_FORMAT, DATA_FILE, BITMAPS, ENCRYPTION = 0xE2792ACA, 0x44415441, 0x23852875, 0x0537BE77
FEATURE_NAMES = 0x6803F857


@dataclasses.dataclass(frozen=True)
class Case:
    """One upload; `late` says that only gate two can see what is wrong."""

    declared: str
    data: bytes
    accepted: bool = False
    late: bool = False


def extension(kind: int, payload: bytes) -> bytes:
    """One header extension of a qcow2 image, padded to 8 bytes."""
    return struct.pack(">II", kind, len(payload)) + payload + bytes(-len(payload) % 8)


def qcow2(
    *,
    extensions: bytes = b"",
    data: bytes = b"",
    backing: bytes = b"",
    l1: bytes | None = None,
    l2: bytes | None = None,
    **fields: int,
) -> bytes:
    """An image of six clusters: header, refcount table and block, L1, L2, data."""
    header = {
        "magic": 0x514649FB, "version": 3, "backing_offset": 0, "backing_length": len(backing),
        "cluster_bits": 16, "size": MIB, "crypt": 0, "l1_size": 1, "l1_offset": 3 * CLUSTER,
        "refcount_offset": CLUSTER, "refcount_clusters": 1, "snapshots": 0,
        "snapshots_offset": 0, "incompatible": 0, "compatible": 0, "autoclear": 0,
        "refcount_order": 4, "length": 104,
    }  # fmt: skip
    version = fields.get("version", 3)
    start = 104 if version == 3 else 72
    body = extensions + extension(0, b"")
    if backing:
        header["backing_offset"] = start + len(body)
    header |= fields
    head = struct.pack(">IIQIIQIIQQIIQQQQII", *header.values())[:start] + body + backing
    tables = (
        struct.pack(">Q", 2 * CLUSTER),
        struct.pack(">6H", *[1] * 6),
        struct.pack(">Q", 4 * CLUSTER | 1 << 63) if l1 is None else l1,
        struct.pack(">Q", 5 * CLUSTER | 1 << 63) if l2 is None else l2,
        data,
    )
    return b"".join(part.ljust(CLUSTER, b"\0") for part in (head, *tables))


def qcow(*, backing: bytes = b"", **fields: int) -> bytes:
    """An image of version 1 without data: header, an L1 table of one entry."""
    header = {
        "magic": 0x514649FB, "version": 1, "backing_offset": 56 if backing else 0,
        "backing_length": len(backing), "mtime": 0, "size": MIB, "cluster_bits": 12, "l2_bits": 9,
        "padding": 0, "crypt": 0, "l1_offset": 48,
    }  # fmt: skip
    header |= fields
    return struct.pack(">IIQIIQBBHIQ", *header.values()) + bytes(8) + backing


def boot_record(*entries: tuple[int, int]) -> bytes:
    """A first sector with partitions of (boot flag, type)."""
    table = b"".join(
        struct.pack("<B3sB3sII", flag, b"\0\1\0", kind, b"\xff\xff\xff", 2048 * n, 2048)
        for n, (flag, kind) in enumerate(entries, 1)
    )
    return bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa"


def disc(system: bytes = b"", *, ident: bytes = b"CD001") -> bytes:
    """A disc of 64 KiB with `system` in its system area."""
    primary = (b"\x01" + ident + b"\x01").ljust(2048, b"\0")
    end = (b"\xff" + ident + b"\x01").ljust(2048, b"\0")
    return (system[:32768].ljust(32768, b"\0") + primary + end).ljust(CLUSTER, b"\0")


def sparse_vmdk() -> bytes:
    """The header of a monolithic sparse VMDK."""
    return struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 2048, 128, 1, 20).ljust(CLUSTER, b"\0")


DESCRIPTOR = (
    b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
    b'createType="monolithicFlat"\nRW 1 FLAT "/etc/passwd" 0\n'
)
FOOTER = b"conectix".ljust(512, b"\0")
VDI = b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + b"\x7f\x10\xda\xbe"
SHARED = struct.pack(">Q", 5 * CLUSTER | 1 << 63) * (CLUSTER // 8)
JSON_NAME = b'json:{"driver":"file","filename":"/etc/passwd"}'


def _qcow2(**changes: object) -> Case:
    return Case("qcow2", qcow2(**changes))  # type: ignore[arg-type]


CASES: dict[str, Case] = {
    "qcow2": Case("qcow2", qcow2(data=b"honest\n" * 100), accepted=True),
    "qcow2-version-2": Case("qcow2", qcow2(version=2), accepted=True),
    "qcow2-feature-names": Case(
        "qcow2", qcow2(extensions=extension(FEATURE_NAMES, bytes(48))), accepted=True
    ),
    "qcow2-leaks-only": Case("qcow2", qcow2(l2=bytes(8)), accepted=True),
    "qcow2-backing": _qcow2(backing=b"/etc/passwd"),
    "qcow2-backing-sibling": _qcow2(backing=b"secret"),
    "qcow2-backing-json": _qcow2(backing=JSON_NAME),
    "qcow2-backing-nbd": _qcow2(backing=b"nbd:127.0.0.1:19599:exportname=x"),
    "qcow2-backing-version-2": _qcow2(version=2, backing=b"/etc/passwd"),
    "qcow2-backing-no-name": _qcow2(backing_offset=512),
    "qcow2-backing-no-place": _qcow2(backing_length=6),
    "qcow2-backing-format": _qcow2(extensions=extension(BACKING_FORMAT, b"raw")),
    "qcow2-data-file": _qcow2(
        incompatible=4, autoclear=2, extensions=extension(DATA_FILE, b"/etc/passwd")
    ),
    "qcow2-data-file-json": _qcow2(incompatible=4, extensions=extension(DATA_FILE, JSON_NAME)),
    "qcow2-data-file-bit": _qcow2(incompatible=4),
    "qcow2-data-file-name": _qcow2(extensions=extension(DATA_FILE, b"/etc/passwd")),
    "qcow2-raw-data-bit": _qcow2(autoclear=2),
    "qcow2-bitmaps": _qcow2(extensions=extension(BITMAPS, bytes(24)), autoclear=1),
    "qcow2-unknown-extension": _qcow2(extensions=extension(0x12345678, b"x")),
    "qcow2-endless-extension": _qcow2(extensions=struct.pack(">II", FEATURE_NAMES, 0xFFFFFFF0)),
    "qcow2-unknown-feature": _qcow2(incompatible=1 << 63),
    "qcow2-corrupt": _qcow2(incompatible=2),
    "qcow2-dirty": _qcow2(incompatible=1),
    "qcow2-compression-bit": _qcow2(incompatible=8),
    "qcow2-extended-small-cluster": _qcow2(incompatible=16, cluster_bits=13),
    "qcow2-aes": _qcow2(crypt=1),
    "qcow2-luks": _qcow2(crypt=2, extensions=extension(ENCRYPTION, bytes(16))),
    "qcow2-giant-l1": _qcow2(l1_size=0xFFFFFFFF),
    "qcow2-short-l1": _qcow2(size=1 << 40),
    "qcow2-l1-past-end": _qcow2(l1_offset=1 << 40),
    "qcow2-l1-nowhere": _qcow2(l1_offset=0),
    "qcow2-l1-askew": _qcow2(l1_offset=3 * CLUSTER + 8),
    "qcow2-giant-refcount-table": _qcow2(refcount_clusters=1 << 31),
    "qcow2-no-refcount-table": _qcow2(refcount_clusters=0),
    "qcow2-wide-refcounts": _qcow2(refcount_order=7),
    "qcow2-snapshot": _qcow2(snapshots=1, snapshots_offset=5 * CLUSTER),
    "qcow2-many-snapshots": _qcow2(snapshots=65537, snapshots_offset=CLUSTER),
    "qcow2-cluster-bits-0": _qcow2(cluster_bits=0),
    "qcow2-cluster-bits-30": _qcow2(cluster_bits=30),
    "qcow2-size-2-63": _qcow2(size=1 << 63),
    "qcow2-size-1-pib": _qcow2(
        size=1 << 50, cluster_bits=21, l1_size=2048, l1_offset=3 << 21, refcount_offset=1 << 21
    ),
    "qcow2-long-header": _qcow2(length=0xFFFFFFFF),
    "qcow2-odd-header": _qcow2(length=105),
    "qcow2-cut-at-50": Case("qcow2", qcow2()[:50]),
    "qcow2-cut-at-90": Case("qcow2", qcow2()[:90]),
    "qcow2-cut-before-tables": Case("qcow2", qcow2()[:CLUSTER]),
    "qcow2-version-1": Case("qcow2", qcow2(version=1)),
    "qcow2-version-4": Case("qcow2", qcow2(version=4)),
    "qcow2-also-disc": Case(
        "qcow2", qcow2()[:32768] + disc()[32768 : 32768 + 2048] + qcow2()[32768 + 2048 :]
    ),
    "qcow2-also-vhd": Case("qcow2", qcow2() + FOOTER),
    "qcow2-loop": Case("qcow2", qcow2(l1=struct.pack(">Q", 3 * CLUSTER | 1 << 63)), late=True),
    "qcow2-cut-data": Case("qcow2", qcow2(data=b"\xa5" * CLUSTER)[: 4 * CLUSTER], late=True),
    "qcow2-bomb": Case("qcow2", qcow2(size=CLUSTER * 8192, l2=SHARED), late=True),
    "qcow2-declared-raw": Case("raw", qcow2(backing=b"/etc/passwd")),
    "qcow2-declared-iso": Case("iso", qcow2()),
    "qcow": Case("qcow", qcow(), accepted=True),
    "qcow-backing": Case("qcow", qcow(backing=b"/etc/passwd")),
    "qcow-backing-json": Case("qcow", qcow(backing=JSON_NAME)),
    "qcow-backing-no-place": Case("qcow", qcow(backing_length=6)),
    "qcow-backing-no-name": Case("qcow", qcow(backing_offset=56)),
    "qcow-aes": Case("qcow", qcow(crypt=1)),
    "qcow-cluster-bits-0": Case("qcow", qcow(cluster_bits=0)),
    "qcow-l2-bits-40": Case("qcow", qcow(l2_bits=40)),
    "qcow-no-size": Case("qcow", qcow(size=0)),
    "qcow-size-1-pib": Case("qcow", qcow(size=1 << 50, cluster_bits=16, l2_bits=13)),
    "qcow-giant-l1": Case("qcow", qcow(size=1 << 39, cluster_bits=9, l2_bits=6)),
    "qcow-l1-past-end": Case("qcow", qcow(l1_offset=1 << 40)),
    "qcow-l1-in-header": Case("qcow", qcow(l1_offset=8)),
    "qcow-cut": Case("qcow", qcow()[:40]),
    "qcow-cut-table": Case("qcow", qcow()[:50]),
    "qcow-also-vhd": Case("qcow", qcow() + FOOTER),
    "qcow-declared-raw": Case("raw", qcow()),
    "qcow-declared-qcow2": Case("qcow2", qcow()),
    "qcow2-declared-qcow": Case("qcow", qcow2()),
    "raw": Case("raw", bytes(MIB), accepted=True),
    "raw-one-byte": Case("raw", b"x", accepted=True),
    "raw-sector": Case("raw", bytes(512), accepted=True),
    "raw-boot-record": Case("raw", boot_record((0x80, 0x83)).ljust(MIB, b"\0"), accepted=True),
    "raw-gpt": Case("raw", (boot_record((0, 0xEE)) + b"EFI PART").ljust(MIB, b"\0"), accepted=True),
    "raw-fat-volume": Case(
        "raw",
        (b"\xeb\x3c\x90MSDOS5.0".ljust(16, b"\0") + b"\x02\0\x02\0\0\xf8").ljust(446, b"\0")
        + b"\x5a" * 64
        + b"\x55\xaa",
        accepted=True,
    ),
    "raw-bad-boot-flag": Case("raw", boot_record((0x5A, 0x83)).ljust(MIB, b"\0")),
    "raw-protective-not-alone": Case("raw", boot_record((0, 0xEE), (0, 0x83))),
    "raw-declared-qcow2": Case("qcow2", bytes(MIB)),
    "raw-declared-iso": Case("iso", bytes(MIB)),
    "iso": Case("iso", disc(), accepted=True),
    "iso-hybrid": Case("iso", disc(boot_record((0x80, 0x17))), accepted=True),
    "iso-udf": Case("iso", disc(ident=b"BEA01"), accepted=True),
    "iso-cut": Case("iso", disc()[:33000]),
    "iso-declared-raw": Case("raw", disc()),
    "iso-declared-qcow2": Case("qcow2", disc()),
    "iso-also-qcow2": Case("iso", disc(qcow2(backing=b"/etc/passwd"))),
    "iso-also-vmdk": Case("iso", disc(sparse_vmdk())),
    "iso-also-luks": Case("iso", disc(b"LUKS\xba\xbe")),
    "iso-also-vhd": Case("iso", disc() + FOOTER),
    "iso-bad-boot-flag": Case("iso", disc(boot_record((0x5A, 0x83)))),
    "vmdk-declared-raw": Case("raw", sparse_vmdk()),
    "vmdk-text-declared-raw": Case("raw", DESCRIPTOR),
    "vmdk-disguised-declared-raw": Case("raw", b"# a comment\n \n" + DESCRIPTOR[22:]),
    "vmdk-old-declared-raw": Case("raw", b"COWD".ljust(512, b"\0")),
    "vhd-fixed-declared-raw": Case("raw", bytes(MIB) + FOOTER),
    "vhd-old-footer-declared-raw": Case("raw", bytes(MIB) + FOOTER[:511]),
    "vhd-dynamic-declared-raw": Case("raw", FOOTER + bytes(1024)),
    "vhdx-declared-raw": Case("raw", b"vhdxfile".ljust(MIB, b"\0")),
    "vdi-declared-raw": Case("raw", VDI.ljust(MIB, b"\0")),
    "vdi-unnamed-declared-raw": Case("raw", bytes(64) + VDI[64:].ljust(MIB, b"\0")),
    "qed-declared-raw": Case("raw", b"QED\0".ljust(MIB, b"\0")),
    "luks-1-declared-raw": Case("raw", b"LUKS\xba\xbe\0\x01".ljust(MIB, b"\0")),
    "luks-2-declared-raw": Case("raw", b"LUKS\xba\xbe\0\x02".ljust(MIB, b"\0")),
    "luks-declared-qcow2": Case("qcow2", b"LUKS\xba\xbe\0\x02".ljust(MIB, b"\0")),
    "parallels-declared-raw": Case("raw", b"WithouFreSpacExt".ljust(MIB, b"\0")),
    "dmg-declared-raw": Case("raw", bytes(MIB) + b"koly".ljust(512, b"\0")),
    **{
        f"{name}-not-judged": Case(name, sparse_vmdk())
        for name in ("vmdk", "vhd", "vhdx", "vdi", "qed", "ami", "ari", "aki", "ploop", "", "x")
    },
}
