"""Registry hives of Windows, made of bytes ("regf" 1.5); keys are dicts, values texts and numbers.

python tests/registry_hive.py FOLDER     write SOFTWARE and SYSTEM of a Windows Server 2022
"""

import itertools
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PAGE = 4096
_NONE = 0xFFFFFFFF
_BIN_HEAD_BYTES = 32
_NODE_BYTES = 76

CURRENT = {
    "ProductName": "Windows Server 2022 Datacenter",
    "CurrentVersion": "6.3",
    "CurrentMajorVersionNumber": 10,
    "CurrentMinorVersionNumber": 0,
    "CurrentBuildNumber": "20348",
}


def software(**current: Any) -> bytes:
    """SOFTWARE with CURRENT, changed by `current`; None leaves a value out."""
    values = {name: one for name, one in {**CURRENT, **current}.items() if one is not None}
    return hive({"Classes": {}, "Microsoft": {"Windows NT": {"CurrentVersion": values}}})


def system(machine: str = "AMD64", current: int = 1) -> bytes:
    """SYSTEM with the machine of its current control set."""
    environment = {"OS": "Windows_NT", "PROCESSOR_ARCHITECTURE": machine}
    control = {"Control": {"Session Manager": {"Environment": environment}}}
    return hive({"Select": {"Current": current}, f"ControlSet{current:03d}": control})


def hive(tree: Mapping[str, Any], *, lists: str = "lh") -> bytes:
    """A hive whose lists of keys are `lh`, `lf`, `li`, or `ri` over one `li` a key."""
    cells = _Cells(lists)
    root = cells.key("ROOT", tree)
    data = cells.data
    size = -(-len(data) // _PAGE) * _PAGE
    if size - len(data):
        data += struct.pack("<i", size - len(data))
    data = data.ljust(size, b"\0")
    data[:12] = b"hbin" + struct.pack("<II", 0, size)
    head = b"regf" + struct.pack("<IIQIIIIIII", 1, 1, 0, 1, 5, 0, 1, root, size, 1)
    return head.ljust(_PAGE, b"\0") + bytes(data)


class _Cells:
    def __init__(self, lists: str) -> None:
        self.data = bytearray(_BIN_HEAD_BYTES)
        self._lists = lists

    def add(self, content: bytes) -> int:
        size = -(-(len(content) + 4) // 8) * 8
        at = len(self.data)
        self.data += struct.pack("<i", -size) + content.ljust(size - 4, b"\0")
        return at

    def key(self, name: str, tree: Mapping[str, Any]) -> int:
        keys = [self.key(key, held) for key, held in sorted(tree.items()) if isinstance(held, dict)]
        values = [self.value(key, held) for key, held in tree.items() if not isinstance(held, dict)]
        node = b"nk" + struct.pack("<HQII", 0x20, 0, 0, 0)
        node += struct.pack("<IIII", len(keys), 0, self.keys(keys), _NONE)
        held = self.add(struct.pack(f"<{len(values)}I", *values)) if values else _NONE
        node += struct.pack("<IIII", len(values), held, _NONE, _NONE).ljust(36, b"\0")
        node += struct.pack("<HH", len(name), 0)
        return self.add(node.ljust(_NODE_BYTES, b"\0") + name.encode())

    def keys(self, nodes: list[int]) -> int:
        if not nodes:
            return _NONE
        count = struct.pack("<H", len(nodes))
        if self._lists == "li":
            return self.add(b"li" + count + struct.pack(f"<{len(nodes)}I", *nodes))
        if self._lists == "ri":
            parts = [self.add(b"li\1\0" + struct.pack("<I", node)) for node in nodes]
            return self.add(b"ri" + count + struct.pack(f"<{len(parts)}I", *parts))
        flat = itertools.chain.from_iterable((node, 0) for node in nodes)
        return self.add(self._lists.encode() + count + struct.pack(f"<{2 * len(nodes)}I", *flat))

    def value(self, name: str, held: str | int) -> int:
        if isinstance(held, int):
            size, at, kind = 4 | 0x80000000, held, 4
        else:
            data = f"{held}\0".encode("utf-16-le")
            size, at, kind = len(data), self.add(data), 1
        return self.add(
            b"vk" + struct.pack("<HIIIHH", len(name), size, at, kind, 1, 0) + name.encode()
        )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "SOFTWARE").write_bytes(software())
    (folder / "SYSTEM").write_bytes(system())
