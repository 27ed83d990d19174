"""Names of objects in the stores: whose they are, and whether their bytes are encrypted.

`<image id>/<name>` holds plain bytes, `<image id>/enc-<name>` encrypted ones: an object is never
read as what it is not, whatever a row says.
"""

_MARK = "/enc-"


def make(image_id: str, name: str, *, encrypted: bool) -> str:
    """The key of an object of an image; `name` begins with no mark of its own."""
    return f"{image_id}{_MARK if encrypted else '/'}{name}"


def image_of(key: str) -> str:
    """The id of the image whose object it is."""
    return key.partition("/")[0]


def is_encrypted(key: str) -> bool:
    """Whether its bytes are encrypted under the data key of its image."""
    return key.startswith(_MARK, len(image_of(key)))
