"""THE transition tables of image, member and job. Nothing else knows what follows what.

Each status has a sentence, and a rule for what happens if a process dies in it.
"""

import dataclasses
import enum


class ImageStatus(enum.StrEnum):
    """Status of an image."""

    QUEUED = "queued"  # the record exists, no bytes; rests there for ever
    SAVING = "saving"  # bytes are coming in; a stale heartbeat sends it back to queued
    UPLOADING = "uploading"  # bytes are being staged; as saving
    IMPORTING = "importing"  # a job makes it from staged or fetched bytes; the job repairs it
    ACTIVE = "active"  # whole, verified and usable
    DEACTIVATED = "deactivated"  # whole, but only administrators may read the bytes
    PENDING_DELETE = "pending_delete"  # deleted for users; bytes wait for the reaper
    DELETED = "deleted"  # gone; the row stays so that the id never comes back
    KILLED = "killed"  # the job that was making it failed; the cause stands beside it


class MemberStatus(enum.StrEnum):
    """Answer of a project to an offered image."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class JobState(enum.StrEnum):
    """State of a job."""

    READY = "ready"  # waits for a worker, or for its time; any worker claims it
    RUNNING = "running"  # leased; a lapsed lease is taken over
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"  # its worker died on it too often; kept and shown


class StepState(enum.StrEnum):
    """State of a step of a job."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    UNDONE = "undone"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """`event` takes any status of `sources` to `target`, if `guard` holds (a name that the
    rows' file turns into an SQL condition of the same statement)."""

    sources: frozenset[str]
    event: str
    target: str
    guard: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """All transitions of one noun; one target an event."""

    noun: str
    initial: str
    rows: tuple[Transition, ...]

    def of(self, event: str) -> Transition:
        """The row of an event. Raises KeyError for an unknown event."""
        for row in self.rows:
            if row.event == event:
                return row
        raise KeyError(event)

    def events_from(self, status: str) -> tuple[str, ...]:
        """Events that are possible from a status."""
        return tuple(row.event for row in self.rows if status in row.sources)


def _row(sources: str, event: str, target: str, guard: str = "") -> Transition:
    return Transition(frozenset(sources.split()), event, target, guard)


_ALL_IMAGE = "queued saving uploading importing active deactivated pending_delete killed"

IMAGE = Machine(
    "image",
    "queued",
    (
        #    from                        event            to             guard
        _row("queued", "upload", "saving", "has_formats"),
        _row("saving", "upload_done", "active", "has_location"),
        _row("saving", "upload_failed", "queued"),
        _row("queued", "stage", "uploading"),
        _row("uploading", "stage_failed", "queued"),
        _row("queued uploading", "import", "importing", "has_formats"),
        _row("importing", "import_done", "active", "has_location"),
        _row("importing", "import_failed", "queued"),
        _row("queued saving importing", "job_failed", "killed"),
        _row("killed", "revive", "importing"),  # its job is run again
        _row("active", "deactivate", "deactivated"),
        _row("deactivated", "reactivate", "active"),
        _row(_ALL_IMAGE, "delete", "deleted", "not_protected"),
    ),
)

MEMBER = Machine(
    "member",
    "pending",
    (
        _row("pending accepted rejected", "accept", "accepted"),
        _row("pending accepted rejected", "reject", "rejected"),
        _row("pending accepted rejected", "reconsider", "pending"),
    ),
)

JOB = Machine(
    "job",
    "ready",
    (
        _row("ready running", "claim", "running"),  # running: only with a lapsed lease
        _row("running", "park", "ready"),
        _row("running", "finish", "done"),
        _row("running", "fail", "failed"),
        _row("running", "die", "dead"),
        _row("ready running", "cancel", "cancelled"),
        _row("failed dead cancelled", "retry", "ready"),
    ),
)

MEMBER_EVENTS = {"accepted": "accept", "rejected": "reject", "pending": "reconsider"}
JOB_ENDED = frozenset({"done", "failed", "cancelled", "dead"})
