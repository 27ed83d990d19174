"""For which machine a program was made: ELF (System V ABI) and PE (Microsoft's specification)."""

import struct

HEAD_BYTES = 4096
# (word size in bits, machine) of ELF; the byte order tells the two POWERs apart.
_ELF = {
    (64, 62): "x86_64", (32, 3): "i686", (64, 183): "aarch64", (32, 40): "armv7l",
    (64, 243): "riscv64", (64, 22): "s390x", (64, 258): "loongarch64",
}  # fmt: skip
_ELF_POWER = (64, 21)
_PE = {0x8664: "x86_64", 0x014C: "i686", 0xAA64: "aarch64", 0x01C4: "armv7l", 0x5064: "riscv64"}


def machine(head: bytes) -> str | None:
    """The architecture of a program by its first bytes; None if it is none that is known."""
    if head[:4] == b"\x7fELF" and len(head) >= 20 and head[4] in (1, 2) and head[5] in (1, 2):
        order = "<" if head[5] == 1 else ">"
        (number,) = struct.unpack_from(f"{order}H", head, 18)
        key = (32 * head[4], number)
        if key == _ELF_POWER:
            return "ppc64le" if order == "<" else "ppc64"
        return _ELF.get(key)
    if head[:2] == b"MZ" and len(head) >= 64:
        (at,) = struct.unpack_from("<I", head, 60)
        if head[at : at + 4] == b"PE\0\0" and len(head) >= at + 6:
            (number,) = struct.unpack_from("<H", head, at + 4)
            return _PE.get(number)
    return None
