"""Query strings, limits, and the links between the pages of a list."""

import re
from urllib import parse

import falcon

from imagesvc import errors

PARAMETERS_MAX = 256

_NUMBER = re.compile(r"\d{1,19}")


def parameters(req: falcon.Request) -> list[tuple[str, str]]:
    """The query string in order, repeats kept. Raises InvalidRequest if there are too many."""
    if req.query_string.count("&") >= PARAMETERS_MAX:
        raise errors.InvalidRequest(f"The query has more than {PARAMETERS_MAX} parameters.")
    return parse.parse_qsl(req.query_string, keep_blank_values=True)


def limit(text: str | None, *, default: int, maximum: int) -> int:
    """A page size, silently cut at `maximum`. Raises InvalidRequest."""
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or not text.isascii():
        raise errors.InvalidRequest("limit must be a whole number of at least 0.")
    return min(int(text), maximum)


def first_link(path: str, pairs: list[tuple[str, str]]) -> str:
    """The link to the first page: every parameter but the marker."""
    kept = [(name, value) for name, value in pairs if name != "marker"]
    return f"{path}?{parse.urlencode(kept)}" if kept else path


def next_link(path: str, pairs: list[tuple[str, str]], marker: str) -> str:
    """The link to the page after `marker`."""
    kept = [(name, value) for name, value in pairs if name != "marker"]
    return f"{path}?{parse.urlencode([*kept, ('marker', marker)])}"
