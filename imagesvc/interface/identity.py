"""Identity drivers say who a caller is."""

import abc
import dataclasses
import datetime
from collections.abc import Mapping

from imagesvc.interface import base, errors

VERSION = base.Version(1, 1)


class IdentityCapability(base.Capability):
    """What an identity driver may offer beyond the required methods."""

    LOOKUP = "lookup"
    ACCESS_KEYS = "access-keys"
    LOGIN = "login"
    CATALOG = "catalog"


class Unauthenticated(errors.DriverError):
    """The request names nobody, or nobody whom it can prove to be."""


@dataclasses.dataclass(frozen=True, slots=True)
class AuthRequest:
    """What an identity driver may look at; header names are in lower case."""

    method: str
    raw_target: str
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    remote: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Who the caller is, until `expires_at` (UTC); `project_id` is None when unscoped."""

    user_id: str
    user_name: str
    project_id: str | None
    project_name: str | None
    domain_id: str | None
    roles: frozenset[str]
    is_admin: bool
    expires_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Project:
    """A project; ids are 32 hex digits in the embedded identity."""

    project_id: str
    name: str
    domain_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class LoginScope:
    """What a login asks for: a project by id, or by name and domain; all None: unscoped."""

    project_id: str | None = None
    project_name: str | None = None
    domain: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """A token and whom it stands for."""

    token: str = dataclasses.field(repr=False)
    identity: Identity
    issued_at: datetime.datetime
    methods: tuple[str, ...] = ("password",)


@dataclasses.dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key; core checks the signature with `secret`."""

    access_key_id: str
    secret: str = dataclasses.field(repr=False)
    user_id: str
    project_ids: tuple[str, ...] = ()


class IdentityDriver(base.Driver):
    """Who a caller is. Caching is the driver's work, never beyond `expires_at`."""

    @abc.abstractmethod
    def authenticate(self, request: AuthRequest) -> Identity:
        """Say who sent `request`. Raises Unauthenticated, Unavailable."""

    @abc.abstractmethod
    def challenge(self) -> str:
        """Value of WWW-Authenticate for a 401."""

    def find_project(self, name_or_id: str) -> Project:
        """Find a project (LOOKUP). Raises NotFound."""
        raise errors.NotSupported("This identity backend cannot look up projects.")

    def list_projects(self, user_id: str | None = None) -> list[Project]:
        """List projects by name: all, or those where the user has a role (LOOKUP)."""
        raise errors.NotSupported("This identity backend cannot list projects.")

    def access_key(self, access_key_id: str) -> AccessKey:
        """Find an access key (ACCESS_KEYS). Raises NotFound."""
        raise errors.NotSupported("This identity backend has no access keys.")

    def login(self, user: str, password: str, scope: LoginScope, *, domain: str = "") -> Login:
        """Make a token from a user's id or name and password (LOGIN).

        Raises Unauthenticated, with one text for every cause.
        """
        raise errors.NotSupported("This identity backend has no login.")

    def describe(self, token: str) -> Login:
        """Say what a token stands for (LOGIN). Raises NotFound."""
        raise errors.NotSupported("This identity backend has no login.")

    def rescope(self, token: str, scope: LoginScope) -> Login:
        """Make a token for another scope from a valid one (LOGIN). Raises Unauthenticated."""
        raise errors.NotSupported("This identity backend has no login.")

    def revoke(self, token: str) -> None:
        """End a token at once; one that is gone is success (LOGIN)."""
        raise errors.NotSupported("This identity backend has no login.")

    def endpoint(self, token: str, service_type: str, *, region: str, interface: str) -> str:
        """The URL of a service in the catalogue that the token's owner is given (CATALOG).

        `interface` is public, internal or admin. Raises NotFound if the catalogue has none,
        Unauthenticated for a token that is not valid, Unavailable.
        """
        raise errors.NotSupported("This identity backend has no catalogue.")
