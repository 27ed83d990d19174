"""Tokens and projects of OpenStack Keystone (Identity API v3), by keystonemiddleware's rules.

What Keystone said of a token is kept for `token_cache_s` seconds in each process, so that a
revoked token or role ends within that time. Keystone that is away is a 503, never a 401.
"""

import datetime
import threading
import time
import urllib.parse
from typing import Any

from imagesvc.interface import base, errors, identity
from imagesvc_drivers.identity import keystone_option

_REFUSED = "The request needs a valid token."
_TOKEN_LENGTH_MAX = 4096
_HEALTH_TIMEOUT_S = 1.8
# Keystone's default policy lets these check tokens of others.
_CHECKERS = frozenset(("admin", "service"))
_LIBRARY = "the driver keystone needs more libraries: pip install 'imagesvc[keystone]'"


class KeystoneIdentity(identity.IdentityDriver):
    """Checks tokens and looks up projects; logins are Keystone's own."""

    contract = base.Version(1, 1)
    OPTS = keystone_option.OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        url = keystone_option.checked_url(options)
        try:
            # Optional libraries: the sample and the pages show the options without them.
            from imagesvc_drivers.identity import keystone_cache, keystone_client, keystone_gate
        except ImportError as exc:
            raise errors.InvalidConfiguration(f"{_LIBRARY} ({exc})") from exc
        self._challenge = f'Keystone uri="{options.www_authenticate_uri or url}"'
        self._parse = keystone_client.parse
        self._known = keystone_cache.Known
        self._client = keystone_client.KeystoneClient(url, options)
        self._cache = keystone_cache.TokenCache(
            options.token_cache_s,
            options.token_cache_entries,
            # The own token, the answer, and the same again where an idle connection was closed.
            4 * (options.connect_timeout_s + options.timeout_s),
        )
        self._probing = threading.Lock()  # one probe at a time; they all ask for the same
        self._gate = keystone_gate.Gate(
            self._fetch, service_roles=options.service_roles, service_type=options.service_type
        )

    def close(self) -> None:
        self._cache.clear()
        self._client.close()

    def info(self) -> base.DriverInfo:
        return base.DriverInfo(
            name="keystone",
            vendor="imagesvc",
            version="1",
            capabilities=frozenset(
                (identity.IdentityCapability.LOOKUP, identity.IdentityCapability.CATALOG)
            ),
            limits={"token_length_max": _TOKEN_LENGTH_MAX},
        )

    def health(self) -> base.Health:
        with self._probing:
            return self._probe()

    def _probe(self) -> base.Health:
        began = time.monotonic()
        try:
            token = self._client.own_token()
            body = self._describe(token, False, timeout_s=_HEALTH_TIMEOUT_S)
        except errors.DriverError as exc:
            return base.Health(base.HealthState.DOWN, exc.operator_message)
        took = (time.monotonic() - began) * 1000
        if body is None:
            return base.Health(base.HealthState.DOWN, "Keystone does not know its own token", took)
        told = self._parse(body)["token"]
        roles = _roles(told)
        if roles & _CHECKERS or (told.get("system") and "reader" in roles):
            return base.Health(base.HealthState.OK, "", took)
        return base.Health(
            base.HealthState.DEGRADED,
            f"{self._client.who} has none of the roles {', '.join(sorted(_CHECKERS))}: by its "
            "default policy Keystone does not let it check tokens",
            took,
        )

    def challenge(self) -> str:
        return self._challenge

    def authenticate(self, request: identity.AuthRequest) -> identity.Identity:
        token = request.headers.get("x-auth-token", "").strip()
        if not _sendable(token) or not _sendable(request.headers.get("x-service-token", "-")):
            raise identity.Unauthenticated(_REFUSED)
        # Beside a service's token the gate looks at both, each time.
        alone = "x-service-token" not in request.headers
        known = self._cache.get(token) if alone else None
        if known is not None and not known.restricted:
            return known.identity
        if not self._gate.admits(request):
            raise identity.Unauthenticated(_REFUSED)
        # As the gate saw it a moment ago; only a token that ended meanwhile is asked for again.
        who: identity.Identity = self._ask_once(token, allow_expired=True).identity
        return who

    def find_project(self, name_or_id: str) -> identity.Project:
        if not name_or_id or len(name_or_id) > 255 or not name_or_id.isprintable():
            raise errors.NotFound(f"There is no project {name_or_id[:255]!r}.")
        quoted = urllib.parse.quote(name_or_id, safe="")
        by_id = self._client.get_json(f"/projects/{quoted}")
        found = [_project(by_id["project"])] if by_id else self._projects(f"?name={quoted}")
        if len(found) != 1:
            raise errors.NotFound(
                f"There is no project {name_or_id!r}."
                if not found
                else f"More than one domain has a project {name_or_id!r}: name it by its id."
            )
        return found[0]

    def list_projects(self, user_id: str | None = None) -> list[identity.Project]:
        if user_id is None:
            found = self._projects()
        else:
            quoted = urllib.parse.quote(user_id, safe="")
            found = self._projects(f"/users/{quoted}/projects", whole=True)
        return sorted(found, key=lambda project: project.name)

    def endpoint(self, token: str, service_type: str, *, region: str, interface: str) -> str:
        body = self._describe(token, False, catalog=True) if _sendable(token) else None
        if body is None:
            raise identity.Unauthenticated(_REFUSED)
        services = self._parse(body).get("token", {}).get("catalog", ())
        for service in services:
            for found in service["endpoints"] if service["type"] == service_type else ():
                if (found["region_id"], found["interface"]) == (region, interface):
                    return str(found["url"])
        raise errors.NotFound(
            f"The catalogue has no {interface} endpoint of type {service_type} in region {region}."
        )

    def _projects(self, query: str = "", *, whole: bool = False) -> list[identity.Project]:
        path = query if whole else f"/projects{query}"
        return [_project(each) for each in self._client.list(path, "projects")]

    def _fetch(self, token: str, allow_expired: bool) -> dict[str, Any] | None:
        """For the gate: what Keystone says of a token; None if it is not valid."""
        if not token:
            return None
        try:
            known = self._ask_once(token, allow_expired=allow_expired)
        except identity.Unauthenticated:  # the gate says so for the whole request
            return None
        return self._parse(known.body)

    def _ask_once(self, token: str, *, allow_expired: bool) -> Any:
        return self._cache.get_or_ask(
            token, lambda: self._ask(token, allow_expired), allow_expired=allow_expired
        )

    def _ask(self, token: str, allow_expired: bool) -> Any:
        body = self._describe(token, allow_expired)
        restricted = False
        if body is not None:
            told = self._parse(body).get("token", {})
            rules = (told.get("application_credential") or {}).get("access_rules")
            restricted = rules is not None
            if restricted:  # the gate compares rules with the catalog, which is large
                body = self._describe(token, allow_expired, catalog=True)
        if body is None:
            raise identity.Unauthenticated(_REFUSED)
        try:
            told = self._parse(body)["token"]
            who, until = _identity(told), _time(told["expires_at"])
        except (KeyError, TypeError, ValueError) as exc:
            raise errors.Unavailable(
                "The identity service does not answer rightly; ask again later.",
                f"Keystone's description of a token lacks {exc}",
            ) from exc
        return self._known(body, who, until, restricted)

    def _describe(
        self,
        token: str,
        allow_expired: bool,
        *,
        catalog: bool = False,
        timeout_s: float | None = None,
    ) -> bytes | None:
        query = [] if catalog else ["nocatalog"]
        query += ["allow_expired=1"] if allow_expired else []
        return self._client.get(
            "/auth/tokens" + (f"?{'&'.join(query)}" if query else ""),
            headers={"X-Subject-Token": token, "OpenStack-Identity-Access-Rules": "1"},
            timeout_s=timeout_s,
        )


def _identity(told: dict[str, Any]) -> identity.Identity:
    """Rights are those in a project: roles on a domain or on the system give none here."""
    project = told.get("project")
    roles = _roles(told) if project else frozenset()
    return identity.Identity(
        user_id=told["user"]["id"],
        user_name=told["user"]["name"],
        project_id=project["id"] if project else None,
        project_name=project["name"] if project else None,
        domain_id=told["user"].get("domain", {}).get("id"),
        roles=roles,
        is_admin="admin" in roles,
        expires_at=_time(told["expires_at"]),
    )


def _roles(told: dict[str, Any]) -> frozenset[str]:
    return frozenset(role["name"] for role in told.get("roles", ()))


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)


def _project(told: dict[str, Any]) -> identity.Project:
    return identity.Project(told["id"], told["name"], told["domain_id"])


def _sendable(token: str) -> bool:
    """Whether it may be a token at all: no other byte goes into a header."""
    return 0 < len(token) <= _TOKEN_LENGTH_MAX and all("!" <= char <= "~" for char in token)
