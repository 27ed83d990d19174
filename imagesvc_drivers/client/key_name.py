"""Ids of keys, and names under which a KMS that knows no projects keeps them."""

import hashlib
import re
import uuid
from typing import NamedTuple

from imagesvc.interface import errors
from imagesvc.interface.encryption import KEY_ID_LENGTH_MAX

PREFIX = "imagesvc"
_PROJECT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_WRITTEN = re.compile(
    rf"{PREFIX}-(?P<project_id>{_PROJECT.pattern})"
    r"-(?P<key_id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"(?:-(?P<name>(?:[A-Za-z0-9]|_[0-9a-f]{2})+))?"
)


class KeyName(NamedTuple):
    """Whose key it is, its id (a UUID), and what its project calls it."""

    project_id: str
    key_id: str
    name: str = ""

    def __str__(self) -> str:
        """`imagesvc-<project>-<id>`, and `-<name>` with `_` and two hex digits for odd bytes."""
        text = f"{PREFIX}-{self.project_id}-{self.key_id}"
        return f"{text}-{_encoded(self.name)}" if self.name else text


def id_of(project_id: str, request_token: str) -> str:
    """The id of the key that a project makes with this token: the same each time.

    A UUID of version 4 in its form; its bits come from a hash.
    """
    digest = hashlib.sha256(f"{len(project_id)}:{project_id}:{request_token}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def make(project_id: str, request_token: str, name: str) -> KeyName:
    """The name of a new key. Raises InvalidArgument for a project id or name that cannot be kept."""
    if not _PROJECT.fullmatch(project_id):
        raise errors.InvalidArgument(
            f"The project id {project_id!r} has characters that the KMS cannot keep."
        )
    made = KeyName(project_id, id_of(project_id, request_token), name)
    excess = len(str(made)) - KEY_ID_LENGTH_MAX
    if excess > 0:
        raise errors.InvalidArgument(
            f"The KMS cannot keep so long a name for a key; it is {excess} characters too long, of "
            "which letters and digits of ASCII count one, others three a byte."
        )
    return made


def parse(text: str) -> KeyName | None:
    """What `str` of a KeyName says; None for the names of others."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    try:
        return KeyName(found["project_id"], found["key_id"], _decoded(found["name"] or ""))
    except UnicodeDecodeError:
        return None


def _encoded(name: str) -> str:
    return "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"_{byte:02x}"
        for byte in name.encode()
    )


def _decoded(text: str) -> str:
    plain = re.sub(rb"_([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode("ascii"))
    return plain.decode()
