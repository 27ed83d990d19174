"""ISO 9660 and UDF discs (ECMA-119, ECMA-167)."""

from imagesvc.stream.format import partition, refusal

# The system area of 16 sectors of 2 KiB, then the first volume descriptor.
DESCRIPTOR_AT = 32768
_SECTOR_BYTES = 2048


class IsoRule:
    """A disc; a hybrid one has a partition table in its system area as well."""

    def __init__(self, virtual_cap_bytes: int) -> None:
        del virtual_cap_bytes  # the cap on the bytes themselves is enough

    def head(self, head: bytes) -> int:
        """Judge the partition table of a hybrid disc. Raises UnsupportedImage."""
        partition.check(head[:512], protective_alone=False)
        return 0

    def end(self, total: int, tail: bytes) -> int:
        """Give the virtual size in bytes. Raises UnsupportedImage if the disc is cut."""
        if total < DESCRIPTOR_AT + _SECTOR_BYTES:
            raise refusal.unsafe("the ISO image ends inside its first volume descriptor.")
        return total
