"""Who may do what to an image, as data. Each dialect runs it through its own client.

Cells: R see, D download, M modify and delete, S manage members; an empty cell: the image does
not exist for that caller.
"""

import dataclasses
import enum

VISIBILITIES = ("private", "shared", "community", "public")


class Outcome(enum.StrEnum):
    """What a caller gets."""

    DONE = "done"
    FORBIDDEN = "forbidden"
    ABSENT = "absent"


@dataclasses.dataclass(frozen=True)
class Caller:
    """A row: whose project the caller is of, its roles, and its cells."""

    name: str
    side: str  # owner, accepted, pending, rejected, other
    roles: tuple[str, ...]
    cells: tuple[str, str, str, str]
    service: tuple[str, ...] = ()  # roles of a service that sends its own token along


#          caller               project     roles         private shared community public
MATRIX = (
    Caller("owner-member",     "owner",    ("member",),  ("RDMS", "RDMS", "RDM", "RDM")),
    Caller("owner-reader",     "owner",    ("reader",),  ("R", "R", "R", "R")),
    Caller("member-accepted",  "accepted", ("member",),  ("", "RD", "RD", "RD")),
    Caller("member-pending",   "pending",  ("member",),  ("", "RD", "RD", "RD")),
    Caller("member-rejected",  "rejected", ("member",),  ("", "RD", "RD", "RD")),
    Caller("other-tenant",     "other",    ("member",),  ("", "", "RD", "RD")),
    Caller("admin",            "other",    ("admin",),   ("RDMS", "RDMS", "RDM", "RDM")),
    Caller("service",          "other",    ("service",), ("RD", "RD", "RD", "RD")),
    Caller("reader-by-nova",   "owner",    ("reader",),  ("R", "R", "R", "R"), ("service",)),
    Caller("member-by-nova",   "accepted", ("member",),  ("", "RD", "RD", "RD"), ("service",)),
    Caller("other-by-nova",    "other",    ("member",),  ("", "", "RD", "RD"), ("service",)),
    Caller("other-by-other",   "other",    ("member",),  ("", "", "RD", "RD"), ("member",)),
)  # fmt: skip

# The same callers: whose default list holds the image.
LISTED = {
    "owner-member": frozenset(VISIBILITIES),
    "owner-reader": frozenset(VISIBILITIES),
    "member-accepted": frozenset({"shared", "public"}),
    "member-pending": frozenset({"public"}),
    "member-rejected": frozenset({"public"}),
    "other-tenant": frozenset({"public"}),
    "admin": frozenset({"private", "shared", "public"}),
    "service": None,  # the table does not say
    "reader-by-nova": frozenset(VISIBILITIES),
    "member-by-nova": frozenset({"shared", "public"}),
    "other-by-nova": frozenset({"public"}),
    "other-by-other": frozenset({"public"}),
}

# Who is told where the bytes of an image are, of those that see it.
TOLD_LOCATIONS = frozenset(
    {"admin", "service", "reader-by-nova", "member-by-nova", "other-by-nova"}
)


def cases():
    """Every caller, visibility and letter with its outcome."""
    for caller in MATRIX:
        for visibility, cell in zip(VISIBILITIES, caller.cells, strict=True):
            for letter in "RDMS":
                yield caller, visibility, letter, outcome(cell, letter)


def outcome(cell, letter):
    """What one letter comes to in a cell."""
    if not cell:
        return Outcome.ABSENT
    return Outcome.DONE if letter in cell else Outcome.FORBIDDEN
