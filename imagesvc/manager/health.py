"""Health: may work be sent here, and how does each backend fare."""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imagesvc.backend.backend import BackendStatus
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db.health import DatabaseProbe
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

LOG = logging.getLogger(__name__)
DRAINING = "draining"
DOWN = "down"


@dataclasses.dataclass(frozen=True, slots=True)
class Readiness:
    """`reason` is empty where work is welcome; `unready` names what does not work."""

    reason: str
    unready: tuple[str, ...]


class HealthManager:
    """The database, the essential backends, and the operator's wish to drain this machine."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        database: DatabaseProbe,
        drain_file: Path,
        late: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._database = database
        self._drain_file = drain_file
        self._late = late
        self._told = ""

    def list(self, ctx: RequestContext) -> Sequence[BackendStatus]:
        """The last probe of each backend. Raises Forbidden."""
        with self._operation.look(ctx, "health:get", "backend"):
            self._enforcer.authorize(ctx, "health:get")
        return self._backends.describe()

    def warnings(self, ctx: RequestContext) -> tuple[str, ...]:
        """What works and still wants a look: families of the catalog that are overdue. Raises Forbidden."""
        with self._operation.look(ctx, "health:get", "backend"):
            self._enforcer.authorize(ctx, "health:get")
        return tuple(f"Family {name} is overdue: {why}" for name, why in self._late().items())

    def readiness(self) -> Readiness:
        """Whether work may be sent here; for load balancers, without a caller."""
        if self._drain_file.exists():
            return Readiness(DRAINING, ())
        unready = [f"{one.kind}:{one.id}" for one in self._backends.unready()]
        cause = self._database.cause()
        self._tell(cause)
        if cause:
            unready.insert(0, "database")
        return Readiness(DOWN if unready else "", tuple(unready))

    def _tell(self, cause: str) -> None:
        """Log a change once; two threads at once may log it twice."""
        if cause != self._told:
            self._told = cause
            level = logging.WARNING if cause else logging.INFO
            LOG.log(level, "The database changed state cause=%s", cause or "-")
