"""Keys of the contract as names of S3 objects, and back.

A `/` would make folders on gateways that stand on a file system: `a` and `a/b` could not both be
there, and a list would come in another order than that of keys. So `.` is written `.-` and `/` is
written `._`: no name is the beginning of another one's escape, and names sort as keys do.
"""

from imagesvc.interface import errors, storage

_CODE = {ord("."): ".-", ord("/"): "._"}
_CHARACTERS = {".-": ".", "._": "/"}


def encode(text: str) -> str:
    """The name of a key, or the beginning of names for the beginning of a key."""
    return text.translate(_CODE)


def decode(name: str) -> str | None:
    """The key of a name; None if it is no name of ours."""
    key, rest = "", name
    while rest:
        plain, dot, rest = rest.partition(".")
        key += plain
        if dot:
            key += _CHARACTERS.get(dot + rest[:1], "\0")
            rest = rest[1:]
    try:
        return storage.check_key(key)
    except errors.InvalidArgument:
        return None
