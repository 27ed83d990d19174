"""Look at a guest's disk and print what is found, each finding as soon as it is known.

A disk that ends the process half-way, by a fault of a library or by a limit, has told by then
what was found before.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from imagesvc_drivers.converter.guest import disc, firmware, linux, partition, view, volume, windows

_SYSTEMS: dict[str, Callable[[volume.Volume], dict[str, Any]]] = {
    "ext": linux.look,
    "ntfs": windows.look,
}


def main(words: list[str]) -> None:
    """Words: `file PATH`, `nbd SOCKET`, or `nbd SOCKET QEMU_NBD FORMAT PLACE` to be served first."""
    kind, path, *serve = words
    if serve:
        with view.serving(path, *serve) as served:
            look(served, _say)
    else:
        look(view.NbdView(path) if kind == "nbd" else view.FileView(path), _say)


def look(disk: view.View, say: Callable[..., None]) -> None:
    """Tell `say` what is found, as keywords; later words about a thing are the better ones."""
    if volume.kind_at(disk, 0) == "iso9660":
        say(file_systems=["iso9660"])
        say(**_attempt(disc.look, disk))
        say(**_attempt(disc.loader, disk))
        return
    table = partition.read(disk)
    kinds = [volume.kind_at(disk, part.offset) for part in table.partitions]
    say(file_systems=sorted({kind for kind in kinds if kind}))
    say(**_attempt(firmware.look, disk, table))
    for part, kind in zip(table.partitions, kinds, strict=True):
        if kind in _SYSTEMS:
            found = _attempt(_system, disk, part.offset, kind)
            if found:
                say(**found)
                return


def _system(disk: view.View, offset: int, kind: str) -> dict[str, Any]:
    return _SYSTEMS[kind](volume.Volume(disk, offset, kind))


def _attempt(find: Callable[..., dict[str, Any]], *of: Any) -> dict[str, Any]:
    """What `find` finds; nothing if the disk makes no sense to it.

    Whatever a stranger's bytes bring about in here, it means "not known".
    """
    try:
        return find(*of)
    except Exception as exc:
        print(f"{find.__module__}: {exc!r:.200}", file=sys.stderr)
        return {}


def _say(**found: Any) -> None:
    print(json.dumps(found), flush=True)
