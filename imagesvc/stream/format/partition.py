"""The partition table in the first sector of a disk: master boot record and protective GPT."""

from imagesvc.stream.format import refusal

_TABLE_AT, _ENTRY_BYTES, _ENTRIES = 446, 16, 4
_BOOT_FLAGS = (0x00, 0x80)
_PROTECTIVE = 0xEE


def check(sector: bytes, *, protective_alone: bool) -> None:
    """Refuse boot flags that do not exist and a protective entry beside others.

    A boot sector of a FAT or NTFS volume also ends in 55 AA but has code where the table would
    be, so it is left alone. Raises UnsupportedImage.
    """
    if sector[510:512] != b"\x55\xaa" or _is_volume(sector):
        return
    entries = [
        sector[at : at + _ENTRY_BYTES]
        for at in range(_TABLE_AT, _TABLE_AT + _ENTRIES * _ENTRY_BYTES, _ENTRY_BYTES)
    ]
    for number, entry in enumerate(entries, 1):
        if entry[0] not in _BOOT_FLAGS:
            raise refusal.unsafe(
                f"partition {number} has the boot flag {entry[0]:#04x}; only 0x00 and 0x80 exist."
            )
    kinds = [entry[4] for entry in entries if entry[4]]
    if protective_alone and _PROTECTIVE in kinds and len(kinds) > 1:
        raise refusal.unsafe("the protective partition entry of a GPT disk must stand alone.")


def _is_volume(sector: bytes) -> bool:
    jump = (sector[0] == 0xEB and sector[2] == 0x90) or sector[0] == 0xE9
    fat = sector[16] in (1, 2) and sector[21] >= 0xF0
    return jump and (fat or sector[3:7] == b"NTFS" or sector[3:8] == b"EXFAT")
