"""Families of a folder, as an operator builds them."""

import hashlib
from pathlib import Path

ENTRY = """
title: {title}
disk_format: raw
min_disk_gib: 0
min_ram_mib: 64
properties: {{os_distro: debian, os_version: "13", os_purpose: generic, hw_disk_bus: virtio}}
promise: {{replace: monthly, keep: {keep}{more}}}
"""


class Folder:
    """The folder; `put` makes a build of a family, its bytes told by its name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def family(self, name: str, *, keep: int = 3, **days: str) -> None:
        """Make or change the entry of a family; `days` are `until` and `id_until`."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        more = "".join(f", {word}: {day}" for word, day in days.items())
        entry = ENTRY.format(title=name.title(), keep=keep, more=more)
        (folder / "family.yaml").write_text(entry)

    def put(self, name: str, build: str, data: bytes | None = None) -> bytes:
        """Make a build; its bytes."""
        if not (self.path / name).exists():
            self.family(name)
        folder = self.path / name / build
        folder.mkdir()
        data = f"{name} {build} ".encode() * 5000 if data is None else data
        (folder / "disk.raw").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        (folder / "SHA256SUMS").write_text(f"{digest}  disk.raw\n")
        return data
