"""An image of another Image API v2: what a caller names it by, and what is taken over from it."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.domain import image_property, promise
from imagesvc.domain.image_property import Change

INTERFACES = ("public", "internal", "admin")
# What every image of that API has; anything else beside them is a free property.
_BASE = frozenset(
    {
        "id", "name", "status", "visibility", "protected", "os_hidden", "owner", "checksum",
        "os_hash_algo", "os_hash_value", "size", "virtual_size", "container_format", "disk_format",
        "min_disk", "min_ram", "created_at", "updated_at", "tags", "self", "file", "schema",
        "direct_url", "locations", "stores",
    }
)  # fmt: skip
_FORMATS = ("disk_format", "container_format")
# What no database of ours takes: NUL, and half of a surrogate pair.
_ODD = re.compile("[\0\ud800-\udfff]")
_HEX = re.compile(r"[0-9a-f]+")
_LENGTHS = {"sha256": 64, "sha512": 128}
_MD5_LENGTH = 32
_SIZE_MAX = (1 << 63) - 1


@dataclasses.dataclass(frozen=True, slots=True)
class RemoteRequest:
    """The image `image_id` in a region's image service, read with the caller's `token`."""

    region: str
    image_id: str
    interface: str = "public"
    token: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class RemoteImage:
    """What the other service says of its image; `digest` is an algorithm and a hex value."""

    size_bytes: int
    digest: tuple[str, str]
    changes: tuple[Change, ...]


def read(document: Any, prefixes: Sequence[str]) -> RemoteImage:
    """Judge the JSON of the other service; properties of these prefixes are taken over.

    Names that this service keeps for itself, promises, which are of one id, and values that are no
    strings are left there.
    Raises InvalidRequest for an image that is not active, or lacks formats, size or digest.
    """
    if not isinstance(document, dict) or document.get("status") != "active":
        raise errors.InvalidRequest("The remote image is not active.")
    size = document.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= _SIZE_MAX:
        raise errors.InvalidRequest("The remote image has no size.")
    changes = [Change("add", (name,), _format(document, name)) for name in _FORMATS]
    changes += [
        Change("add", ("properties", name), value)
        for name, value in sorted(document.items())
        if name.startswith(tuple(prefixes)) and _is_property(name, value)
    ]
    return RemoteImage(size, _digest(document), tuple(changes))


def _format(document: Mapping[str, Any], name: str) -> str:
    value = image_property.check_field(name, document.get(name))
    if value is None:
        raise errors.InvalidRequest(f"The remote image has no {name}.")
    return str(value)


def _digest(document: Mapping[str, Any]) -> tuple[str, str]:
    """The best that it names; without one nobody could say that the bytes are right."""
    algorithm, value = document.get("os_hash_algo"), document.get("os_hash_value")
    if isinstance(algorithm, str) and _is_hex(value, _LENGTHS.get(algorithm, -1)):
        return algorithm, str(value)
    checksum = document.get("checksum")
    if _is_hex(checksum, _MD5_LENGTH):
        return "md5", str(checksum)
    raise errors.InvalidRequest("The remote image has no digest that is known here.")


def _is_hex(value: Any, length: int) -> bool:
    return isinstance(value, str) and len(value) == length and bool(_HEX.fullmatch(value))


def _is_property(name: str, value: Any) -> bool:
    if not isinstance(value, str) or _ODD.search(name) or _ODD.search(value):
        return False
    if name in _BASE or name in promise.NAMES:
        return False
    try:
        image_property.check_property(name, value)
    except errors.ImagesvcError:  # a fault of the other image, and no reason not to have its bytes
        return False
    return True
