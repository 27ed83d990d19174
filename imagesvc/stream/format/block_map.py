"""Tables that say where each block of a sparse disk lies."""

from collections.abc import Iterable

from imagesvc import errors
from imagesvc.stream.format import refusal

# Tables above this are refused: they are kept in memory until they are judged. A disk of
# 4 TiB in blocks of 1 MiB has the largest.
TABLE_BYTES_MAX = 16 << 20


def check(places: Iterable[int], *, block_bytes: int, begin: int, end: int, what: str) -> None:
    """Refuse blocks outside of `begin` to `end`, and blocks that share bytes.

    A small file whose entries all name one block would unfold to a disk without end. Places in
    bytes. Raises UnsupportedImage.
    """
    free = begin
    for place in sorted(places):
        if place < free:
            raise refusal.unsafe(f"blocks of the {what} image overlap.")
        free = place + block_bytes
    if free > end and free != begin:
        raise refusal.unsafe(f"a block of the {what} image lies past its end.")


def check_table(table_bytes: int, what: str) -> None:
    """Refuse a table that is too large to be judged. Raises UnsupportedImage."""
    if table_bytes > TABLE_BYTES_MAX:
        raise refusal.unsafe(f"the block table of the {what} image is too large.")


def check_size(size: int, cap: int) -> None:
    """Raise TooLarge above the cap on virtual sizes, in bytes."""
    if size > cap:
        raise errors.TooLarge(
            what="The virtual size of the image",
            limit=cap,
            unit="bytes",
            reason=errors.Reason.SIZE_CAP,
        )


def is_power(value: int, least: int, most: int) -> bool:
    """Whether the value is a power of two in the range."""
    return least <= value <= most and value & (value - 1) == 0
