"""Raw disks: whatever is no other format."""

from imagesvc.stream.format import partition


class RawRule:
    """A raw disk has no header but perhaps a partition table."""

    def __init__(self, virtual_cap_bytes: int) -> None:
        del virtual_cap_bytes  # the cap on the bytes themselves is enough

    def head(self, head: bytes) -> int:
        """Judge the partition table. Raises UnsupportedImage."""
        partition.check(head[:512], protective_alone=True)
        return 0

    def end(self, total: int, tail: bytes) -> int:
        """Give the virtual size in bytes: a guest sees what was sent."""
        return total
