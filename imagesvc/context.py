"""Who asks: the frozen context of one request or job."""

import contextvars
import dataclasses
from collections.abc import Iterable

# Id of the request that this thread serves, for log lines.
current_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


@dataclasses.dataclass(frozen=True, slots=True)
class Agent:
    """By which agency the service of another region works here, and for whom there."""

    agency_id: str
    source_region: str
    source_project_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class RequestContext:
    """The caller of an operation.

    `project_id` is None for an unscoped caller, who sees public images alone.
    The `service_` fields name the service that sends the request for the caller, if its token
    came along; its roles give the caller nothing but what a rule grants to `service_roles`.
    `agent` says that the caller is the service of another region, and `project_id` the project that
    an agency lets it work in. `request_id` is `req-<uuid>`; it appears in logs, audit rows and answers.
    """

    user_id: str | None
    project_id: str | None
    roles: frozenset[str] = frozenset()
    is_admin: bool = False
    request_id: str = ""
    user_name: str = ""
    project_name: str = ""
    remote: str = ""
    service_user_id: str | None = None
    service_roles: frozenset[str] = frozenset()
    agent: Agent | None = None


def job_context(
    user_id: str | None, project_id: str, roles: Iterable[str], request_id: str = ""
) -> RequestContext:
    """Context of a job's own work, with the roles that its caller had."""
    held = frozenset(roles)
    return RequestContext(user_id, project_id, held, "admin" in held, request_id)


def service_context(request_id: str = "", project_id: str | None = None) -> RequestContext:
    """Context of the service's own work (reaper, sealing)."""
    return RequestContext(
        user_id=None,
        project_id=project_id,
        roles=frozenset({"admin", "service"}),
        is_admin=True,
        request_id=request_id,
    )
