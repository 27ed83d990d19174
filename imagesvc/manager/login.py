"""Logins at the embedded identity: made by its driver, failures recorded."""

from imagesvc.context import RequestContext
from imagesvc.interface.identity import IdentityDriver, Login, LoginScope
from imagesvc.manager.operation import Operation

_NAME_LENGTH_MAX = 64


class LoginManager:
    """Tokens for passwords and for tokens. Success leaves no record: it changes nothing."""

    def __init__(self, operation: Operation, identity: IdentityDriver) -> None:
        self._operation = operation
        self._identity = identity

    def log_in(
        self, ctx: RequestContext, user: str, password: str, scope: LoginScope, domain: str
    ) -> Login:
        """Make a token. Raises Unauthenticated, NotSupported; only administrators see that."""
        detail = {"remote": ctx.remote}
        with self._operation.attempt(ctx, "token:create", "user", user[:_NAME_LENGTH_MAX], detail):
            return self._identity.login(user, password, scope, domain=domain)

    def rescope(self, ctx: RequestContext, token: str, scope: LoginScope) -> Login:
        """Make a token from a token. Raises Unauthenticated, NotSupported."""
        with self._operation.attempt(ctx, "token:create", "user", "-", {"remote": ctx.remote}):
            return self._identity.rescope(token, scope)
