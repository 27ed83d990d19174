"""Values of a Windows registry hive, a file of cells ("regf").

Layout: "Windows registry file format specification" (M. Suhanov). Little-endian; a cell's offset
counts from the end of the base block. Cells are read where they lie, and never more of them than
CELLS_MAX, wherever the hive leads.
"""

import struct
from typing import Protocol

CELLS_MAX = 20_000
_BASE_BYTES = 4096
_CELL_BYTES_MAX = 1 << 20
_NAME_BYTES_MAX = 512
_VALUE_BYTES_MAX = 4096
_VALUES_MAX = 1024
_NONE = 0xFFFFFFFF
_COMPRESSED_NAME = 0x20
_VALUE_NAME_ASCII = 1
_IN_PLACE = 0x80000000
_TEXT, _EXPANDED, _NUMBER = 1, 2, 4


class Bytes(Protocol):
    """Where the hive lies."""

    def read(self, offset: int, length: int) -> bytes:
        """Give at most `length` bytes."""


class Hive:
    """A hive; whatever does not make sense in it is not there. Raises struct.error, ValueError."""

    def __init__(self, file: Bytes) -> None:
        self._file = file
        self._cells = 0
        base = file.read(0, 48)
        if base[:4] != b"regf":
            raise ValueError("no hive")
        (self._root,) = struct.unpack_from("<I", base, 36)

    def value(self, key: str, name: str) -> str | int | None:
        """The text or the number of a value; names are compared without regard to case."""
        node = self._key(key)
        if node is None:
            return None
        count, at = struct.unpack_from("<II", node, 36)
        if at == _NONE:
            return None
        data = self._cell(at, 4 * min(count, _VALUES_MAX))
        for offset in struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4]):
            cell = self._cell(offset, 20 + _NAME_BYTES_MAX)
            if cell[:2] == b"vk" and _value_name(cell).casefold() == name.casefold():
                return self._content(cell)
        return None

    def _key(self, path: str) -> bytes | None:
        node: bytes | None = self._node(self._root)
        for name in path.split("\\"):
            if node is None:
                return None
            count, _, at = struct.unpack_from("<III", node, 20)
            node = self._child(at, name.casefold()) if count and at != _NONE else None
        return node

    def _child(self, at: int, name: str, depth: int = 0) -> bytes | None:
        data = self._cell(at, _CELL_BYTES_MAX)
        kind, count = data[:2], struct.unpack_from("<H", data, 2)[0]
        width = {b"lf": 8, b"lh": 8, b"li": 4, b"ri": 4}.get(kind)
        if width is None:
            return None
        for n in range(4, min(len(data) - 3, 4 + count * width), width):
            (offset,) = struct.unpack_from("<I", data, n)
            if kind == b"ri":
                node = self._child(offset, name, depth + 1) if depth == 0 else None
            else:
                node = self._node(offset)
                node = node if node is not None and _key_name(node).casefold() == name else None
            if node is not None:
                return node
        return None

    def _node(self, offset: int) -> bytes | None:
        cell = self._cell(offset, 76 + _NAME_BYTES_MAX)
        return cell if cell[:2] == b"nk" and len(cell) >= 76 else None

    def _cell(self, offset: int, limit: int) -> bytes:
        """The content of a cell, at most `limit` bytes."""
        self._cells += 1
        if self._cells > CELLS_MAX:
            raise ValueError("a hive without end")
        data = self._file.read(_BASE_BYTES + offset, 4 + min(limit, _CELL_BYTES_MAX))
        (size,) = struct.unpack_from("<i", data, 0)
        return data[4 : min(4 + limit, abs(size))]

    def _content(self, cell: bytes) -> str | int | None:
        size, at, kind = struct.unpack_from("<III", cell, 4)
        data = cell[8:12] if size & _IN_PLACE else self._cell(at, _VALUE_BYTES_MAX)
        data = data[: size & ~_IN_PLACE]
        if kind == _NUMBER and len(data) == 4:
            return int(struct.unpack("<I", data)[0])
        if kind in (_TEXT, _EXPANDED):
            return data.decode("utf-16-le", errors="replace").split("\0")[0]
        return None


def _key_name(node: bytes) -> str:
    (flags,), (length,) = struct.unpack_from("<H", node, 2), struct.unpack_from("<H", node, 72)
    return node[76 : 76 + length].decode(
        "latin-1" if flags & _COMPRESSED_NAME else "utf-16-le", errors="replace"
    )


def _value_name(cell: bytes) -> str:
    (length,), (flags,) = struct.unpack_from("<H", cell, 2), struct.unpack_from("<H", cell, 16)
    return cell[20 : 20 + length].decode(
        "latin-1" if flags & _VALUE_NAME_ASCII else "utf-16-le", errors="replace"
    )
