"""Steps, what they are given, and what they may answer."""

import abc
import dataclasses
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, ClassVar

from imagesvc import service as services
from imagesvc.context import RequestContext, job_context
from imagesvc.domain.job import Job

# Attempts that are kept for workers that die, while a job waits for something that is away.
SPARE_ATTEMPTS = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Answer of a step that waits for something outside: come back in so many seconds.

    `text` says to the caller what is waited for, `operator_text` to the operator.
    """

    seconds: float
    text: str = ""
    operator_text: str = ""


class Released(Exception):
    """The worker is stopping and has waited long enough: the job goes back as it is."""


class Memo(MutableMapping[str, Any]):
    """What a step keeps; each change is saved under the job's lease before it returns."""

    def __init__(self, values: dict[str, Any], save: Callable[[dict[str, Any]], None]) -> None:
        self._values = values
        self._save = save

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.put(**{key: value})

    def put(self, **values: Any) -> None:
        """Keep several values, all or none."""
        self._save(self._values | values)
        self._values |= values

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._save(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What was made before, or what `make` makes now.

        A kill between making and saving makes it again: `make` takes a token for that.
        """
        if key not in self:
            self[key] = make()
        return self[key]


@dataclasses.dataclass(slots=True)
class StepContext:
    """What a step works with.

    `request_token` never changes for this step until the job ends; drivers get it. A retry of
    the ended job gets another, since its first try was taken back. `lease_token` names
    temporary objects. `results` are the memos of the steps before, by step name. `check`
    raises Cancelled, LeaseLost or Released; `progress(done_bytes, total_bytes)` does too.
    `complete(conn)` marks the step done in a transaction of its own making.
    """

    service: services.Service
    job: Job
    memo: Memo
    results: dict[str, dict[str, Any]]
    request_token: str
    check: Callable[[], None]
    progress: Callable[[int, int | None], None]
    complete: Callable[[Any], None]

    @property
    def lease_token(self) -> int:
        """Rises with each claim of the job."""
        return self.job.lease_token

    @property
    def caller(self) -> RequestContext:
        """Who asked for the job, with the roles of that time."""
        job = self.job
        return job_context(job.user_id, job.project_id, job.roles, job.request_id)


class Step(abc.ABC):
    """One thing done to one outside system, safe to run again after a kill at any line.

    `final`: once it is done the job is past return: it cannot be cancelled, and what fails
    after it is left behind and told to the operator. If its effect is a row, it calls
    `ctx.complete` in the same transaction.
    """

    name: ClassVar[str]
    final: ClassVar[bool] = False

    def applies(self, job: Job) -> bool:
        """Whether this job needs the step."""
        return True

    @abc.abstractmethod
    def run(self, ctx: StepContext) -> Wait | None:
        """Do it, or say how long to wait. May be called any number of times."""

    def undo(self, ctx: StepContext) -> Wait | None:
        """Take back what `run` made, finished or not, or say how long to wait; safe to repeat."""
        return None


Flow = tuple[Step, ...]
