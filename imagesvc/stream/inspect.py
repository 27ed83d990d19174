"""Gate one: judges an image from its bytes as they pass."""

import dataclasses
import struct
from collections.abc import Callable

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
    # How much less than the virtual size a tool may read: VHD makers count whole cylinders.
    slack_bytes: int = 0
    # The bytes are a container with such disks inside, and no tool reads them as they are.
    wrapped: bool = False


def check_count(count: int, total: int) -> None:
    """Raise InvalidRequest unless all bytes arrived."""
    if total != count:
        raise errors.InvalidRequest(
            "{count} bytes arrived, not {total}.",
            reason=errors.Reason.SIZE_MISMATCH,
            count=count,
            total=total,
        )


class Inspector:
    """Judges one image that was declared to be of `disk_format`; one thread.

    Raises UnsupportedImage as soon as the bytes show a reason, at once for a format that has
    no rules. An image of no bytes passes as any format that has rules: Nova saves such ones
    for servers that boot from a volume.
    """

    def __init__(self, disk_format: str, *, virtual_cap_bytes: int = VIRTUAL_CAP_BYTES) -> None:
        if disk_format not in table.RULES:
            judged = ", ".join(disk_formats.KEPT_FORMATS)
            raise refusal.mismatch(
                f"bytes of format {disk_format} cannot be judged; the formats taken are {judged}."
            )
        self._format = disk_format
        self._rule = table.RULES[disk_format](virtual_cap_bytes)
        self._head = bytearray()
        self._signatures_judged = False
        self._wanted = table.HEAD_BYTES
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
        if self._wanted:
            self._take_head(block)

    def finish(self, total: int) -> Facts:
        """Judge the whole after its last byte. Raises UnsupportedImage, InvalidRequest."""
        check_count(self._count, total)
        if total == 0:
            return Facts(self._format, 0)
        if self._wanted:
            self._judge_head()
            if self._wanted:
                raise refusal.unsafe(f"the {self._format} file ends inside its tables.")
        self._judge_signatures(table.detect(bytes(self._head), self._tail), whole=True)
        virtual = self._checked(lambda: self._rule.end(total, self._tail))
        return Facts(self._format, virtual, getattr(self._rule, "slack_bytes", 0))

    def _take_head(self, block: bytes) -> None:
        """Keep what the rule wants to see; it may want more when it has seen that."""
        taken = 0
        while self._wanted and taken < len(block):
            part = block[taken : taken + self._wanted - len(self._head)]
            self._head += part
            taken += len(part)
            if len(self._head) == self._wanted:
                self._judge_head()

    def _judge_head(self) -> None:
        head = bytes(self._head)
        if not self._signatures_judged:
            self._signatures_judged = True
            self._judge_signatures(table.detect(head), whole=False)
        wanted = self._checked(lambda: self._rule.head(head))
        self._wanted = wanted if wanted > len(head) else 0
        if not self._wanted:
            del self._head[table.HEAD_BYTES :]

    def _checked(self, judge: Callable[[], int]) -> int:
        try:
            return judge()
        except (struct.error, ValueError, IndexError, OverflowError) as exc:
            # A header that breaks the parser is a broken header, whatever the rule forgot.
            raise refusal.unsafe(f"the {self._format} header is not readable.") from exc

    def _judge_signatures(self, found: set[str], *, whole: bool) -> None:
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
        if not whole and not others and self._format in table.AT_END:
            return
        seen = " and ".join(others) or "raw"
        raise refusal.mismatch(f"it was declared as {self._format} but is {seen}.")
