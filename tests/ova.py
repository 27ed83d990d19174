"""OVA archives, honest and not, written block by block."""

import hashlib
import struct

TEXT = (
    b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
    b'createType="monolithicSparse"\nRW 2048 SPARSE "disk.vmdk"\nddb.adapterType = "ide"\n'
)


def vmdk(text: bytes = TEXT, **changes: int) -> bytes:
    """A sparse VMDK of 1 MiB without data: header, text, grain directory and table."""
    fields = {
        "version": 1, "flags": 3, "capacity": 2048, "grain": 128, "text_at": 1, "text": 20,
        "entries": 512, "spare": 0, "directory": 21, "overhead": 128, "unclean": 0,
    } | changes  # fmt: skip
    head = struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", *fields.values(), b"\n \r\n", 0)
    parts = (head, text.ljust(20 * 512, b"\0"), struct.pack("<I", 22), bytes(4 * 512))
    return b"".join(part.ljust(-(-len(part) // 512) * 512, b"\0") for part in parts).ljust(
        65536, b"\0"
    )


def ovf(*names: str, head: str = "", disk: str = "", file: str = "", tail: str = "") -> bytes:
    """A descriptor with a disk for each name; the rest is put in where it says."""
    space = "http://schemas.dmtf.org/ovf/envelope/1"
    files = "".join(f'<File o:id="f{n}" o:href="{name}" {file}/>' for n, name in enumerate(names))
    disks = "".join(f'<Disk o:diskId="d{n}" o:fileRef="f{n}" {disk}/>' for n in range(len(names)))
    return (
        f'<?xml version="1.0"?>{head}<Envelope xmlns="{space}" xmlns:o="{space}"><References>{files}'
        f"</References><DiskSection>{disks}</DiskSection>{tail}</Envelope>"
    ).encode()


def entry(name: str, data: bytes, *, kind: bytes = b"0", size: bytes | None = None) -> bytes:
    """A header and its data, padded."""
    head = bytearray(512)
    for at, value in (
        (0, name.encode()), (100, b"0000644\0"), (124, size or b"%011o\0" % len(data)),
        (136, b"00000000000\0"), (148, b" " * 8), (156, kind), (257, b"ustar\x0000"),
    ):  # fmt: skip
        head[at : at + len(value)] = value
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + data + bytes(-len(data) % 512)


def manifest(*files: tuple[str, bytes], algorithm: str = "SHA256") -> bytes:
    """Digests of files."""
    return b"".join(
        f"{algorithm}({name})= {hashlib.new(algorithm.lower(), data).hexdigest()}\n".encode()
        for name, data in files
    )


def archive(*entries: tuple[str, bytes], end: bytes = bytes(1024)) -> bytes:
    """An archive of plain files."""
    return b"".join(entry(*one) for one in entries) + end
