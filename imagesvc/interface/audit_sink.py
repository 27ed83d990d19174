"""Audit sinks take the audit trail to another place, without loss."""

import abc
import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc.interface import base

VERSION = base.Version(1, 0)


class AuditSinkCapability(base.Capability):
    """What an audit sink may say of itself."""

    AT_LEAST_ONCE = "at-least-once"


@dataclasses.dataclass(frozen=True, slots=True)
class AuditEvent:
    """One recorded action; `outcome` is `success`, `denied` or `failure`; no secrets."""

    event_id: str
    created_at: datetime.datetime
    action: str
    outcome: str
    target_type: str
    target_id: str
    project_id: str | None
    user_id: str | None
    request_id: str
    detail: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class AuditSink(base.Driver):
    """Where the audit trail is sent."""

    @abc.abstractmethod
    def emit(self, events: Sequence[AuditEvent]) -> None:
        """Take a batch; return only when all of it is durable at the other side.

        A raise gives the same batch again. Drop repeated `event_id`s, or say AT_LEAST_ONCE.
        """
