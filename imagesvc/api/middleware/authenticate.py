"""Turns the credentials of a request into its RequestContext, by the identity backend."""

from typing import Any

import falcon

from imagesvc import context
from imagesvc.interface import identity

# Headers in which other services' middleware keep their findings; never a caller's to set.
_FORGED = frozenset(
    {
        "x-roles", "x-role", "x-user", "x-user-id", "x-user-name", "x-user-domain-id",
        "x-project-id", "x-project-name", "x-project-domain-id", "x-tenant", "x-tenant-id",
        "x-tenant-name", "x-domain-id", "x-identity-status", "x-service-roles",
        "x-service-catalog", "x-is-admin-project", "x-forwarded-for", "x-forwarded-user",
    }
)  # fmt: skip


class Authenticate:
    """Every routed resource needs a caller, unless its class says `anonymous = True`."""

    def __init__(self, driver: identity.IdentityDriver) -> None:
        self._driver = driver

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, params: dict[str, Any]
    ) -> None:
        """Set `req.context.caller`."""
        if not getattr(resource, "anonymous", False):
            self.identify(req)

    def identify(self, req: falcon.Request) -> None:
        """Ask the identity backend. Raises its Unauthenticated, Unavailable."""
        headers = {k: v for k, v in req.headers_lower.items() if k not in _FORGED}
        target = req.env.get("RAW_URI") or req.relative_uri
        found = self._driver.authenticate(
            identity.AuthRequest(req.method, target, headers, req.remote_addr)
        )
        req.context.identity = found
        req.context.caller = context.RequestContext(
            user_id=found.user_id,
            project_id=found.project_id,
            roles=found.roles,
            is_admin=found.is_admin,
            request_id=req.context.request_id,
            user_name=found.user_name,
            project_name=found.project_name or "",
            remote=req.remote_addr,
        )
