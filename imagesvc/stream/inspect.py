"""Gate one: judges an image from its bytes as they pass."""

import dataclasses
import struct

from imagesvc import errors
from imagesvc.domain import disk_format as disk_formats
from imagesvc.stream.format import refusal, table

# A virtual size above this is refused: 64 TiB, the most that a QEMU server takes as one disk
# with tables of reasonable size. Installations set their own.
VIRTUAL_CAP_BYTES = 64 << 40


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What gate one found; the format is the declared one, now verified."""

    disk_format: str
    virtual_size_bytes: int


def check_container(container_format: str | None) -> None:
    """Raise UnsupportedImage for a container whose bytes cannot be judged."""
    if container_format in disk_formats.WRAPPING_CONTAINERS:
        raise refusal.mismatch(
            f"bytes in a container of format {container_format} cannot be judged; unpack them "
            "and send the disk as bare."
        )


class Inspector:
    """Judges one image that was declared to be of `disk_format`; one thread.

    Raises UnsupportedImage as soon as the bytes show a reason, at once for a format that has
    no rules. An image of no bytes passes as any format that has rules: Nova saves such ones
    for servers that boot from a volume.
    """

    def __init__(self, disk_format: str, *, virtual_cap_bytes: int = VIRTUAL_CAP_BYTES) -> None:
        if disk_format not in table.RULES:
            judged = ", ".join(sorted(disk_formats.JUDGED_FORMATS))
            raise refusal.mismatch(
                f"bytes of format {disk_format} cannot be judged; the formats taken are {judged}."
            )
        self._format = disk_format
        self._rule = table.RULES[disk_format](virtual_cap_bytes)
        self._head = bytearray()
        self._head_judged = False
        self._tail = b""
        self._count = 0

    def feed(self, block: bytes) -> None:
        """Take the next bytes. Raises UnsupportedImage, TooLarge."""
        self._count += len(block)
        self._tail = (
            bytes(block[-table.TAIL_BYTES :])
            if len(block) >= table.TAIL_BYTES
            else (self._tail + block)[-table.TAIL_BYTES :]
        )
        if not self._head_judged:
            self._head += block[: table.HEAD_BYTES - len(self._head)]
            if len(self._head) == table.HEAD_BYTES:
                self._judge_head()

    def finish(self, total: int) -> Facts:
        """Judge the whole after its last byte. Raises UnsupportedImage, InvalidRequest."""
        if total != self._count:
            raise errors.InvalidRequest(
                "{count} bytes arrived, not {total}.",
                reason=errors.Reason.SIZE_MISMATCH,
                count=self._count,
                total=total,
            )
        if total == 0:
            return Facts(self._format, 0)
        if not self._head_judged:
            self._judge_head()
        self._judge_signatures(table.detect(bytes(self._head), self._tail))
        return Facts(self._format, self._rule.end(total))

    def _judge_head(self) -> None:
        self._head_judged = True
        head = bytes(self._head)
        self._judge_signatures(table.detect(head))
        try:
            self._rule.head(head)
        except (struct.error, ValueError, IndexError, OverflowError) as exc:
            # A header that breaks the parser is a broken header, whatever the rule forgot.
            raise refusal.unsafe(f"the {self._format} header is not readable.") from exc

    def _judge_signatures(self, found: set[str]) -> None:
        others = sorted(found - {self._format})
        if "luks" in others:
            raise refusal.unsafe("the disk is encrypted with LUKS.")
        if self._format == "raw" or self._format in found:
            if others:
                also = "" if self._format == "raw" else "also "
                raise refusal.mismatch(
                    f"it was declared as {self._format} but is {also}{' and '.join(others)}."
                )
            return
        seen = " and ".join(others) or "raw"
        raise refusal.mismatch(f"it was declared as {self._format} but is {seen}.")
