"""JSON patch in the two media types of Glance (a subset of RFC 6902): add, replace, remove.

`parse` gives changes whose paths are the names of the dialect; the door translates those.
"""

import re
from typing import Any

import falcon

from imagesvc import errors
from imagesvc.api import media
from imagesvc.domain import image_property
from imagesvc.errors import Reason

V20 = "application/openstack-images-v2.0-json-patch"
V21 = "application/openstack-images-v2.1-json-patch"
MEDIA_TYPES = (V21, V20)
OPERATIONS = ("add", "replace", "remove")
OPERATIONS_MAX = 256

_TOKEN = re.compile(r"(?:[^/~]|~[01])+")


def load(req: falcon.Request) -> tuple[image_property.Change, ...]:
    """Read the patch of a request. Raises InvalidRequest, TooLarge."""
    found = media.content_type(req)
    if found not in MEDIA_TYPES:
        raise errors.InvalidRequest(
            f"The body must be {' or '.join(MEDIA_TYPES)}.",
            reason=Reason.MEDIA_TYPE,
            accept_patch=", ".join(MEDIA_TYPES),
        )
    return parse(media.load(req, types=MEDIA_TYPES), old=found == V20)


def parse(document: Any, *, old: bool = False) -> tuple[image_property.Change, ...]:
    """Turn a decoded patch into changes; `old` is the 2.0 form. Raises InvalidRequest."""
    if not isinstance(document, list):
        raise _malformed("A patch must be an array of operations.")
    if len(document) > OPERATIONS_MAX:
        raise _malformed(f"A patch may have at most {OPERATIONS_MAX} operations.")
    return tuple(_change(item, old=old) for item in document)


def pointer(text: Any) -> tuple[str, ...]:
    """Split a JSON pointer into its one or two tokens. Raises InvalidRequest."""
    if not isinstance(text, str) or not text.startswith("/"):
        raise _malformed("The path of an operation must be a string that starts with /.")
    tokens = text[1:].split("/")
    if len(tokens) > 2 or not all(_TOKEN.fullmatch(token) for token in tokens):
        raise _malformed("The path of an operation is no JSON pointer of one or two steps.")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


def _change(item: Any, *, old: bool) -> image_property.Change:
    if not isinstance(item, dict):
        raise _malformed("An operation must be a JSON object.")
    if old:
        names = [key for key in item if key != "value"]
        if len(names) != 1:
            raise _malformed("An operation names exactly one of: " + ", ".join(OPERATIONS) + ".")
        op, path = names[0], item[names[0]]
    else:
        op, path = item.get("op"), item.get("path")
    if op not in OPERATIONS:
        raise _malformed("An operation must be one of: " + ", ".join(OPERATIONS) + ".")
    tokens = pointer(path)
    if op != "remove" and "value" not in item:
        raise _malformed(f"An operation {op} needs a value.")
    value = None if op == "remove" else item["value"]
    return image_property.Change(op, tokens, value, must_be_new=old and op == "add")


def _malformed(text: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(text, reason=Reason.MALFORMED)
