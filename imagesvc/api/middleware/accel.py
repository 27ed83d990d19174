"""Leaves the sending of image files to nginx in front (X-Accel-Redirect).

nginx's documentation, "XSendfile": an answer with that header is thrown away, and the file that
it names is sent from an internal location. The thread here is free as soon as the head is out.
"""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import falcon
from oslo_config import cfg

from imagesvc import errors

OPTS = (
    cfg.DictOpt(
        "accel_locations",
        default={},
        help="Folders of stores whose files nginx in front sends itself, each with nginx's internal "
        "location for it: /var/lib/imagesvc/store:/_imagesvc_bytes. It is used only for requests "
        "on which nginx has set `X-Sendfile-Type: X-Accel-Redirect`.",
    ),
)
ASKED = "X-Accel-Redirect"
# nginx works a plain Range out itself. What it would judge by a date or a tag of its own stays here.
_CONDITIONS = (
    "If-Range",
    "If-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "Content-Range",
)


class Accel:
    """Answers with the internal location of a file where nginx asked for it."""

    def __init__(self, locations: Mapping[str, str]) -> None:
        """Raises ConfigurationError for a location that is no path."""
        if bad := [where for where in locations.values() if not where.startswith("/")]:
            raise errors.ConfigurationError(
                f"[api] accel_locations: {bad[0]!r} is no location of nginx; it begins with '/'."
            )
        self._locations = [
            (os.path.realpath(folder) + "/", location.rstrip("/") + "/")
            for folder, location in locations.items()
        ]

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, succeeded: bool
    ) -> None:
        """Take the stream out of an answer whose bytes nginx can send."""
        if not self._locations or req.get_header("X-Sendfile-Type") != ASKED:
            return
        stream: Any = resp.stream
        if not hasattr(stream, "fileno") or any(req.get_header(name) for name in _CONDITIONS):
            return
        location = self._location(stream.fileno())
        if location is None:
            return
        stream.close()
        resp.stream = None
        resp.status = falcon.HTTP_200  # nginx makes it 206
        resp.delete_header("Content-Range")
        resp.content_length = 0
        resp.set_header("X-Accel-Redirect", location)

    def _location(self, descriptor: int) -> str | None:
        """Where nginx finds an open file; None if it is in none of the folders, or deleted."""
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        for folder, location in self._locations:
            if path.startswith(folder) and os.path.exists(path):
                return quote(location + path.removeprefix(folder))
        return None
