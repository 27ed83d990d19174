"""Keeps threads free for short calls while image bytes move."""

from typing import Any

import falcon

from imagesvc.api import pace

_BODILESS = frozenset({"GET", "HEAD"})


class Transfer:
    """A resource that says `moves_bytes` may hold a thread for hours: True, or the methods that do."""

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, params: dict[str, Any]
    ) -> None:
        """Take a thread for it. Raises Overloaded."""
        watch = pace.current.get()
        if watch is not None and req.method != "HEAD" and _moves_bytes(req, resource):
            watch.begin_transfer()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, succeeded: bool
    ) -> None:
        """Give the thread of an upload back; hang up if it was refused, and bytes may follow.

        A download has its thread until the last byte is out, unless it was refused.
        """
        watch = pace.current.get()
        if watch is None or not _moves_bytes(req, resource):
            return
        sends = req.method not in _BODILESS
        if sends or not succeeded:
            watch.end_transfer()
        if sends and not succeeded:
            watch.hang_up()


def _moves_bytes(req: falcon.Request, resource: Any) -> bool:
    found: bool | frozenset[str] = getattr(resource, "moves_bytes", False)
    return found if isinstance(found, bool) else req.method in found
