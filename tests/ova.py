"""OVA archives, honest and not, written block by block."""

import hashlib
import struct
import typing

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


STREAM = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
# Kinds of controllers by CIM: IDE, SCSI, SATA.
_CONTROLLERS = {"ide": "5", "scsi": "6", "sata": "20"}


class Part(typing.NamedTuple):
    """A disk of a machine: its file, and where it hangs; `kind` 17 is a hard disk, 15 a disc's drive."""

    name: str
    unit: int = 0
    controller: str = "scsi0"
    format: str = STREAM
    file: str = ""
    kind: int = 17


def item(**values: object) -> str:
    """An item of a hardware section."""
    return (
        f"<Item>{''.join(f'<r:{name}>{value}</r:{name}>' for name, value in values.items())}</Item>"
    )


def machine(
    *parts: Part,
    controllers: tuple[str, ...] = ("scsi0",),
    memory: tuple[int, str] = (2048, "byte * 2^20"),
    system: str = '<OperatingSystemSection o:id="94" v:osType="ubuntu64Guest">'
    "<Description>Ubuntu, 64 bit</Description></OperatingSystemSection>",
    more: str = '<v:Config v:key="firmware" v:value="efi"/>',
    name: str = "two disks",
    items: str = "",
    refs: str = "",
    wrap: str = "{}",
) -> bytes:
    """A descriptor of a machine with these disks, as hypervisors write them."""
    space = "http://schemas.dmtf.org/ovf/envelope/1"
    files = "".join(
        f'<File o:id="f{n}" o:href="{one.name}" {one.file}/>' for n, one in enumerate(parts)
    )
    disks = "".join(
        f'<Disk o:diskId="d{n}" o:fileRef="f{n}" o:format="{one.format}"/>'
        for n, one in enumerate(parts)
    )
    hardware = item(ResourceType=3, VirtualQuantity=2)
    hardware += item(ResourceType=4, VirtualQuantity=memory[0], AllocationUnits=memory[1])
    for one in controllers:
        kind, address = _CONTROLLERS[one[:-1]], one[-1]
        hardware += item(InstanceID=one, ResourceType=kind, Address=address)
    for n, one in enumerate(parts):
        hardware += item(
            HostResource=f"ovf:/disk/d{n}", Parent=one.controller, AddressOnParent=one.unit,
            ResourceType=one.kind,
        )  # fmt: skip
    machine = (
        f'<VirtualSystem o:id="vm"><Name>{name}</Name>{system}'
        f"<VirtualHardwareSection>{hardware}{items}{more}</VirtualHardwareSection></VirtualSystem>"
    )
    return (
        f'<?xml version="1.0"?><Envelope xmlns="{space}" xmlns:o="{space}" '
        f'xmlns:r="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/x" '
        f'xmlns:v="http://www.vmware.com/schema/ovf"><References>{files}{refs}</References>'
        f"<DiskSection>{disks}</DiskSection>{wrap.format(machine)}</Envelope>"
    ).encode()


def packed(text: bytes, disks: typing.Mapping[str, bytes], *, algorithm: str = "SHA256") -> bytes:
    """An archive with a manifest of all that is in it."""
    files = [("vm.ovf", text), *disks.items()]
    return archive(files[0], ("vm.mf", manifest(*files, algorithm=algorithm)), *files[1:])
