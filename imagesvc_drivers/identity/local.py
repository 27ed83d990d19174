"""The embedded identity: users, projects, roles and tokens in one file."""

import time
from pathlib import Path

from oslo_config import cfg

from imagesvc.interface import base, errors, identity
from imagesvc.interface.identity import IdentityCapability, Login, LoginScope, Unauthenticated
from imagesvc_drivers.identity import local_registry

_WRONG = "The user, the password or the scope is wrong."
_INVALID = "The request needs a valid token."


class LocalIdentity(identity.IdentityDriver):
    """Users of one installation, in the domain `default`; tokens end at once in all processes."""

    contract = base.Version(1, 0)
    OPTS = (
        cfg.StrOpt(
            "path",
            default="/var/lib/imagesvc/identity.sqlite",
            help="File with users, projects, roles and tokens, readable by the service alone.",
        ),
        cfg.IntOpt(
            "token_s",
            default=8 * 3600,
            min=60,
            help="Seconds that a token lives. Few bring frequent logins, many keep lost tokens "
            "useful.",
        ),
        cfg.StrOpt(
            "auth_url",
            default="",
            help="URL of /v3 as told to callers without a token; empty: a relative one.",
        ),
    )

    def __init__(self, options: object, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        path = Path(getattr(options, "path", "") or "")
        if not path.is_absolute():
            raise errors.InvalidConfiguration("option path must be an absolute path")
        self._token_s = int(getattr(options, "token_s", 0) or 8 * 3600)
        self._auth_url = getattr(options, "auth_url", "") or "/v3"
        self.registry = local_registry.Registry(path)

    def open(self) -> None:
        """Make the file if it is missing."""
        self.registry.create()

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="local",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset({IdentityCapability.LOOKUP, IdentityCapability.LOGIN}),
        )

    def health(self) -> base.Health:
        """Read the file."""
        begun = time.perf_counter()
        try:
            self.registry.projects(None)
        except errors.DriverError as exc:
            return base.Health(base.HealthState.DOWN, exc.operator_message)
        return base.Health(base.HealthState.OK, "", (time.perf_counter() - begun) * 1000)

    def challenge(self) -> str:
        """Value of WWW-Authenticate."""
        return f'Keystone uri="{self._auth_url}"'

    def authenticate(self, request: identity.AuthRequest) -> identity.Identity:
        """Say whose token the request carries. Raises Unauthenticated."""
        token = request.headers.get("x-auth-token", "")
        login = self.registry.login(token) if token else None
        if login is None:
            raise Unauthenticated(_INVALID)
        return login.identity

    def login(self, user: str, password: str, scope: LoginScope, *, domain: str = "") -> Login:
        """Make a token. Raises Unauthenticated with one text for every cause."""
        user_id = self.registry.verify(user, password)
        if user_id is None or domain.lower() not in ("", local_registry.DOMAIN):
            raise Unauthenticated(_WRONG)
        return self._issue(user_id, scope)

    def _issue(self, user_id: str, scope: LoginScope) -> Login:
        project_id = self._scope(user_id, scope)
        token = self.registry.issue(user_id, project_id, time.time() + self._token_s)
        return self.describe(token)

    def _scope(self, user_id: str, scope: LoginScope) -> str | None:
        wanted = scope.project_id or scope.project_name
        if wanted is None:
            return None
        try:
            project = self.registry.project(wanted)
        except errors.NotFound as exc:
            raise Unauthenticated(_WRONG) from exc
        if not self.registry.has_role(user_id, project.project_id):
            raise Unauthenticated(_WRONG)
        return project.project_id

    def describe(self, token: str) -> Login:
        """Say what a token stands for. Raises NotFound."""
        login = self.registry.login(token)
        if login is None:
            raise errors.NotFound("The token is unknown or has ended.")
        return login

    def rescope(self, token: str, scope: LoginScope) -> Login:
        """Make a token for another project of the same user. Raises Unauthenticated."""
        login = self.registry.login(token)
        if login is None:
            raise Unauthenticated(_INVALID)
        return self._issue(login.identity.user_id, scope)

    def revoke(self, token: str) -> None:
        """End a token at once."""
        self.registry.revoke(token)

    def find_project(self, name_or_id: str) -> identity.Project:
        """Find a project. Raises NotFound."""
        return self.registry.project(name_or_id)

    def list_projects(self, user_id: str | None = None) -> list[identity.Project]:
        """List projects by name."""
        return self.registry.projects(user_id)

    # ----------------------------------------------------- for operators

    def create_project(self, name: str) -> str:
        """Make a project, or find the one of this name; its id."""
        return self.registry.create_project(name)

    def create_user(self, name: str, password: str) -> str:
        """Make a user, or give the one of this name a new password; the id."""
        return self.registry.create_user(name, password)

    def grant(self, user: str, project: str, role: str) -> None:
        """Give a user a role in a project. Raises NotFound."""
        self.registry.grant(user, project, role)
