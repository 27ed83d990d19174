"""Freezing a guest round the instant of a snapshot, and thawing it whatever happens.

Keys of the work's record: `quiesce` (asked for), `freezing` (the guest may be frozen: whoever goes
on thaws it first), `frozen` (it said that it was), `thawed` (it said that it was until then).
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from imagesvc.interface.compute import Consistency
from imagesvc_drivers.compute.qemu import guest_agent, server_folder

LOG = logging.getLogger(__name__)

Save = Callable[[dict[str, Any]], None]


@contextlib.contextmanager
def frozen(
    folder: server_folder.ServerFolder, body: dict[str, Any], save: Save, timeout_s: float
) -> Iterator[None]:
    """Freeze what can be frozen while the block runs, if the work asks for it."""
    path = _socket(folder)
    if not body.get("quiesce") or path is None:
        yield
        return
    thaw(folder, body, save, timeout_s)
    body |= {"freezing": True, "frozen": False, "thawed": False}
    save(body)
    try:
        answer = guest_agent.freeze(path, timeout_s)
        body |= {"freezing": answer is not None, "frozen": bool(answer)}
        save(body)
        yield
    finally:
        thaw(folder, body, save, timeout_s)


def thaw(
    folder: server_folder.ServerFolder, body: dict[str, Any], save: Save, timeout_s: float
) -> None:
    """Thaw a guest that may be frozen; tried again at the next call if it does not answer."""
    path = _socket(folder)
    if not body.get("freezing") or path is None:
        return
    count = guest_agent.thaw(path, timeout_s)
    if count is None:
        LOG.error("guest may still be frozen server_id=%s", folder.server_id)
        return
    body |= {"freezing": False, "thawed": count > 0}
    save(body)


def consistency(body: dict[str, Any]) -> Consistency:
    """What the snapshot holds. A guest that thawed itself in between was not frozen."""
    held = body.get("frozen") and body.get("thawed")
    return Consistency.APPLICATION if held else Consistency.CRASH


def _socket(folder: server_folder.ServerFolder) -> Path | None:
    """The agent's; servers of the first release were started without one."""
    known = folder.process() or {}
    return Path(known["agent"]) if "agent" in known else None
