"""THE transition tables of image, member and job. Nothing else knows what follows what.

`MEANING` has a sentence for each status; docs/api/state.rst is made from this file.
"""

import dataclasses
import enum


class ImageStatus(enum.StrEnum):
    """Status of an image."""

    QUEUED = "queued"
    SAVING = "saving"
    UPLOADING = "uploading"
    IMPORTING = "importing"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    PENDING_DELETE = "pending_delete"
    DELETED = "deleted"
    KILLED = "killed"


class MemberStatus(enum.StrEnum):
    """Answer of a project to an offered image."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class JobState(enum.StrEnum):
    """State of a job."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"


class StepState(enum.StrEnum):
    """State of a step of a job."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    UNDONE = "undone"
    FAILED = "failed"
    SKIPPED = "skipped"


# Each status in a sentence, with what happens if a process dies in it.
MEANING: dict[type[enum.StrEnum], dict[str, str]] = {
    ImageStatus: {
        ImageStatus.QUEUED: "The record exists without bytes, and may rest so for ever.",
        ImageStatus.SAVING: "Bytes are coming in; if their sender dies, a stale heartbeat sends the "
        "image back to queued.",
        ImageStatus.UPLOADING: "Bytes are being staged; a death is repaired as in saving.",
        ImageStatus.IMPORTING: "A job makes the image; if a worker dies, the job goes on elsewhere.",
        ImageStatus.ACTIVE: "Whole, verified and usable; or at a foreign URL, where the operator lets "
        "images stay elsewhere unverified.",
        ImageStatus.DEACTIVATED: "Whole, but only administrators may read the bytes.",
        ImageStatus.PENDING_DELETE: "In the bin: gone for callers, but all that belongs to it is "
        "kept until its term ends; then a job purges it.",
        ImageStatus.DELETED: "Gone; the row stays so that the id never comes back.",
        ImageStatus.KILLED: "The job that was making the image failed; the cause stands beside it.",
    },
    MemberStatus: {
        MemberStatus.PENDING: "Offered, not answered: usable by id, not in the project's lists.",
        MemberStatus.ACCEPTED: "The project took the offer: the image is in its lists.",
        MemberStatus.REJECTED: "The project refused the offer: usable by id, not in its lists.",
    },
    JobState: {
        JobState.READY: "Waits for a worker, or for its time; any worker claims it.",
        JobState.RUNNING: "A worker holds its lease; if it dies, the lease lapses and another goes on.",
        JobState.DONE: "Every step is done.",
        JobState.FAILED: "A step failed for good, and what could be undone is undone.",
        JobState.CANCELLED: "Stopped on request, and what could be undone is undone.",
        JobState.DEAD: "Its workers died on it too often; it is kept and shown, and may be retried.",
    },
    StepState: {
        StepState.PENDING: "Not begun.",
        StepState.RUNNING: "Begun; after a death it is run again, and its memo says how far it was.",
        StepState.DONE: "Ended well.",
        StepState.UNDONE: "Taken back.",
        StepState.FAILED: "Ended badly; the steps before it are undone.",
        StepState.SKIPPED: "Not needed for this job.",
    },
}

# What a guard asks of the row, in the same statement that changes it.
GUARDS = {
    "has_formats": "disk_format and container_format are set",
    "has_location": "a disk with bytes in a store is recorded",
    "has_foreign": "a foreign location is recorded",
    "not_protected": "the image is not protected",
    "not_promised": "no promise to provide it runs",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """`event` takes any status of `sources` to `target`, if each word of `guard` holds (names that
    the rows' file turns into SQL conditions of the same statement)."""

    sources: frozenset[str]
    event: str
    target: str
    guard: str = ""

    @property
    def guards(self) -> tuple[str, ...]:
        """Names of GUARDS."""
        return tuple(self.guard.split())


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


_ALL_IMAGE = "queued saving uploading importing active deactivated killed"

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
        _row("queued", "make", "importing"),  # its job finds the format, if nobody said it
        _row("importing", "import_done", "active", "has_location"),
        _row("queued importing", "link", "active", "has_foreign"),  # its bytes stay elsewhere
        _row("importing", "import_failed", "queued"),
        _row("importing", "import_returned", "uploading"),  # its staged bytes are good and stay
        _row("queued saving importing", "job_failed", "killed"),
        _row("killed", "revive", "importing"),  # its job is run again
        _row("active", "deactivate", "deactivated"),
        _row("deactivated", "reactivate", "active"),
        _row(_ALL_IMAGE, "delete", "deleted", "not_protected not_promised"),
        _row("active deactivated", "bin", "pending_delete", "not_protected not_promised"),
        _row("pending_delete", "undo", "active"),
        _row("pending_delete", "undo_deactivated", "deactivated"),
        _row("pending_delete", "purge", "deleted", "not_promised"),
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
# Those with all their bytes.
IMAGE_READABLE = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})
JOB_ENDED = frozenset({"done", "failed", "cancelled", "dead"})
