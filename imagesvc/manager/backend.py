"""Backends as operators see them."""

from collections.abc import Sequence

from imagesvc.backend.backend import BackendStatus
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class BackendManager:
    """What is configured and how it fares."""

    def __init__(self, operation: Operation, enforcer: Enforcer, backends: Backends) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends

    def list(self, ctx: RequestContext) -> Sequence[BackendStatus]:
        """All backends, without a probe. Raises Forbidden."""
        with self._operation.look(ctx, "backend:list", "backend"):
            self._enforcer.authorize(ctx, "backend:list")
        return self._backends.describe()
