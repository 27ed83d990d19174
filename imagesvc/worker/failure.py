"""What an exception of a step means for its job."""

import dataclasses

from imagesvc import errors
from imagesvc.db import engine
from imagesvc.interface.errors import DriverError
from imagesvc.worker.flow import Wait

CANCELLED = "cancelled"
DEAD = "dead"
FAILED = "failed"


class WorkerDied(errors.ImagesvcError):
    """The step ended its worker too often."""

    message = "Its worker died on it {attempts} times."


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """`code` is how the job ends, `text` is for the caller, `operator_text` for the operator."""

    code: str
    text: str
    operator_text: str
    retryable: bool = False


def waiting(answer: Wait) -> Failure | None:
    """What a job waits for, if its step says it."""
    return Failure(FAILED, answer.text, answer.operator_text) if answer.text else None


def of(exc: Exception) -> Failure:
    """Judge an exception; only what may go through later is retryable."""
    name = type(exc).__name__
    match exc:
        case errors.Cancelled():
            return Failure(CANCELLED, "Cancelled.", "")
        case WorkerDied():
            return Failure(DEAD, exc.text, "")
        case DriverError():
            return Failure(FAILED, exc.user_message, exc.operator_message, exc.retryable)
        case errors.BucketAway():
            return Failure(FAILED, exc.text, exc.operator_message, retryable=True)
        case errors.RegionAway():
            return Failure(FAILED, exc.text, exc.operator_message, retryable=True)
        case errors.FetchFailed():
            return Failure(FAILED, exc.text, exc.operator_message)
        case errors.BackendFailed() | errors.ScratchFull():
            return Failure(FAILED, exc.text, name, retryable=True)
        case errors.ImagesvcError():
            return Failure(FAILED, exc.text, name)
        case _ if engine.is_transient(exc):
            return Failure(FAILED, "The service's database was away.", name, retryable=True)
        case _:
            text = "An internal error happened; the operator's log has it."
            return Failure(FAILED, text, repr(exc))
