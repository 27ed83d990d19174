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
        """Ask the identity backend. Raises its Unauthenticated, Unavailable.

        A service that sends the request for its user adds its own token as X-Service-Token; one
        that is not valid makes the whole request unauthenticated.
        """
        headers = {k: v for k, v in req.headers_lower.items() if k not in _FORGED}
        target = req.env.get("RAW_URI") or req.relative_uri
        found = self._driver.authenticate(
            identity.AuthRequest(req.method, target, headers, req.remote_addr)
        )
        service = self._service(req, target)
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
            service_user_id=service.user_id if service else None,
            service_roles=service.roles if service else frozenset(),
        )

    def _service(self, req: falcon.Request, target: str) -> identity.Identity | None:
        token = req.get_header("X-Service-Token")
        if token is None:
            return None
        headers = {"x-auth-token": token}
        return self._driver.authenticate(
            identity.AuthRequest(req.method, target, headers, req.remote_addr)
        )
