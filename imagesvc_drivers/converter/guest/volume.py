"""File systems, told apart by their signatures and read through The Sleuth Kit (pytsk3).

Paths are looked up one by one and nothing is walked. Symbolic links are followed here, within
the volume and LINKS_MAX times.
"""

import collections
from typing import Any

import pytsk3

from imagesvc_drivers.converter.guest import view

LINKS_MAX = 8
PARTS_MAX = 64
_LINK_BYTES_MAX = 4096
_NAMES_MAX = 64
_ENTRIES_MAX = 4096
# Word, offset and bytes that are there.
_SIGNATURES = (
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("bitlocker", 3, b"-FVE-FS-"),
    ("xfs", 0, b"XFSB"),
    ("luks", 0, b"LUKS\xba\xbe"),
    ("squashfs", 0, b"hsqs"),
    ("lvm", 512, b"LABELONE"),
    ("ext", 1080, b"\x53\xef"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("iso9660", 32769, b"CD001"),
    ("btrfs", 65600, b"_BHRfS_M"),
)
_FAT_WORDS = ((54, b"FAT1"), (82, b"FAT32"))
_TYPES = {
    "ext": pytsk3.TSK_FS_TYPE_EXT_DETECT,
    "fat": pytsk3.TSK_FS_TYPE_FAT_DETECT,
    "ntfs": pytsk3.TSK_FS_TYPE_NTFS_DETECT,
    "iso9660": pytsk3.TSK_FS_TYPE_ISO9660_DETECT,
}


def kind_at(disk: view.View, offset: int) -> str | None:
    """What is there by its signature: "fat", a word of _SIGNATURES, or None."""
    first = disk.read(offset, 4096 + 512)
    if first[510:512] == b"\x55\xaa" and any(
        first[at : at + len(word)] == word for at, word in _FAT_WORDS
    ):
        return "fat"
    for word, at, signature in _SIGNATURES:
        held = first[at:] if at < 4096 else disk.read(offset + at, len(signature))
        if held[: len(signature)] == signature:
            return word
    return None


class _Bytes(pytsk3.Img_Info):  # type: ignore[misc]
    """A view as The Sleuth Kit takes it."""

    def __init__(self, disk: view.View) -> None:
        self._disk = disk
        super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

    def close(self) -> None:
        """Keep the view, which has other readers."""

    def read(self, offset: int, size: int) -> bytes:
        """Bytes that cannot be had are zeroes, as on a sparse disk."""
        data = b""
        while len(data) < size:
            part = self._disk.read(offset + len(data), size - len(data))
            if not part:
                return data.ljust(size, b"\0")
            data += part
        return data

    def get_size(self) -> int:
        return self._disk.size


class Volume:
    """One file system; every method says None or nothing for what is not there. Raises OSError."""

    def __init__(self, disk: view.View, offset: int, kind: str) -> None:
        self._bytes = _Bytes(disk)  # The Sleuth Kit keeps no reference
        self._system = pytsk3.FS_Info(self._bytes, offset=offset, type=_TYPES[kind])

    def read(self, path: str, limit: int) -> bytes | None:
        """The first `limit` bytes of a regular file."""
        return self.read_at(path, 0, limit)

    def read_at(self, path: str, offset: int, length: int) -> bytes | None:
        """Bytes of a regular file; what lies behind its end is missing."""
        found = self.file(path)
        return None if found is None else found.read(offset, length)

    def file(self, path: str) -> "File | None":
        """A regular file, opened."""
        found = self._find(path)
        if found is None or found.info.meta.type != pytsk3.TSK_FS_META_TYPE_REG:
            return None
        return File(found)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        found = self._find(path)
        return found is not None and found.info.meta.type == pytsk3.TSK_FS_META_TYPE_DIR

    def names(self, path: str) -> list[str]:
        """Names in a folder, at most _NAMES_MAX."""
        found = self._find(path)
        if found is None or found.info.meta.type != pytsk3.TSK_FS_META_TYPE_DIR:
            return []
        names: list[str] = []
        for number, entry in enumerate(found.as_directory()):
            if number >= _ENTRIES_MAX or len(names) >= _NAMES_MAX:
                break
            name = entry.info.name.name.decode(errors="replace")
            if name not in (".", ".."):
                names.append(name)
        return names

    def _find(self, path: str) -> Any:
        """What a path leads to, links followed; None if nothing, or too far."""
        left = collections.deque(path.split("/"))
        done: list[str] = []
        links = 0
        found = self._open("/")
        while left:
            name = left.popleft()
            if name == "..":
                del done[-1:]
            elif name not in ("", "."):
                done.append(name)
            found = self._open("/" + "/".join(done))
            if found is None:
                return None
            if found.info.meta.type == pytsk3.TSK_FS_META_TYPE_LNK:
                links += 1
                aim = _aim(found)
                if links > LINKS_MAX or len(left) > PARTS_MAX or not aim:
                    return None
                done = [] if aim.startswith("/") else done[:-1]
                left.extendleft(reversed(aim.split("/")))
        return found

    def _open(self, path: str) -> Any:
        try:
            found = self._system.open(path)
        except OSError:  # how pytsk3 says that there is none
            return None
        return found if found.info.meta is not None else None


class File:
    """A regular file."""

    def __init__(self, found: Any) -> None:
        self._found = found
        self.size = int(found.info.meta.size)

    def read(self, offset: int, length: int) -> bytes:
        """Give at most `length` bytes from `offset`; none behind the end."""
        length = min(length, self.size - offset)
        if offset < 0 or length <= 0:
            return b""
        return bytes(self._found.read_random(offset, length))


def _aim(found: Any) -> str:
    size = min(int(found.info.meta.size), _LINK_BYTES_MAX)
    aim = found.info.meta.link
    if not aim:
        aim = found.read_random(0, size) if size > 0 else b""
    text = aim if isinstance(aim, str) else bytes(aim).decode(errors="replace")
    return text.rstrip("\0")
