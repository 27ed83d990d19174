"""Refuses hosts, paths and queries that would arrive as something else than was sent."""

import re
from urllib import parse

import falcon

from imagesvc import errors
from imagesvc.errors import Reason

# A name, an IPv4 address or one in brackets, and a port: it comes back in links (RFC 3986, 3.2.2).
_HOST = re.compile(r"(?:[\w.~-]*|\[[0-9A-Fa-f:.]*\])(?::\d*)?", re.ASCII)
_ENCODED_SLASH = re.compile(r"%2f", re.IGNORECASE)


class Path:
    """NUL, broken UTF-8, empty segments, encoded slashes, odd hosts are 400, before routing."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Check the raw path and query."""
        raw = req.env.get("PATH_INFO", "").encode("latin-1")
        target = req.env.get("RAW_URI", "").partition("?")[0]
        query = parse.unquote_to_bytes(req.query_string)
        if not _HOST.fullmatch(req.env.get("HTTP_HOST", "")):
            raise _refused("The Host is no name or address.")
        if _broken(raw) or _broken(query):
            raise _refused("The URL holds NUL or bytes that are not UTF-8.")
        if b"//" in raw or target.startswith("//"):
            raise _refused("The path has an empty segment.")
        if _ENCODED_SLASH.search(target):
            raise _refused("A segment of the path cannot hold a slash.")


def _broken(raw: bytes) -> bool:
    return b"\0" in raw or raw.decode("utf-8", "replace").encode() != raw


def _refused(text: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(text, reason=Reason.MALFORMED)
