"""Handles of long work that say themselves what it is, so that any process can follow it.

Nothing is kept on this machine: servers and snapshots in the cloud bear the mark of their work,
which is made of the caller's token.

    create.<project id>.<count>.<mark>
    snapshot.<project id>.<server id>.<mark>
    refused.<why, in base64>                    nothing was begun
"""

import base64
import binascii
import dataclasses
import hashlib
import re

from imagesvc.interface import errors
from imagesvc.interface.operation import Handle

CREATE = "create"
SNAPSHOT = "snapshot"
REFUSED = "refused"
TOKEN_CHARS_MAX = 1024

_HANDLE = re.compile(r"(create|snapshot)\.([A-Za-z0-9_-]{1,64})\.([0-9a-f-]{1,36})\.([0-9a-f]{32})")
_WHY_BYTES_MAX = 700


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """What a handle says; `subject` is a count of servers, a server's id, or why not."""

    kind: str
    project_id: str
    subject: str
    mark: str

    @property
    def handle(self) -> Handle:
        """The handle of this work."""
        return f"{self.kind}.{self.project_id}.{self.subject}.{self.mark}"


def mark(token: str) -> str:
    """What the cloud is told of a token. Raises InvalidArgument for a token that is none."""
    if not 1 <= len(token) <= TOKEN_CHARS_MAX:
        raise errors.InvalidArgument(f"A token has 1 to {TOKEN_CHARS_MAX} characters.")
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def refused(why: str) -> Handle:
    """The handle of work that failed before it was begun."""
    short = why.encode()[:_WHY_BYTES_MAX]
    return f"{REFUSED}.{base64.urlsafe_b64encode(short).decode()}"


def parse(handle: Handle) -> Work:
    """What a handle says. Raises NotFound for what is none."""
    kind, _, rest = handle.partition(".")
    if kind == REFUSED:
        try:
            why = base64.b64decode(rest, altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise errors.NotFound("No such work is known.", f"handle {handle!r}") from None
        return Work(REFUSED, "", why.decode(errors="ignore"), "")
    found = _HANDLE.fullmatch(handle)
    if found is None or (kind == CREATE and not found[3].isdecimal()):
        raise errors.NotFound("No such work is known.", f"handle {handle!r}")
    return Work(*found.groups())
